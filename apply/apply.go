package apply

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/rollcall-dev/rollcall/apply/owned"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// Apply writes what a plan creates and updates, stage by stage, and returns what became of each declared object. Objects
// that are as declared are not written.
//
// It is all or nothing as far as can be known: while the plan has an object that cannot be applied, nothing is written.
// When a write fails all the same, its stage goes on and the stages after it do not begin. Apply waits only for
// CustomResourceDefinitions, and no longer than EstablishTimeout.
func (a *Applier) Apply(ctx context.Context, plan diff.Plan, objects []diff.Object) Results {
	declared := map[diff.ID]diff.Object{}
	for _, o := range objects {
		declared[diff.IDOf(o.Declared)] = o
	}
	blocked := plan.Blocked()
	failed := 0
	var out Results
	for _, s := range stages() {
		before := failed
		for _, c := range inStage(plan.Changes, s) {
			if !c.Declared {
				continue
			}
			result := a.executed(ctx, c, declared[c.ID], len(blocked), before)
			if result.Done == Failed {
				failed++
			}
			out = append(out, result)
		}
	}
	return out
}

// executed does with one declared object what the plan says.
func (a *Applier) executed(ctx context.Context, c diff.Change, o diff.Object, blocked, failed int) Result {
	switch c.Operation {
	case diff.Unchanged:
		return resultOf(c, Unchanged, "", "")
	case diff.Conflict, diff.Refused, diff.Foreign:
		return resultOf(c, Failed, c.Reason, c.Message)
	case diff.Create, diff.Update:
		switch {
		case blocked > 0:
			return resultOf(c, Withheld, ReasonBlocked, fmt.Sprintf("%d objects of this commit cannot be applied, so none is", blocked))
		case failed > 0:
			return resultOf(c, Withheld, ReasonAwaitingStage, fmt.Sprintf("%d objects that come before it failed", failed))
		}
		written, problem := a.write(ctx, c, o)
		if problem != nil {
			return resultOf(c, Failed, problem.Reason, problem.Message)
		}
		out := resultOf(c, written.done, "", "")
		out.print = owned.PrintOf(c.Group, written.object)
		return out
	case diff.Keep:
		return resultOf(c, Withheld, c.Reason, c.Message)
	case diff.Release, diff.Delete:
		return resultOf(c, Failed, ReasonInvalid, "a declared object is neither released nor deleted")
	default:
		return resultOf(c, Failed, ReasonInvalid, fmt.Sprintf("operation %q is unknown", c.Operation))
	}
}

// written is an object after an apply.
type written struct {
	object *unstructured.Unstructured
	done   Done
}

// write applies one object. A write that overtakes it makes it try again.
func (a *Applier) write(ctx context.Context, c diff.Change, o diff.Object) (written, *diff.Problem) {
	t := target{object: o.Declared, source: o.Source, ignored: o.Ignored}
	mapping, err := a.awaitKind(ctx, c, o)
	if err != nil {
		return written{}, a.problem("find kind", t, err)
	}
	t.mapping = mapping
	out, problem, err := a.writePatiently(ctx, t, o.Orphan, c.Reason == diff.ReasonPending)
	switch {
	case problem != nil:
		return out, problem
	case overtaken(err):
		return out, &diff.Problem{Reason: ReasonUnavailable, Message: "somebody else keeps writing it; the next pass tries again"}
	case err != nil:
		return out, a.problem("patch", t, err)
	}
	a.logger().Info("apply", "object", c.ID.String(), "done", string(out.done), "reason", c.Reason)
	if isDefinition(t.object) {
		problem = a.awaitDefinition(ctx, t)
	}
	return out, problem
}

// writePatiently tries again when another write overtakes it, and for a while when the kind of a pending object is not
// served as its new CustomResourceDefinition says: the API server follows within a second.
func (a *Applier) writePatiently(ctx context.Context, t target, orphan string, pending bool) (out written, problem *diff.Problem, err error) {
	overtakenFor := 0
	waitErr := wait.PollUntilContextTimeout(ctx, establishPoll, schemaTimeout, true, func(context.Context) (bool, error) {
		out, problem, err = a.writeOnce(ctx, t, orphan)
		switch {
		case err == nil || problem != nil:
			return true, nil
		case overtaken(err):
			overtakenFor++
			return overtakenFor == attempts, nil
		default:
			return !pending || reasonOf(err) != ReasonInvalid, nil
		}
	})
	if err == nil {
		err = waitErr
	}
	return out, problem, err
}

// writeOnce looks at the object again, for the plan may be old, and applies it. Of all owners it takes it from the orphan
// alone, which the plan knows.
func (a *Applier) writeOnce(ctx context.Context, t target, orphan string) (written, *diff.Problem, error) {
	live, err := a.get(ctx, t)
	if err != nil {
		return written{}, nil, err
	}
	if problem := diff.ForeignTo(t.object.GetLabels()[v1alpha1.LabelOwner], orphan, live); problem != nil {
		return written{}, problem, nil
	}
	live, err = a.takeOver(ctx, t, live)
	if err != nil {
		return written{}, nil, err
	}
	out := written{done: Configured}
	if live == nil {
		out.done = Created
	}
	out.object, err = a.send(ctx, t, request{})
	if found := conflicts(err); len(found) > 0 && live != nil && a.adoptable(found) {
		out.object, err = a.send(ctx, t, request{force: true, resourceVersion: live.GetResourceVersion()})
	}
	return out, nil, err
}
