package apply

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
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
func (a *Applier) markOf(t target, live *unstructured.Unstructured) (mark, error) {
	raw, err := json.Marshal(t.object)
	if err != nil {
		return mark{}, err
	}
	sum := sha256.Sum256(raw)
	out := mark{declared: hex.EncodeToString(sum[:]), place: a.place(t)}
	if live != nil {
		out.print = owned.PrintOf(out.place.Resource.Group, live)
	}
	return out, nil
}

// Kept returns what the objects that Git declares no more are like, but for those that these results say are gone.
func (o Observation) Kept(results Results) Settled {
	out := maps.Clone(o.former)
	for _, r := range results.Of(Deleted) {
		delete(out, r.ID)
	}
	return out
}

// place is where an object is, as this Applier's account sees it.
func (a *Applier) place(t target) owned.Place {
	p := owned.Place{As: a.as, Resource: t.mapping.Resource}
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

// Untouched is whether every settled object still is what it was. What is not watched is asked about, when all else is
// untouched.
func (a *Applier) Untouched(ctx context.Context, settled Settled) bool {
	if a.Owned == nil {
		return len(settled) == 0
	}
	unwatched := Settled{}
	for id, m := range settled {
		switch sight, known := a.Owned.See(m.place, id.Name); {
		case m.place.As != a.as:
			return false
		case !known:
			unwatched[id] = m
		case sight.Print != m.print:
			return false
		}
	}
	for id, m := range unwatched {
		if a.untouched(ctx, id, m) == nil {
			return false
		}
	}
	return true
}

// untouched returns what is known of an object that is what it was; nil when it may be another one now, or when it was
// looked at as somebody else.
func (a *Applier) untouched(ctx context.Context, id diff.ID, m mark) *unstructured.Unstructured {
	if a.Owned == nil || m.place.As != a.as {
		return nil
	}
	named := &unstructured.Unstructured{}
	named.SetGroupVersionKind(id.GroupKind().WithVersion(m.place.Resource.Version))
	if sight, known := a.Owned.See(m.place, id.Name); known {
		if sight.Print != m.print {
			return nil
		}
		return outline(named, sight)
	}
	live, err := a.Dynamic.Resource(m.place.Resource).Namespace(m.place.Namespace).Get(ctx, id.Name, metav1.GetOptions{})
	if err != nil || owned.PrintOf(m.place.Resource.Group, live) != m.print {
		return nil
	}
	return live
}

// settled returns what is known of an object that need not be tried out; nil when it must be.
func (a *Applier) settled(ctx context.Context, l located, known Settled) (*unstructured.Unstructured, mark) {
	id := diff.IDOf(l.object)
	before, is := known[id]
	if !is {
		return nil, mark{}
	}
	now, err := a.markOf(l.target, nil)
	if err != nil || now.declared != before.declared || now.place != before.place {
		return nil, mark{}
	}
	return a.untouched(ctx, id, before), before
}

// waits is whether an object is not to be put right yet. What is known of it is in the sight then.
func (a *Applier) waits(ctx context.Context, out *sight, set Set) (bool, *diff.Problem) {
	declared, waiting := set.Waiting[diff.IDOf(out.object)]
	if !waiting {
		return false, nil
	}
	now, err := a.markOf(out.target, nil)
	if err != nil || now.declared != declared {
		return false, nil
	}
	out.mark, out.Waits = now, true
	if a.Owned != nil {
		if sight, known := a.Owned.See(now.place, out.object.GetName()); known {
			if sight.Meta != nil {
				out.Live = outline(out.object, sight)
			}
			return true, nil
		}
	}
	if out.Live, err = a.get(ctx, out.target); err != nil {
		return true, a.problem("get", out.target, err)
	}
	return true, nil
}

// outline is a live object of which only who it is and whose is known.
func outline(named *unstructured.Unstructured, sight owned.Sight) *unstructured.Unstructured {
	out := &unstructured.Unstructured{}
	out.SetGroupVersionKind(named.GroupVersionKind())
	out.SetNamespace(sight.Meta.GetNamespace())
	out.SetName(sight.Meta.GetName())
	out.SetUID(sight.Meta.GetUID())
	out.SetLabels(sight.Meta.GetLabels())
	return out
}

// secret is the kind of which nothing is watched: who may list Secrets reads all of them.
func secret(r schema.GroupVersionResource) bool { return r.Group == "" && r.Resource == "secrets" }

// follow has the places of a set watched from now on.
func (a *Applier) follow(owner string, all []located, former []formerTarget) {
	if a.Owned == nil {
		return
	}
	seen := map[owned.Place]bool{}
	var places []owned.Place
	add := func(t target) {
		if t.mapping != nil && !secret(t.mapping.Resource) && !seen[a.place(t)] {
			seen[a.place(t)] = true
			places = append(places, a.place(t))
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
