package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// observed is what the stages of a pass hand on about the objects beside the
// rolled DaemonSets.
type observed struct {
	set   apply.Set
	seen  apply.Observation
	input diff.Input
	plan  diff.Plan
	// drift are the objects that are no more as Git declares them.
	drift []diff.ID
}

// changes is whether Git would change a plain config that the DaemonSet's
// running pods mount.
func (s observed) changes(ds render.DaemonSet) bool {
	return slices.ContainsFunc(s.plan.Of(diff.Keep), func(c diff.Change) bool {
		return c.Declared && slices.Contains(ds.Config, render.Reference{Kind: c.Kind, Namespace: c.Namespace, Name: c.Name})
	})
}

// brings is whether the commit makes a namespace that is missing.
func (s observed) brings(namespace string) bool {
	return slices.ContainsFunc(s.plan.Of(diff.Create), func(c diff.Change) bool {
		return c.ID == diff.ID{Name: namespace, Kind: "Namespace"}
	})
}

// kept are all objects that Git declares no more and that the plan keeps; never
// nil, for that is a pass that did not look.
func (s observed) kept() []diff.Change {
	out := []diff.Change{}
	for _, c := range s.plan.Of(diff.Keep) {
		if !c.Declared {
			out = append(out, c)
		}
	}
	return out
}

// observe asks the API server what it has and what it would make of the commit.
func (c *Controller) observe(ctx context.Context, gs *v1alpha1.GitSync, declared *render.Declared, commit string) (observed, error) {
	out := observed{set: apply.NewSet(name(gs), plain(declared), gs.Status.Inventory)}
	var frozen []diff.Reference
	for _, ds := range declared.DaemonSets {
		if native(ds) {
			continue
		}
		mounted, err := c.Rollouts.Mounted(ctx, ds)
		if err != nil {
			return out, err
		}
		frozen = append(frozen, mounted...)
	}
	m := c.remember(gs)
	out.set.Settled = m.left.settled
	out.seen = c.Objects.Observe(ctx, out.set)
	out.input = diff.Input{
		Owner: out.set.Owner, Objects: out.seen.Objects, DaemonSets: out.set.DaemonSets, Frozen: frozen,
		Previous: gs.Status.Inventory, Former: out.seen.Former, Prune: gs.Spec.Prune, Unproven: true,
		Clashes: apply.Clashes(declared.DaemonSets, out.seen.Former),
	}
	out.plan = diff.Calculate(out.input)
	m.left = left{settled: out.seen.Settled(out.plan, nil)}
	m.late = stillLate(m.late, out.plan)
	out.drift = drifted(gs, commit, m.late, out.plan)
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

// recordInventory writes down what is about to be created, so that it is listed
// even if nobody lives to see it made.
func (c *Controller) recordInventory(ctx context.Context, gs *v1alpha1.GitSync, o *outcome) error {
	if covers(gs.Status.Inventory, o.inventory) {
		return nil
	}
	next := gs.DeepCopy()
	next.Status.Inventory = o.inventory
	written, err := c.Kinds.GitSyncs(gs.Namespace).UpdateStatus(ctx, next, metav1.UpdateOptions{FieldManager: v1alpha1.FieldManager})
	if err != nil {
		return fmt.Errorf("write inventory of gitsync %s/%s: %w", gs.Namespace, gs.Name, err)
	}
	gs.ResourceVersion, gs.Status = written.ResourceVersion, written.Status
	return nil
}

// covers is whether an inventory lists all that another one does.
func covers(a, b *v1alpha1.Inventory) bool {
	return a != nil && !slices.ContainsFunc(b.Entries, func(e v1alpha1.InventoryEntry) bool { return !slices.Contains(a.Entries, e) })
}

// applyObjects applies everything but the rolled DaemonSets.
func (c *Controller) applyObjects(ctx context.Context, gs *v1alpha1.GitSync, s observed, o *outcome) error {
	results := c.Objects.Apply(ctx, s.plan, s.input.Objects)
	c.remember(gs).left.settled = s.seen.Settled(s.plan, results)
	if written := len(results.Of(apply.Created)) + len(results.Of(apply.Configured)); written > 0 {
		c.Logger.Info("applied", "gitsync", gs.Namespace+"/"+gs.Name, "commit", o.declared, "created", len(results.Of(apply.Created)), "configured", len(results.Of(apply.Configured)))
	}
	c.Metrics.drifted(gs, len(s.drift), corrected(s.drift, results))
	return joined(results.Errors())
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

// prune deletes what Git declares no more, after proof, and while nothing needs
// it.
func (c *Controller) prune(ctx context.Context, gs *v1alpha1.GitSync, s observed, o *outcome) error {
	if len(s.input.Former) == 0 {
		return c.endRollouts(ctx, s.set)
	}
	s.input.Unproven = o.proven == ""
	s, err := c.inherit(ctx, gs, o.declared, s) // with what the others have read since
	if err != nil {
		return err
	}
	if s.input, err = c.Rollouts.Spare(ctx, s.set, s.input); err != nil {
		return err
	}
	if err := c.remove(ctx, &s, o); err != nil {
		return err
	}
	s.plan = diff.Calculate(s.input) // with what the rollouts say now
	results := c.Objects.Prune(ctx, s.set.Owner, s.plan)
	o.inventory, o.withheld = apply.Inventory(s.set, s.plan, results), s.kept()
	for _, r := range results.Of(apply.Deleted) {
		c.Logger.Info("pruned", "gitsync", gs.Namespace+"/"+gs.Name, "object", r.ID.String())
	}
	return errors.Join(joined(results.Errors()), c.endRollouts(ctx, s.set))
}

// remove has the DaemonSets that Git declares no more leave their nodes in waves, and shows
// how far those are that have not.
func (c *Controller) remove(ctx context.Context, s *observed, o *outcome) error {
	removals, err := c.Rollouts.Remove(ctx, s.set.Owner, o.declared, diff.Calculate(s.input), s.input.Former)
	if err != nil {
		return err
	}
	s.input.Leaving = nil
	for _, r := range removals {
		s.input.Leaving = append(s.input.Leaving, diff.Leaving{ID: r.ID, Message: r.Message})
		o.rollouts = append(o.rollouts, v1alpha1.RolloutSummary{Namespace: r.ID.Namespace, Name: r.ID.Name, Phase: r.Phase, Reason: r.Reason})
	}
	return nil
}

// endRollouts removes the NodeRollouts of DaemonSets that Git declares no more
// and that are gone, whoever deleted them.
func (c *Controller) endRollouts(ctx context.Context, set apply.Set) error {
	list, err := c.Kinds.NodeRollouts(metav1.NamespaceAll).List(ctx, metav1.ListOptions{LabelSelector: v1alpha1.LabelOwner + "=" + set.Owner})
	if err != nil {
		return fmt.Errorf("list noderollouts of %s: %w", set.Owner, err)
	}
	for _, n := range list.Items {
		if slices.Contains(set.DaemonSets, diff.ID{Namespace: n.Namespace, Name: n.Name, Group: "apps", Kind: "DaemonSet"}) {
			continue
		}
		_, err := c.Kube.AppsV1().DaemonSets(n.Namespace).Get(ctx, n.Name, metav1.GetOptions{})
		if err == nil {
			continue
		}
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("get daemonset %s/%s: %w", n.Namespace, n.Name, err)
		}
		if err := c.Rollouts.End(ctx, types.NamespacedName{Namespace: n.Namespace, Name: n.Name}); err != nil {
			return err
		}
	}
	return nil
}

// endNative ends the rollouts of DaemonSets that Git leaves to Kubernetes, before
// they are applied as objects like others: a rollout would write them back.
func (c *Controller) endNative(ctx context.Context, declared *render.Declared) error {
	for _, ds := range declared.DaemonSets {
		if !native(ds) {
			continue
		}
		if err := c.Rollouts.End(ctx, types.NamespacedName{Namespace: ds.GetNamespace(), Name: ds.GetName()}); err != nil {
			return err
		}
	}
	return nil
}
