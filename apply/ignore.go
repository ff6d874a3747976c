package apply

import (
	"fmt"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/rollcall-dev/rollcall/diff"
)

// What a GitSync ignores, rollcall does not apply, and so does not have. What it had of that before, it lets go of: it
// takes its name off the field, for an apply without a field that one has takes the field away.
//
//	before    rollcall: a b            Git declares a b, and b is ignored
//	managers  rollcall: a              one patch of metadata.managedFields, see takeOver
//	apply     rollcall: a              b stays as it is

// place is where an ignored field lies among the fields of a manager; its path is empty when they have neither it nor
// anything in it.
type place struct {
	pointer diff.Pointer
	path    fieldpath.Path
	// value is the live one; nil when there is none.
	value any
	// whole is whether they have it as a part of something that has one manager, at the path, and not by itself.
	whole bool
}

// holds are the ignored fields of the live object that rollcall still has.
func (a *Applier) holds(t target, live *unstructured.Unstructured) ([]place, error) {
	if live == nil || len(t.ignored) == 0 {
		return nil, nil
	}
	fields, _, err := fieldsBy(live, a.mine)
	if err != nil {
		return nil, err
	}
	var out []place
	for _, p := range t.ignored {
		if at := placeOf(p, fields, t.object.Object, live.Object); len(at.path) > 0 && !at.whole {
			out = append(out, at)
		}
	}
	return out, nil
}

// placeOf finds a pointer among the fields of a manager. An element of a list is the one that Git declares at that
// position, else the live one.
func placeOf(p diff.Pointer, fields *fieldpath.Set, declared, live any) place {
	out := place{pointer: p}
	for i, token := range p {
		e, next := elementOf(token, fields, declared, live)
		children, deeper := fields.Children.Get(e)
		has, last := fields.Members.Has(e), i == len(p)-1
		if !deeper && !has {
			return place{pointer: p}
		}
		out.path, out.value = append(out.path, e), next
		if last || !deeper {
			out.whole = !last
			return out
		}
		declared, _ = diff.Pointer{token}.Value(declared)
		fields, live = children, next
	}
	return out
}

// elementOf is the step of a token, and the live value there.
func elementOf(token string, fields *fieldpath.Set, declared, live any) (fieldpath.PathElement, any) {
	list, isList := live.([]any)
	index, err := strconv.Atoi(token)
	if !isList || err != nil {
		next, _ := diff.Pointer{token}.Value(live)
		return fieldpath.PathElement{FieldName: &token}, next
	}
	meant, isDeclared := diff.Pointer{token}.Value(declared)
	if !isDeclared {
		meant, _ = diff.Pointer{token}.Value(live)
	}
	for _, e := range pathElements(fields) {
		if !selects(e, index, meant) {
			continue
		}
		for i, child := range list {
			if selects(e, i, child) {
				return e, child
			}
		}
		return e, nil
	}
	return fieldpath.PathElement{Index: &index}, meant
}

func paths(held []place) []fieldpath.Path {
	var out []fieldpath.Path
	for _, h := range held {
		out = append(out, h.path)
	}
	return out
}

// lent is the object with the live values of what rollcall still has of the ignored fields, for a dry-run: without them it
// would take them away, and an object may not be valid without them.
func lent(t target, held []place) *unstructured.Unstructured {
	if len(held) == 0 {
		return t.object
	}
	out := t.object.DeepCopy()
	for _, h := range held {
		if h.value != nil {
			h.pointer.Set(out.Object, h.value)
		}
	}
	return out
}

// letGo takes rollcall's name off the fields.
func (a *Applier) letGo(entries []metav1.ManagedFieldsEntry, held []place) ([]metav1.ManagedFieldsEntry, error) {
	out := slices.Clone(entries)
	for i, entry := range out {
		if len(held) == 0 || !a.own(entry) {
			continue
		}
		fields, err := fieldsOf(entry)
		if err != nil {
			return nil, err
		}
		raw, err := fields.RecursiveDifference(fieldpath.NewSet(paths(held)...)).ToJSON()
		if err != nil {
			return nil, fmt.Errorf("encode fields of manager %s: %w", entry.Manager, err)
		}
		out[i].FieldsV1 = metav1.NewFieldsV1(string(raw))
	}
	return out, nil
}

// undivided is the problem of an ignored field that is a part of something which can have one manager only, such as a
// list without keys: what Git declares of the rest would be applied without it.
func (a *Applier) undivided(t target, applied *unstructured.Unstructured) (*diff.Problem, error) {
	if t.whole == nil {
		return nil, nil
	}
	fields, _, err := fieldsBy(applied, a.mine)
	if err != nil {
		return nil, err
	}
	for _, p := range t.ignored {
		if _, has := p.Value(t.whole.Object); !has {
			continue
		}
		at := placeOf(p, fields, t.object.Object, applied.Object)
		if rest, _ := p[:len(at.path)].Value(t.object.Object); at.whole && isBranch(rest) {
			return &diff.Problem{Reason: ReasonInvalid, Message: fmt.Sprintf("spec.ignore: pointer %s lies in %s, which the API server keeps as one value with one manager, so that no part of it can be left to others: "+
				"ignore %[2]s, or take the rule out", p, p[:len(at.path)])}, nil
		}
	}
	return nil, nil
}

// isBranch is whether a node is a map or a list with something in it.
func isBranch(node any) bool {
	switch node.(type) {
	case map[string]any, []any:
		return !isEmpty(node)
	default:
		return false
	}
}

// withoutIt says of an object that the API server refuses what of it is left to others.
func withoutIt(t target, p *diff.Problem) *diff.Problem {
	if t.whole == nil || p.Reason != ReasonInvalid {
		return p
	}
	for _, pointer := range t.ignored {
		if _, has := pointer.Value(t.whole.Object); has {
			p.Message += "; spec.ignore leaves out " + pointer.String()
		}
	}
	return p
}
