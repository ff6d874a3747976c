package diff

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// Pointer is a JSON pointer, a key or the position in a list at a time. The API server has checked how it is written.
type Pointer []string

// ParsePointer reads a JSON pointer (RFC 6901).
func ParsePointer(text string) Pointer {
	tokens := strings.Split(strings.TrimPrefix(text, "/"), "/")
	for i := range tokens {
		tokens[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(tokens[i])
	}
	return tokens
}

// String is the pointer as it is written.
func (p Pointer) String() string {
	var b strings.Builder
	for _, token := range p {
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(token))
	}
	return b.String()
}

// In is whether the field is that of another pointer, or lies in it.
func (p Pointer) In(other ...string) bool {
	return len(p) >= len(other) && slices.Equal(p[:len(other)], other)
}

// Ignored are the fields of an object that the rules leave to others, whether it has them or not; each once.
func Ignored(rules []v1alpha1.IgnoreRule, o *unstructured.Unstructured) []Pointer {
	var out []Pointer
	for _, r := range rules {
		chosen := (r.Kind == "" || r.Kind == o.GetKind()) && (r.Namespace == "" || r.Namespace == o.GetNamespace()) && (r.Name == "" || r.Name == o.GetName())
		p := ParsePointer(r.Pointer)
		if chosen && !slices.ContainsFunc(out, func(other Pointer) bool { return slices.Equal(other, p) }) {
			out = append(out, p)
		}
	}
	return out
}

// Without returns the object without the ignored fields; the same one if it has none of them.
func Without(ignored []Pointer, o *unstructured.Unstructured) (*unstructured.Unstructured, *Problem) {
	out := o
	for _, p := range ignored {
		if _, has := p.Value(out.Object); !has {
			continue
		}
		if out == o {
			out = o.DeepCopy()
		}
		parent, _ := p[:len(p)-1].Value(out.Object)
		fields, ok := parent.(map[string]any)
		if !ok {
			return o, &Problem{Reason: "Invalid", Message: fmt.Sprintf("spec.ignore: pointer %s is an element of a list, and without it the list would be another one: "+
				"point to a field of the element, or to the whole list", p)}
		}
		delete(fields, p[len(p)-1])
	}
	return out, nil
}

// Value is what the pointer points to; false when there is nothing.
func (p Pointer) Value(node any) (any, bool) {
	for _, token := range p {
		switch n := node.(type) {
		case map[string]any:
			child, has := n[token]
			if !has {
				return nil, false
			}
			node = child
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(n) {
				return nil, false
			}
			node = n[i]
		default:
			return nil, false
		}
	}
	return node, true
}

// Set puts a value where the pointer points to, and makes the maps on the way; it leaves the node alone where a list or
// another value is in the way.
func (p Pointer) Set(node map[string]any, value any) {
	for i, token := range p[:len(p)-1] {
		child, has := node[token]
		if !has {
			child = map[string]any{}
			node[token] = child
		}
		switch next := child.(type) {
		case map[string]any:
			node = next
		case []any:
			at, ok := p[i+1 : i+2].Value(next)
			element, isMap := at.(map[string]any)
			if ok && isMap && len(p) > i+2 {
				p[i+2:].Set(element, value)
			}
			return
		default:
			return
		}
	}
	node[p[len(p)-1]] = value
}
