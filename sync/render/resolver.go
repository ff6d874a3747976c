package render

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// resolver gives the nodes of a document the values that kubectl gives them: the implicit types of YAML 1.1,
// where an unquoted yes, no, on, off, y and n is a boolean, and JSON's idea of a number. Beyond kubectl it
// refuses what is said twice.
type resolver struct {
	file string
	hint string
	// explicit says that the nodes carry their types, so that no text is taken for a boolean.
	explicit bool
}

func (r *resolver) value(n *yaml.Node) (any, error) {
	switch n.Kind {
	case yaml.DocumentNode:
		return r.value(n.Content[0])
	case yaml.AliasNode:
		return r.value(n.Alias)
	case yaml.SequenceNode:
		return r.sequence(n)
	case yaml.MappingNode:
		return r.mapping(n)
	case yaml.ScalarNode:
		return r.scalar(n)
	default:
		return nil, r.invalid(n, "this node has no kind")
	}
}

func (r *resolver) sequence(n *yaml.Node) (any, error) {
	list := make([]any, 0, len(n.Content))
	for _, child := range n.Content {
		v, err := r.value(child)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

func (r *resolver) mapping(n *yaml.Node) (any, error) {
	values := make(map[string]any, len(n.Content)/2)
	lines := make(map[string]int, len(n.Content)/2)
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		keyNode, valueNode := n.Content[i], n.Content[i+1]
		if keyNode.ShortTag() == "!!merge" {
			merged = append(merged, valueNode)
			continue
		}
		key, err := r.key(keyNode)
		if err != nil {
			return nil, err
		}
		if first, twice := lines[key]; twice {
			return nil, r.invalid(keyNode, withHint(
				fmt.Sprintf("key %q appears twice in one mapping, first on line %d", key, first), r.hint))
		}
		lines[key] = keyNode.Line
		if values[key], err = r.value(valueNode); err != nil {
			return nil, err
		}
	}
	for _, m := range merged {
		if err := r.merge(values, m); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// merge adds what the mappings of a merge key (<<) have and values lacks; of two mappings the first wins.
func (r *resolver) merge(values map[string]any, n *yaml.Node) error {
	if n.Kind == yaml.SequenceNode {
		for _, child := range n.Content {
			if err := r.merge(values, child); err != nil {
				return err
			}
		}
		return nil
	}
	source, err := r.value(n)
	if err != nil {
		return err
	}
	mapping, ok := source.(map[string]any)
	if !ok {
		return r.invalid(n, "a merge key (<<) takes a mapping or a list of mappings")
	}
	for key, v := range mapping {
		if _, has := values[key]; !has {
			values[key] = v
		}
	}
	return nil
}

func (r *resolver) key(n *yaml.Node) (string, error) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.ScalarNode {
		return "", r.invalid(n, "a key must be text, not a list or a mapping")
	}
	v, err := r.scalar(n)
	if err != nil {
		return "", err
	}
	switch key := v.(type) {
	case string:
		return key, nil
	case int64:
		return strconv.FormatInt(key, 10), nil
	default:
		return "", r.invalid(n, fmt.Sprintf("YAML reads the key %s as %s: quote it", n.Value, typeName(v)))
	}
}

func (r *resolver) scalar(n *yaml.Node) (any, error) {
	const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle | yaml.TaggedStyle
	switch tag := n.ShortTag(); tag {
	case "!!str":
		if n.Style&quoted == 0 && !r.explicit {
			if b, ok := oldBoolean(n.Value); ok {
				return b, nil
			}
		}
		return n.Value, nil
	case "!!timestamp", "!!merge":
		return n.Value, nil
	case "!!null":
		return nil, nil
	case "!!bool", "!!int", "!!float":
		var v any
		if err := n.Decode(&v); err != nil {
			return nil, syntaxError(r.file, err, r.hint)
		}
		return r.number(n, v)
	default:
		return nil, r.invalid(n, fmt.Sprintf("the tag %s has no meaning in a Kubernetes object: remove it", tag))
	}
}

// number brings the number types of the YAML library down to those of JSON.
func (r *resolver) number(n *yaml.Node, v any) (any, error) {
	switch number := v.(type) {
	case bool, int64:
		return number, nil
	case int:
		return int64(number), nil
	case uint64:
		return float64(number), nil
	case float64:
		if math.IsInf(number, 0) || math.IsNaN(number) {
			return nil, r.invalid(n, "JSON has no such number: quote it if it is text")
		}
		return number, nil
	default:
		return nil, r.invalid(n, fmt.Sprintf("YAML reads this as %T: quote it if it is text", v))
	}
}

func (r *resolver) invalid(n *yaml.Node, message string) *Error {
	return &Error{Reason: InvalidYAML, File: r.file, Line: n.Line, Message: message}
}

// oldBoolean is the part of the booleans of YAML 1.1 that YAML 1.2 dropped and kubectl still reads.
func oldBoolean(text string) (value, ok bool) {
	switch {
	case slices.Contains([]string{"y", "Y", "yes", "Yes", "YES", "on", "On", "ON"}, text):
		return true, true
	case slices.Contains([]string{"n", "N", "no", "No", "NO", "off", "Off", "OFF"}, text):
		return false, true
	default:
		return false, false
	}
}

// typeName is how a message names the type of a value.
func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "nothing"
	case bool:
		return "a boolean"
	case int64, float64:
		return "a number"
	case string:
		return "text"
	case []any:
		return "a list"
	default:
		return "a mapping"
	}
}
