package apply

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/rollcall-dev/rollcall/apply/owned"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// writes is how many objects of a stage are written at once.
const writes = 8

// Application is a plan while it is executed.
type Application struct {
	applier  *Applier
	plan     diff.Plan
	declared map[diff.ID]diff.Object
	// Separate is whether an object that cannot be applied keeps no other one from it, as when all were applied before.
	Separate bool
	// Results are what became of the objects so far, stage by stage.
	Results Results
}

// Apply writes what a plan creates and updates, stage by stage, and returns what became of each declared object. Objects
// that are as declared are not written.
//
// It is all or nothing as far as can be known: while the plan has an object that cannot be applied, nothing is written.
// When a write fails all the same, its stage goes on and the stages after it do not begin. Apply waits only for
// CustomResourceDefinitions, and no longer than EstablishTimeout.
func (a *Applier) Apply(ctx context.Context, plan diff.Plan, objects []diff.Object) Results {
	p := a.Begin(plan, objects)
	return append(p.BeforeAdmission(ctx), p.Admission(ctx)...)
}

// Begin is Apply in two parts: what the declared DaemonSets need, or are, and what can refuse their pods.
func (a *Applier) Begin(plan diff.Plan, objects []diff.Object) *Application {
	out := &Application{applier: a, plan: plan, declared: map[diff.ID]diff.Object{}}
	for _, o := range objects {
		out.declared[diff.IDOf(o.Declared)] = o
	}
	return out
}

// BeforeAdmission executes the stages up to the DaemonSets.
func (p *Application) BeforeAdmission(ctx context.Context) Results {
	return p.through(ctx, stagesWithAgents())
}

// Admission executes what comes after the DaemonSets.
func (p *Application) Admission(ctx context.Context) Results {
	return p.through(ctx, []stage{admission})
}

func (p *Application) through(ctx context.Context, stages []stage) Results {
	var out Results
	for _, s := range stages {
		done := p.stage(ctx, s)
		p.Results, out = append(p.Results, done...), append(out, done...)
	}
	return out
}

// stage executes one stage, several objects at once. The results have the order of the plan.
func (p *Application) stage(ctx context.Context, s stage) Results {
	changes := slices.DeleteFunc(inStage(p.plan.Changes, s), func(c diff.Change) bool { return !c.Declared })
	out, blocked, failed := make(Results, len(changes)), len(p.plan.Blocked()), len(p.Results.Of(Failed))
	if p.Separate {
		blocked, failed = 0, 0
	}
	var group errgroup.Group
	group.SetLimit(writes)
	for i, c := range changes {
		group.Go(func() error {
			out[i] = p.applier.executed(ctx, c, p.declared[c.ID], blocked, failed)
			return nil
		})
	}
	_ = group.Wait() // Nothing above returns an error: failures are results.
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
	out, problem, err := a.writePatiently(ctx, t, o, c.Reason == diff.ReasonPending)
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
func (a *Applier) writePatiently(ctx context.Context, t target, o diff.Object, pending bool) (out written, problem *diff.Problem, err error) {
	overtakenFor, again := 0, false
	waitErr := wait.PollUntilContextTimeout(ctx, establishPoll, schemaTimeout, true, func(context.Context) (bool, error) {
		out, problem, err = a.writeOnce(ctx, t, o, again)
		again = true
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

// writeOnce applies the object to what was seen of it, unless somebody wrote it since; or again, to what there is now. Of
// all owners it takes it from the orphan alone, which the plan knows.
func (a *Applier) writeOnce(ctx context.Context, t target, o diff.Object, again bool) (written, *diff.Problem, error) {
	live := o.Live
	if again || live != nil && live.GetResourceVersion() == "" { // of what is only watched less is known
		var err error
		if live, err = a.get(ctx, t); err != nil {
			return written{}, nil, err
		}
	}
	if problem := diff.ForeignTo(t.object.GetLabels()[v1alpha1.LabelOwner], o.Orphan, live); problem != nil {
		return written{}, problem, nil
	}
	live, err := a.takeOver(ctx, t, live)
	if err != nil {
		return written{}, nil, err
	}
	if live == nil {
		made, err := a.sendNew(ctx, t, false)
		return written{object: made, done: Created}, nil, err
	}
	out, err := a.writeTo(ctx, t, live, !again)
	return out, nil, err
}

// writeTo applies the object to a live one; fenced, to no other than that one.
func (a *Applier) writeTo(ctx context.Context, t target, live *unstructured.Unstructured, fenced bool) (out written, err error) {
	out.done = Configured
	r := request{}
	if fenced {
		r.resourceVersion = live.GetResourceVersion()
	}
	out.object, err = a.send(ctx, t, r)
	if found := conflicts(err); len(found) > 0 && a.adoptable(found) {
		out.object, err = a.send(ctx, t, request{force: true, resourceVersion: live.GetResourceVersion()})
	}
	return out, err
}
