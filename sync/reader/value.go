package reader

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	kjson "sigs.k8s.io/json"
)

// object is the content of an unstructured object as JSON that gives exactly the same values when it is read again:
// a float that is whole stays one, for 1.0 and 1 are different values to whoever compares.
type object map[string]any

// MarshalJSON writes keys in their order.
func (o object) MarshalJSON() ([]byte, error) {
	if o == nil {
		return []byte("null"), nil
	}
	return appendValue(nil, map[string]any(o))
}

// UnmarshalJSON reads whole numbers as int64 and all others as float64.
func (o *object) UnmarshalJSON(text []byte) error {
	var values map[string]any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(text, &values); err != nil {
		return fmt.Errorf("decode object: %w", err)
	}
	*o = values
	return nil
}

// appendValue knows the values that an unstructured object may hold, and refuses any other.
func appendValue(out []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case nil:
		return append(out, "null"...), nil
	case bool:
		return strconv.AppendBool(out, v), nil
	case int64:
		return strconv.AppendInt(out, v, 10), nil
	case float64:
		return appendFloat(out, v)
	case string:
		return appendText(out, v)
	case []any:
		return appendList(out, v)
	case map[string]any:
		return appendMapping(out, v)
	default:
		return nil, fmt.Errorf("an object holds a value of type %T", value)
	}
}

func appendFloat(out []byte, v float64) ([]byte, error) {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return nil, fmt.Errorf("an object holds the number %v, which JSON has not", v)
	}
	text := strconv.FormatFloat(v, 'g', -1, 64)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return append(out, text...), nil
}

func appendText(out []byte, v string) ([]byte, error) {
	if !utf8.ValidString(v) {
		return nil, fmt.Errorf("an object holds text that is not UTF-8")
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return append(out, bytes.TrimSuffix(text.Bytes(), []byte("\n"))...), nil
}

func appendList(out []byte, list []any) (_ []byte, err error) {
	out = append(out, '[')
	for i, v := range list {
		if i > 0 {
			out = append(out, ',')
		}
		if out, err = appendValue(out, v); err != nil {
			return nil, err
		}
	}
	return append(out, ']'), nil
}

func appendMapping(out []byte, mapping map[string]any) (_ []byte, err error) {
	out = append(out, '{')
	for i, key := range slices.Sorted(maps.Keys(mapping)) {
		if i > 0 {
			out = append(out, ',')
		}
		if out, err = appendText(out, key); err != nil {
			return nil, err
		}
		if out, err = appendValue(append(out, ':'), mapping[key]); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

// size is what a JSON text costs whoever decodes it.
type size struct {
	nodes, nesting int64
}

// opens is by how much a character outside of text nests deeper.
func opens(c byte) int64 {
	switch c {
	case '{', '[':
		return 1
	case '}', ']':
		return -1
	default:
		return 0
	}
}

// measure counts the values of a JSON text, and how deep they nest, without making any of them. Of what is no JSON it
// counts no less than a decoder would make before it notices.
func measure(text []byte) size {
	var out size
	var depth int64
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted:
			depth += opens(c)
			out.nesting = max(out.nesting, depth)
			if bytes.IndexByte([]byte("{[,:"), c) >= 0 {
				out.nodes++
			}
		}
	}
	return out
}
