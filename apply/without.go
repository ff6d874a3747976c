package apply

import (
	"slices"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// ownership is which fields of a tree, or of a part of it, lose their only owner, and which have another one.
type ownership struct {
	lost *fieldpath.Set
	kept *fieldpath.Set
}

// without returns a tree without the fields that lost their only owner. A map or a list that did goes with all that is
// in it, unless somebody owns a part: what nobody ever owned are defaults. The tree is changed.
func without(node any, o ownership) any {
	switch n := node.(type) {
	case map[string]any:
		return withoutFields(n, o)
	case []any:
		return withoutElements(n, o)
	default:
		return node
	}
}

func withoutFields(node map[string]any, o ownership) any {
	for _, key := range sortedKeys(node) {
		name := key
		if rest, keep := o.part(node[key], fieldpath.PathElement{FieldName: &name}); keep {
			node[key] = rest
		} else {
			delete(node, key)
		}
	}
	return node
}

func withoutElements(node []any, o ownership) any {
	elements := pathElements(o.lost)
	out := make([]any, 0, len(node))
	for i, child := range node {
		at := slices.IndexFunc(elements, func(e fieldpath.PathElement) bool { return selects(e, i, child) })
		if at < 0 {
			out = append(out, child)
			continue
		}
		if rest, keep := o.part(child, elements[at]); keep {
			out = append(out, rest)
		}
	}
	return out
}

// part returns what is left of a child, and whether the child stays.
func (o ownership) part(child any, e fieldpath.PathElement) (rest any, keep bool) {
	lost, hasLost := o.lost.Children.Get(e)
	kept, hasKept := o.kept.Children.Get(e)
	switch {
	case o.lost.Members.Has(e) && !hasKept:
		return nil, false
	case !hasLost:
		return child, true
	case !hasKept:
		kept = fieldpath.NewSet()
	}
	return without(child, ownership{lost: lost, kept: kept}), true
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
		return ok && !slices.ContainsFunc(*e.Key, func(f value.Field) bool { return !equal(f.Value, object[f.Name]) })
	case e.Value != nil:
		return equal(*e.Value, child)
	case e.Index != nil:
		return *e.Index == at
	default:
		return false
	}
}

// equal compares as the API server does: 1 is 1.0.
func equal(v value.Value, other any) bool {
	return value.Equals(v, value.NewValueInterface(other))
}
