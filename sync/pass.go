package sync

import (
	"cmp"
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// pass brings the cluster one step nearer to Git and says what it found. While
// Git cannot be read, that is the last good commit.
func (c *Controller) pass(ctx context.Context, gs *v1alpha1.GitSync) *outcome {
	o := newOutcome(gs)
	if gs.Spec.Suspend || gs.DeletionTimestamp != nil {
		c.passSoon(c.others.awaiting(name(gs))...)
		return o
	}
	declared, err := c.read(ctx, gs, o)
	if declared != nil {
		err = errors.Join(err, c.converge(ctx, gs, declared, o))
	} else {
		err = errors.Join(err, c.Rollouts.Remake(ctx, apply.Owner(name(gs)), gs.Status.Inventory))
	}
	if err != nil {
		return o.fail(err)
	}
	return o
}

// converge makes the cluster what a commit declares, as far as that can be done
// now. What fails leaves the rest as it is.
func (c *Controller) converge(ctx context.Context, gs *v1alpha1.GitSync, declared *render.Declared, o *outcome) error {
	var seen observed
	if err := c.Metrics.time(stageDiff, func() (err error) {
		seen, err = c.observe(ctx, gs, declared, o.declared)
		return err
	}); err != nil {
		return err
	}
	c.Metrics.drifted(gs, len(seen.drift), 0)
	seen, err := c.inherit(ctx, gs, o.declared, seen)
	o.inventory, o.withheld, o.objects = apply.Inventory(seen.set, seen.plan, nil), seen.kept(), len(seen.set.Objects)
	err = errors.Join(err, c.Metrics.time(stageApply, func() error { return c.write(ctx, gs, declared, seen, o) }))
	o.native = len(declared.DaemonSets) - len(seen.set.DaemonSets)
	rollouts, unread := c.readRollouts(ctx, declared)
	if unread == nil {
		o.take(summarise(rollouts))
	}
	if err := errors.Join(err, unread); err != nil {
		return err
	}
	return c.Metrics.time(stagePrune, func() error { return c.prune(ctx, gs, seen, o) })
}

// write applies a commit. When that does not come as far as its DaemonSets, those
// of the commit before keep running, and are made again if somebody deleted them.
func (c *Controller) write(ctx context.Context, gs *v1alpha1.GitSync, declared *render.Declared, seen observed, o *outcome) error {
	if err := c.writeObjects(ctx, gs, declared, seen, o); err != nil {
		return errors.Join(err, c.Rollouts.Remake(ctx, seen.set.Owner, gs.Status.Inventory))
	}
	if err := c.declareDaemonSets(ctx, gs, declared, seen, o); err != nil {
		return err
	}
	if !o.emptied() {
		o.applied = o.declared
	}
	return nil
}

// writeObjects applies what comes before the DaemonSets of a commit, or, when one
// object of it cannot be applied, nothing: half a commit is a state that nobody
// has reviewed.
func (c *Controller) writeObjects(ctx context.Context, gs *v1alpha1.GitSync, declared *render.Declared, seen observed, o *outcome) error {
	if err := errors.Join(blocked(seen.plan), c.checkDaemonSets(ctx, gs, declared, seen, o)); err != nil {
		return err
	}
	if err := c.recordInventory(ctx, gs, o); err != nil {
		return err
	}
	if err := c.endNative(ctx, declared); err != nil {
		return err
	}
	return c.applyObjects(ctx, gs, seen, o)
}

// checkDaemonSets asks before anything of a commit is written whether the API
// server takes its DaemonSets. Once that was so, it is not asked again, unless the
// commit is of another path now and other objects of it stand in the way.
func (c *Controller) checkDaemonSets(ctx context.Context, gs *v1alpha1.GitSync, declared *render.Declared, seen observed, o *outcome) error {
	taken := gs.Status.Applied == o.declared && gs.Status.ObservedGeneration == gs.Generation
	if taken && len(seen.plan.Blocked()) == 0 {
		return nil
	}
	var errs []error
	for _, ds := range declared.DaemonSets {
		if native(ds) {
			continue
		}
		err := c.Rollouts.Check(ctx, declaration(gs, ds, seen, o))
		var refused *apply.Error
		if errors.As(err, &refused) && refused.Reason == apply.ReasonNamespaceNotFound && seen.brings(ds.GetNamespace()) {
			continue
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// declareDaemonSets hands every DaemonSet to its rollout. One that cannot be
// handed over does not stop the others.
func (c *Controller) declareDaemonSets(ctx context.Context, gs *v1alpha1.GitSync, declared *render.Declared, seen observed, o *outcome) error {
	return declareInOrder(declared.DaemonSets, func(ds render.DaemonSet) error {
		if native(ds) {
			return nil
		}
		around, err := c.Rollouts.Declare(ctx, declaration(gs, ds, seen, o))
		if err == nil {
			c.remember(gs).left.declared(ds, around)
		}
		return err
	})
}

func declaration(gs *v1alpha1.GitSync, ds render.DaemonSet, seen observed, o *outcome) apply.Declaration {
	policy := cmp.Or(ds.GetAnnotations()[v1alpha1.AnnotationPolicy], gs.Spec.Policy)
	return apply.Declaration{DaemonSet: ds, Commit: o.declared, Policy: policy, Owner: seen.set.Owner, ConfigChanged: seen.changes(ds), Ignore: gs.Spec.Ignore}
}

// native DaemonSets are applied and watched, but their pods are left to
// Kubernetes.
func native(ds render.DaemonSet) bool {
	return ds.GetAnnotations()[v1alpha1.AnnotationRollout] == v1alpha1.RolloutNative
}

func name(gs *v1alpha1.GitSync) types.NamespacedName {
	return types.NamespacedName{Namespace: gs.Namespace, Name: gs.Name}
}
