package apply

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/rollcall-dev/rollcall/apply/owned"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// requests is how many requests of one observation are under way at once.
const requests = 8

// Observe asks the API server what it has of a set and what it would make of it, by a dry-run of each object. It writes
// nothing. Whatever is wrong is in the observation, all of it: nothing stops it early but the end of ctx, and then every
// object that was not asked about has a problem.
func (a *Applier) Observe(ctx context.Context, set Set) Observation {
	all := a.locate(set)
	seen := make([]sight, len(all))
	former := a.locateFormer(set)
	a.follow(set.Owner, all, former)
	out := Observation{Former: make([]diff.Former, len(former))}
	var group errgroup.Group
	group.SetLimit(requests)
	for i := range all {
		group.Go(func() error {
			seen[i] = a.look(ctx, all[i], set)
			return nil
		})
	}
	for i := range former {
		group.Go(func() error {
			out.Former[i] = a.lookFormer(ctx, former[i])
			return nil
		})
	}
	_ = group.Wait() // Nothing above returns an error: problems are part of the observation.
	out.Objects, out.marks, out.former = awaited(seen), marks(seen), Settled{}
	for i, f := range out.Former {
		if f.Live != nil && f.Problem == nil {
			place := a.place(former[i].target)
			out.former[f.ID] = mark{place: place, print: owned.PrintOf(place.Resource.Group, f.Live)}
		}
	}
	return out
}

func marks(seen []sight) Settled {
	out := Settled{}
	for _, s := range seen {
		if s.mark.declared != "" {
			out[diff.IDOf(s.object)] = s.mark
		}
	}
	return out
}

// sight is an observed object with what later tells whether its problem solves itself.
type sight struct {
	diff.Object
	located
	missing dependency
	mark    mark
}

// look observes one object. A write that overtakes it makes it look again.
func (a *Applier) look(ctx context.Context, l located, set Set) sight {
	out := sight{located: l, Object: diff.Object{Declared: l.object, Source: l.source, Pending: l.pending, Problem: l.problem, Ignored: l.ignored}}
	if l.problem != nil || l.pending != "" {
		return out
	}
	if waits, problem := a.waits(ctx, &out, set); waits {
		out.Problem = problem
		return out
	}
	if live, mark := a.settled(ctx, l, set.Settled); live != nil {
		out.Live, out.Merged, out.mark = live, live, mark
		return out
	}
	for range attempts {
		verb, err := a.lookOnce(ctx, &out, set)
		if err == nil {
			out.mark, err = a.markOf(l.target, out.Live)
		}
		if err == nil {
			return out
		}
		out.Problem, out.missing = withoutIt(l.target, a.problem(verb, l.target, err)), missing(err)
		if !overtaken(err) {
			return out
		}
		out.Problem = &diff.Problem{Reason: ReasonUnavailable, Message: "somebody else keeps writing it; the next pass tries again"}
	}
	return out
}

// lookOnce returns the verb that failed with the error.
func (a *Applier) lookOnce(ctx context.Context, out *sight, set Set) (verb string, err error) {
	out.Problem, out.Live = nil, nil
	var untaken error
	if set.Previous == nil { // of what a new GitSync declares there is most likely nothing yet
		if untaken = a.tryInto(ctx, out, nil); untaken == nil {
			return "", nil
		}
	}
	live, err := a.get(ctx, out.target)
	if err != nil {
		return "get", err
	}
	if out.Live = live; live == nil && untaken != nil && !overtaken(untaken) {
		return "patch", untaken
	}
	if out.Problem = diff.ForeignTo(set.Owner, "", live); out.Problem != nil {
		other := live.GetLabels()[v1alpha1.LabelOwner]
		orphan, err := a.orphan(ctx, other, diff.IDOf(out.Declared))
		if err != nil || !orphan {
			return "get", err
		}
		out.Orphan, out.Problem = other, nil
	}
	if sameForGood(out.Declared, live) {
		out.Merged = live
		return "", nil
	}
	return "patch", a.tryInto(ctx, out, live)
}

// tryInto notes what an apply would make of a live object, or of none.
func (a *Applier) tryInto(ctx context.Context, out *sight, live *unstructured.Unstructured) error {
	tried, err := a.tryOut(ctx, out.target, live)
	out.Merged, out.Sides, out.TakenFrom, out.LetsGo, out.Problem = tried.merged, tried.sides, tried.takenFrom, tried.letsGo, tried.problem
	return err
}

// sameForGood reports whether live is an immutable ConfigMap or Secret of this owner that already has the declared
// content. Nobody can change it, so that nobody need be asked.
func sameForGood(declared, live *unstructured.Unstructured) bool {
	if live == nil || live.GetLabels()[v1alpha1.LabelOwner] != declared.GetLabels()[v1alpha1.LabelOwner] {
		return false
	}
	for _, o := range []*unstructured.Unstructured{declared, live} {
		immutable, _, err := unstructured.NestedBool(o.Object, "immutable")
		if !immutable || err != nil {
			return false
		}
	}
	return equality.Semantic.DeepEqual(declared.Object["data"], live.Object["data"]) &&
		equality.Semantic.DeepEqual(declared.Object["binaryData"], live.Object["binaryData"])
}

// awaited makes those problems pending that the set itself solves: a dry-run does not see what comes before it in the
// same set, neither a namespace nor the next version of a schema.
func awaited(seen []sight) []diff.Object {
	made, changed := map[dependency]bool{}, map[schema.GroupKind]bool{}
	for _, s := range seen {
		if s.Problem != nil || s.mapping == nil {
			continue
		}
		if s.Live == nil {
			made[dependency{s.mapping.Resource.Resource, s.object.GetName()}] = true
		}
		if isDefinition(s.object) && !sameSpec(s.Live, s.Merged) {
			changed[definedKind(s.object)] = true
		}
	}
	out := make([]diff.Object, 0, len(seen))
	for _, s := range seen {
		if awaits := s.awaits(made, changed); awaits != "" {
			s.Problem, s.Pending = nil, awaits
		}
		out = append(out, s.Object)
	}
	return out
}

// awaits says what of the same set solves the problem; empty when nothing does.
func (s sight) awaits(made map[dependency]bool, changed map[schema.GroupKind]bool) string {
	switch {
	case s.Problem == nil:
		return ""
	case made[s.missing]:
		return fmt.Sprintf("%s %s comes first", s.missing.resource, s.missing.name)
	case s.Problem.Reason == ReasonInvalid && changed[s.object.GroupVersionKind().GroupKind()]:
		return "the change of its CustomResourceDefinition comes first"
	default:
		return ""
	}
}

func sameSpec(live, merged *unstructured.Unstructured) bool {
	return live != nil && merged != nil && equality.Semantic.DeepEqual(live.Object["spec"], merged.Object["spec"])
}

// locateFormer finds the objects that the inventory lists and the set does not.
func (a *Applier) locateFormer(set Set) []formerTarget {
	var out []formerTarget
	for _, f := range formerIDs(set) {
		t, err := a.targetOf(f.ID, f.version)
		out = append(out, formerTarget{target: t, err: err})
	}
	return out
}

// formerTarget is an object of the inventory with where the cluster keeps it, or with why that is not known.
type formerTarget struct {
	target
	err error
}

// lookFormer observes an object that the inventory lists and the set does not. With its kind it is gone too.
func (a *Applier) lookFormer(ctx context.Context, f formerTarget) diff.Former {
	out := diff.Former{ID: diff.IDOf(f.object)}
	err := f.err
	if err == nil {
		out.Live, err = a.get(ctx, f.target)
	}
	unknown := meta.IsNoMatchError(err) || notServed(err)
	if err != nil && !(unknown && a.extinct(f.object.GroupVersionKind())) {
		out.Problem = a.problem("get", f.target, err)
	}
	return out
}
