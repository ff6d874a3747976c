package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// observed is what the stages of a pass hand on about the objects beside the
// rolled DaemonSets.
type observed struct {
	set   apply.Set
	input diff.Input
	// waiting are the plain ConfigMaps and Secrets that running pods mount while
	// another version rolls out.
	waiting []diff.Reference
	// held are those of waiting that Git would change.
	held []diff.Reference
}

// changes is whether Git would change a plain config that the DaemonSet's
// running pods mount.
func (s observed) changes(ds render.DaemonSet) bool {
	return slices.ContainsFunc(ds.Config, func(r render.Reference) bool { return slices.Contains(s.held, diff.Reference(r)) })
}

// observe asks the API server what it has and what it would make of the commit.
func (c *Controller) observe(ctx context.Context, gs *v1alpha1.GitSync, declared *render.Declared) (observed, error) {
	out := observed{set: apply.NewSet(name(gs), plain(declared), gs.Status.Inventory)}
	for _, ds := range declared.DaemonSets {
		if native(ds) {
			continue
		}
		mounted, err := c.Rollouts.Mounted(ctx, ds)
		if err != nil {
			return out, err
		}
		out.waiting = append(out.waiting, mounted...)
	}
	seen := c.Objects.Observe(ctx, out.set)
	objects := out.leave(seen.Objects)
	out.input = diff.Input{
		Owner: out.set.Owner, Objects: objects, DaemonSets: out.set.DaemonSets,
		Previous: gs.Status.Inventory, Former: seen.Former, Prune: gs.Spec.Prune, Unproven: true,
	}
	return out, nil
}

// plain is the commit with native DaemonSets among the objects.
func plain(declared *render.Declared) *render.Declared {
	out := &render.Declared{Objects: slices.Clone(declared.Objects)}
	for _, ds := range declared.DaemonSets {
		if native(ds) {
			out.Objects = append(out.Objects, ds.Object)
			continue
		}
		out.DaemonSets = append(out.DaemonSets, ds)
	}
	return out
}

// leave makes an update of what waits into no change, so that it stays in the
// inventory and is written once the rollout is proven.
func (s *observed) leave(objects []diff.Object) []diff.Object {
	out := slices.Clone(objects)
	for i := range out {
		d := out[i].Declared
		ref := diff.Reference{Kind: d.GetKind(), Namespace: d.GetNamespace(), Name: d.GetName()}
		if out[i].Live == nil || out[i].Merged == nil || !slices.Contains(s.waiting, ref) {
			continue
		}
		if !sameContent(out[i].Live, out[i].Merged) {
			s.held = append(s.held, ref)
		}
		out[i].Merged, out[i].TakenFrom = out[i].Live, nil
	}
	return out
}

// sameContent compares what a pod can read of a ConfigMap or Secret.
func sameContent(a, b *unstructured.Unstructured) bool {
	for _, field := range []string{"data", "binaryData"} {
		if !equality.Semantic.DeepEqual(a.Object[field], b.Object[field]) {
			return false
		}
	}
	return true
}

// applyObjects applies everything but the rolled DaemonSets, or, when one
// object cannot be applied, nothing.
func (c *Controller) applyObjects(ctx context.Context, gs *v1alpha1.GitSync, s observed, o *outcome) error {
	plan := diff.Calculate(s.input)
	results := c.Objects.Apply(ctx, plan, s.input.Objects)
	o.inventory = apply.Inventory(s.set, plan, nil)
	if written := len(results.Of(apply.Created)) + len(results.Of(apply.Configured)); written > 0 {
		c.Logger.Info("applied", "gitsync", gs.Namespace+"/"+gs.Name, "commit", o.fetched.Commit, "created", len(results.Of(apply.Created)), "configured", len(results.Of(apply.Configured)))
	}
	return errors.Join(blocked(plan), joined(results.Errors()))
}

// blocked is an error for every declared object that stands in the way.
func blocked(plan diff.Plan) error {
	var errs []error
	for _, b := range plan.Blocked() {
		errs = append(errs, &apply.Error{Reason: b.Reason, Object: fmt.Sprintf("%s (%s)", b.ID, b.Source), Message: b.Message})
	}
	return errors.Join(errs...)
}

func joined(list []*apply.Error) error {
	errs := make([]error, len(list))
	for i, e := range list {
		errs[i] = e
	}
	return errors.Join(errs...)
}

// prune deletes what Git declares no more, after proof: it is asked with what
// the rollouts say now.
func (c *Controller) prune(ctx context.Context, gs *v1alpha1.GitSync, s observed, o *outcome) error {
	if len(s.input.Former) == 0 {
		return nil
	}
	used, err := c.Rollouts.InUse(ctx, s.set.Owner)
	if err != nil {
		return err
	}
	s.input.InUse, s.input.Unproven = used, o.proven == ""
	plan := diff.Calculate(s.input)
	results := c.Objects.Prune(ctx, s.set.Owner, plan)
	o.inventory = apply.Inventory(s.set, plan, results)
	for _, r := range results.Of(apply.Withheld) {
		o.withheld = append(o.withheld, r.Reason)
	}
	for _, r := range results.Of(apply.Deleted) {
		c.Logger.Info("pruned", "gitsync", gs.Namespace+"/"+gs.Name, "object", r.ID.String())
		if r.Kind != "DaemonSet" {
			continue
		}
		if err := c.endRollout(ctx, r.Namespace, r.Name); err != nil {
			return err
		}
	}
	return joined(results.Errors())
}

// endRollout removes the NodeRollout of a DaemonSet that is pruned, or left to
// Kubernetes from now on.
func (c *Controller) endRollout(ctx context.Context, namespace, name string) error {
	err := c.Kinds.NodeRollouts(namespace).Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete noderollout %s/%s: %w", namespace, name, err)
	}
	return nil
}
