package apply

import (
	"bytes"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/rollcall-dev/rollcall/diff"
)

// Only the fields that rollcall has are compared: those that Git declares, and those that an apply would take away. What
// the API server defaults, a webhook writes or another manager has may be another value in each dry-run, and would look
// like a change in each pass. Whose a field is, metadata.managedFields says:
//
//	live    rollcall: a b   vpa: c      Git declares a d
//	merged  rollcall: a d   vpa: c
//	compared        a b d, of live and of merged

// fieldsOf reads the fields of one manager.
func fieldsOf(entry metav1.ManagedFieldsEntry) (*fieldpath.Set, error) {
	out := fieldpath.NewSet()
	if entry.FieldsV1 == nil {
		return out, nil
	}
	if err := out.FromJSON(bytes.NewReader(entry.FieldsV1.GetRawBytes())); err != nil {
		return nil, fmt.Errorf("read fields of manager %s: %w", entry.Manager, err)
	}
	return out, nil
}

// mine is whether the fields of a manager are rollcall's, or it takes them over.
func (a *Applier) mine(entry metav1.ManagedFieldsEntry) bool {
	return a.own(entry) || a.takes(entry)
}

// fieldsBy are the fields of an object by those managers. It is false when some are known by the names of another version.
func fieldsBy(o *unstructured.Unstructured, by func(metav1.ManagedFieldsEntry) bool) (out *fieldpath.Set, known bool, err error) {
	out, known = fieldpath.NewSet(), true
	for _, entry := range o.GetManagedFields() {
		if !by(entry) {
			continue
		}
		known = known && entry.APIVersion == o.GetAPIVersion()
		fields, err := fieldsOf(entry)
		if err != nil {
			return nil, false, err
		}
		out = out.Union(fields)
	}
	return out, known, nil
}

// states are an object as a trial knows it: as Git declares it, as it is, as an apply made it, and as it is
// after a takeover as well.
type states struct {
	declared, live, applied, merged *unstructured.Unstructured
}

// sides are live and merged reduced to the fields that those managers have in live, or would have when applied, but for
// those that it leaves; nil when that cannot be told, and then all of them count.
func (s states) sides(by func(metav1.ManagedFieldsEntry) bool, leaves []fieldpath.Path) (*diff.Sides, error) {
	before, known, err := fieldsBy(s.live, by)
	if err != nil {
		return nil, err
	}
	after, knownToo, err := fieldsBy(s.applied, by)
	if err != nil {
		return nil, err
	}
	if !known || !knownToo {
		return nil, nil
	}
	fields := before.Union(after).RecursiveDifference(fieldpath.NewSet(leaves...))
	return &diff.Sides{Live: reduced(s.live, s.declared, fields), Merged: reduced(s.merged, s.declared, fields)}, nil
}

// reduced is an object with its kind and no other fields than these.
func reduced(o, declared *unstructured.Unstructured, fields *fieldpath.Set) map[string]any {
	out, _ := only(o.Object, declared.Object, fields).(map[string]any)
	if out == nil {
		out = map[string]any{}
	}
	out["kind"] = o.GetKind()
	return out
}

// only is a tree without what is not of a set.
func only(node, declared any, fields *fieldpath.Set) any {
	switch n := node.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, child := range n {
			name := key
			meant, has := diff.Pointer{key}.Value(declared)
			if rest, is := onlyOf(child, meant, has, fieldpath.PathElement{FieldName: &name}, fields); is {
				out[key] = rest
			}
		}
		return out
	case []any:
		return onlyElements(n, declared, fields)
	default:
		return node
	}
}

func onlyElements(node []any, declared any, fields *fieldpath.Set) []any {
	elements, list := pathElements(fields), []any(nil)
	if meant, is := declared.([]any); is {
		list = meant
	}
	out := make([]any, 0, len(node))
	for i, child := range node {
		at := slices.IndexFunc(elements, func(e fieldpath.PathElement) bool { return selects(e, i, child) })
		if at < 0 {
			continue
		}
		e := elements[at]
		var meant any
		d := slices.IndexFunc(list, func(other any) bool { return selects(e, i, other) })
		if d >= 0 {
			meant = list[d]
		}
		if rest, is := onlyOf(child, meant, d >= 0, e, fields); is {
			out = append(out, rest)
		}
	}
	return out
}

// onlyOf is what a set has of a child. A member without children is a value as a whole, unless Git declares it empty or
// null: then what is in it is somebody else's.
func onlyOf(child, declared any, isDeclared bool, e fieldpath.PathElement, fields *fieldpath.Set) (any, bool) {
	if children, has := fields.Children.Get(e); has {
		return only(child, declared, children), true
	}
	if isDeclared && isEmpty(declared) {
		child = emptied(child)
	}
	return child, fields.Members.Has(e)
}

// isEmpty is whether there is nothing in a map or a list, or no value at all.
func isEmpty(node any) bool {
	switch n := node.(type) {
	case map[string]any:
		return len(n) == 0
	case []any:
		return len(n) == 0
	default:
		return node == nil
	}
}

// emptied is a map or a list without what is in it; another value is the same.
func emptied(node any) any {
	switch node.(type) {
	case map[string]any:
		return map[string]any{}
	case []any:
		return []any{}
	default:
		return node
	}
}
