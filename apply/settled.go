package apply

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply/owned"
	"github.com/rollcall-dev/rollcall/diff"
)

// Settled are objects that were as Git declares them when somebody last looked. While what Git declares of one is the
// same, and so is what the API server has, nobody need ask what an apply would make of it.
type Settled map[diff.ID]mark

// mark is how an object was declared and what it was like.
type mark struct {
	declared string
	place    owned.Place
	print    owned.Print
}

// markOf is the mark of a declared object as it is live; without a print when there is none.
func markOf(t target, live *unstructured.Unstructured) (mark, error) {
	raw, err := json.Marshal(t.object)
	if err != nil {
		return mark{}, err
	}
	sum := sha256.Sum256(raw)
	out := mark{declared: hex.EncodeToString(sum[:]), place: t.place()}
	if live != nil {
		out.print = owned.PrintOf(out.place.Resource.Group, live)
	}
	return out, nil
}

func (t target) place() owned.Place {
	p := owned.Place{Resource: t.mapping.Resource}
	if t.namespaced() {
		p.Namespace = t.object.GetNamespace()
	}
	return p
}

// Settled returns which objects are as declared once a plan was executed with these results.
func (o Observation) Settled(plan diff.Plan, results Results) Settled {
	out := Settled{}
	for _, c := range plan.Of(diff.Unchanged) {
		if m, known := o.marks[c.ID]; known && m.print != "" {
			out[c.ID] = m
		}
	}
	for _, r := range results {
		if m, known := o.marks[r.ID]; known && r.print != "" {
			m.print = r.print
			out[r.ID] = m
		}
	}
	return out
}

// Untouched is whether every settled object still is what it was. What cannot be watched may have been touched.
func (a *Applier) Untouched(settled Settled) bool {
	for id, m := range settled {
		if _, same := a.untouched(id, m); !same {
			return false
		}
	}
	return true
}

func (a *Applier) untouched(id diff.ID, m mark) (owned.Sight, bool) {
	if a.Owned == nil {
		return owned.Sight{}, false
	}
	sight, known := a.Owned.See(m.place, id.Name)
	return sight, known && sight.Print == m.print
}

// settled returns what is known of an object that need not be asked about; nil when it must be.
func (a *Applier) settled(l located, known Settled) (*unstructured.Unstructured, mark) {
	id := diff.IDOf(l.object)
	before, is := known[id]
	if !is {
		return nil, mark{}
	}
	now, err := markOf(l.target, nil)
	if err != nil || now.declared != before.declared || now.place != before.place {
		return nil, mark{}
	}
	sight, same := a.untouched(id, before)
	if !same {
		return nil, mark{}
	}
	return outline(l.object, sight), before
}

// outline is a live object of which only the metadata is known.
func outline(named *unstructured.Unstructured, sight owned.Sight) *unstructured.Unstructured {
	out := &unstructured.Unstructured{}
	out.SetGroupVersionKind(named.GroupVersionKind())
	out.SetNamespace(sight.Meta.GetNamespace())
	out.SetName(sight.Meta.GetName())
	out.SetUID(sight.Meta.GetUID())
	out.SetLabels(sight.Meta.GetLabels())
	out.SetFinalizers(sight.Meta.GetFinalizers())
	out.SetDeletionTimestamp(sight.Meta.GetDeletionTimestamp())
	return out
}

// follow has the places of a set watched from now on.
func (a *Applier) follow(owner string, all []located, former []formerTarget) {
	if a.Owned == nil {
		return
	}
	seen := map[owned.Place]bool{}
	var places []owned.Place
	add := func(t target) {
		if t.mapping != nil && !seen[t.place()] {
			seen[t.place()] = true
			places = append(places, t.place())
		}
	}
	for _, l := range all {
		add(l.target)
	}
	for _, f := range former {
		add(f.target)
	}
	a.Owned.Follow(owner, places)
}

// Forget ends the watches that only the GitSync needed.
func (a *Applier) Forget(gitsync types.NamespacedName) {
	if a.Owned != nil {
		a.Owned.Follow(Owner(gitsync), nil)
	}
}
