package apply

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// without returns a tree without the fields of a set; nil when nothing is left of it. A map or a list goes when the set
// has it as well as all that was in it. The tree is changed.
func without(node any, fields *fieldpath.Set) any {
	switch n := node.(type) {
	case map[string]any:
		return withoutFields(n, fields)
	case []any:
		return withoutElements(n, fields)
	default:
		return node
	}
}

func withoutFields(node map[string]any, fields *fieldpath.Set) any {
	for _, key := range sortedKeys(node) {
		name := key
		if rest, keep := withoutPart(node[key], fields, fieldpath.PathElement{FieldName: &name}); keep {
			node[key] = rest
		} else {
			delete(node, key)
		}
	}
	return node
}

func withoutElements(node []any, fields *fieldpath.Set) any {
	elements := pathElements(fields)
	out := make([]any, 0, len(node))
	for i, child := range node {
		at := slices.IndexFunc(elements, func(e fieldpath.PathElement) bool { return selects(e, i, child) })
		if at < 0 {
			out = append(out, child)
			continue
		}
		if rest, keep := withoutPart(child, fields, elements[at]); keep {
			out = append(out, rest)
		}
	}
	return out
}

// withoutPart returns what is left of a child, and whether the child stays.
func withoutPart(child any, fields *fieldpath.Set, e fieldpath.PathElement) (rest any, keep bool) {
	member := fields.Members.Has(e)
	below, deeper := fields.Children.Get(e)
	if !deeper {
		return child, !member
	}
	rest = without(child, below)
	return rest, !member || !empty(rest)
}

func empty(node any) bool {
	switch n := node.(type) {
	case map[string]any:
		return len(n) == 0
	case []any:
		return len(n) == 0
	default:
		return false
	}
}

// pathElements are the elements that a set has anything at or below of, in its order.
func pathElements(fields *fieldpath.Set) []fieldpath.PathElement {
	var out []fieldpath.PathElement
	add := func(e fieldpath.PathElement) { out = append(out, e) }
	fields.Members.Iterate(add)
	fields.Children.Iterate(add)
	return out
}

// selects reports whether a path element means the child at a position of a list.
func selects(e fieldpath.PathElement, at int, child any) bool {
	switch {
	case e.Key != nil:
		object, ok := child.(map[string]any)
		return ok && !slices.ContainsFunc(*e.Key, func(f value.Field) bool {
			return !equality.Semantic.DeepEqual(f.Value.Unstructured(), object[f.Name])
		})
	case e.Value != nil:
		return equality.Semantic.DeepEqual((*e.Value).Unstructured(), child)
	case e.Index != nil:
		return *e.Index == at
	default:
		return false
	}
}
