package apply

import (
	"cmp"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// Revert is an object that somebody has changed back.
type Revert struct {
	diff.ID
	// Declared names what is declared of it, as DeclaredAs does.
	Declared string
	// Field is the first one that differs; empty when the object was deleted.
	Field string
	// Manager is the field manager that wrote it; empty when nobody knows.
	Manager string
}

// fieldManagers stands for the field of an object that is as declared, and only not rollcall's alone.
const fieldManagers = "its field managers"

// byOthers is the revert, unless it only has what rollcall wrote in another way than by an apply: each pulse of a rollout
// does so, and nobody changes anything back by that.
func (r *Revert) byOthers() *Revert {
	if r.Field == fieldManagers && r.Manager == v1alpha1.FieldManager {
		return nil
	}
	return r
}

// Reverted are the objects that a plan puts right though they were as they are declared when the last pass ended, in the
// order of the plan.
func (o Observation) Reverted(plan diff.Plan, before Settled) []Revert {
	var out []Revert
	for _, c := range plan.Of(diff.Create, diff.Update) {
		was, settled := before[c.ID]
		if !c.Declared || !settled || was.declared != o.DeclaredAs(c.ID) {
			continue
		}
		r := Revert{ID: c.ID, Declared: was.declared}
		if i := slices.IndexFunc(o.Objects, func(object diff.Object) bool { return diff.IDOf(object.Declared) == c.ID }); i >= 0 {
			r.Manager = writer(o.Objects[i].Live, o.Objects[i].Merged)
		}
		if c.Operation == diff.Update {
			r.Field = fieldManagers
		}
		if c.Operation == diff.Update && len(c.Fields) > 0 {
			r.Field = c.Fields[0].Path
		}
		out = append(out, r)
	}
	return out
}

// DeclaredAs names what is declared of an object, so that two declarations can be told apart; empty when it was not looked
// at.
func (o Observation) DeclaredAs(id diff.ID) string { return o.marks[id].declared }

// writer is the field manager that wrote an object last, of those that have fields which an apply would make rollcall's;
// or, when somebody took a field away and none has any, of all others.
func writer(live, merged *unstructured.Unstructured) string {
	if live == nil {
		return ""
	}
	ours := fieldsOfRollcall(merged)
	had, last := "", ""
	var hadAt, lastAt time.Time
	for _, entry := range live.GetManagedFields() {
		if byRollcall(entry) || entry.Subresource == "status" || entry.Time == nil {
			continue
		}
		at := entry.Time.Time
		if !at.Before(lastAt) {
			last, lastAt = entry.Manager, at
		}
		if !at.Before(hadAt) && !leavesOf(entry).Intersection(ours).Empty() {
			had, hadAt = entry.Manager, at
		}
	}
	return cmp.Or(had, last)
}

// fieldsOfRollcall are the leaves that rollcall applies to an object, which may be nil.
func fieldsOfRollcall(o *unstructured.Unstructured) *fieldpath.Set {
	out := fieldpath.NewSet()
	if o == nil {
		return out
	}
	for _, entry := range o.GetManagedFields() {
		if byRollcall(entry) {
			out = out.Union(leavesOf(entry))
		}
	}
	return out
}

// byRollcall is whether an entry is what rollcall applies.
func byRollcall(entry metav1.ManagedFieldsEntry) bool {
	return (&Applier{}).own(entry)
}

// leavesOf are the leaves of an entry; none when it cannot be read.
func leavesOf(entry metav1.ManagedFieldsEntry) *fieldpath.Set {
	out, err := fieldsOf(entry)
	if err != nil {
		return fieldpath.NewSet()
	}
	return out.Leaves()
}
