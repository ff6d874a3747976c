package sync

import (
	"cmp"
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// pass brings the cluster one step nearer to Git and says what it found. While
// Git cannot be read, that is the last good commit.
func (c *Controller) pass(ctx context.Context, gs *v1alpha1.GitSync) *outcome {
	o := newOutcome(gs)
	if err := c.bind(ctx, gs); err != nil {
		return o.fail(err)
	}
	if gs.Spec.Suspend {
		c.passSoon(c.others.awaiting(name(gs))...)
		return o
	}
	newest, err := c.read(ctx, gs, o)
	if newest != nil {
		o.findings, o.looked = newest.Findings, true
	}
	missing := c.checkAccount(ctx, gs)
	switch {
	case missing != nil:
		err = errors.Join(err, missing)
	case newest == nil && o.observing():
	case newest == nil:
		err = errors.Join(err, c.Rollouts.Remake(ctx, apply.Owner(name(gs)), c.accountOf(gs), gs.Status.Inventory))
	case o.observing():
		err = errors.Join(err, c.watch(ctx, gs, c.remember(gs).newest(), o))
	default:
		err = errors.Join(err, c.proceed(ctx, gs, o))
	}
	if err != nil {
		return o.fail(err)
	}
	return o
}

// proceed converges to the newest commit, or to the last admitted one while that is
// held.
func (c *Controller) proceed(ctx context.Context, gs *v1alpha1.GitSync, o *outcome) error {
	v := c.admit(ctx, gs, o)
	o.declared = v.commit.Commit
	var err error
	if o.awaitsApproval() {
		err = c.preview(ctx, gs, o)
	}
	if v.declared == nil {
		c.remember(gs).left = left{}
		return errors.Join(err, c.Rollouts.Remake(ctx, apply.Owner(name(gs)), c.accountOf(gs), gs.Status.Inventory))
	}
	return errors.Join(err, c.converge(ctx, gs, v.declared, o))
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
	o.reverts = seen.reverts
	o.inventory, o.withheld, o.objects = apply.Inventory(seen.set, seen.plan, nil), seen.kept(), len(seen.set.Objects)
	err = errors.Join(err, c.Metrics.time(stageApply, func() error { return c.write(ctx, gs, declared, seen, o) }))
	c.Metrics.fought(gs, c.remember(gs).fights.fought(), o.reverts)
	o.fought, o.fights = seen.fought(), c.remember(gs).fights.spell(time.Now())
	o.native = len(declared.DaemonSets) - len(seen.set.DaemonSets)
	rollouts, unread := c.readRollouts(ctx, declared, seen)
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
	work := seen.objects.Begin(seen.plan, seen.input.Objects)
	defer func() { c.wrote(gs, seen, work, o) }()
	if m := c.remember(gs); m.whole == m.from && len(seen.plan.Blocked()) > 0 {
		return c.correct(ctx, gs, declared, seen, work, o)
	}
	if err := c.writeObjects(ctx, gs, declared, seen, work, o); err != nil {
		return errors.Join(err, c.keepDaemonSets(ctx, gs, declared, seen))
	}
	if err := c.declareDaemonSets(ctx, gs, declared, seen, o); err != nil {
		return err
	}
	if err := joined(work.Admission(ctx).Errors()); err != nil {
		return err
	}
	if !o.emptied() {
		o.applied = o.declared
	}
	m := c.remember(gs)
	m.whole = m.from
	return nil
}

// correct puts right what has drifted from a commit that was applied whole, of
// which one object or more cannot be applied now: those keep nothing else from it.
// After a restart nobody knows that it was applied whole, and it is all or nothing.
func (c *Controller) correct(ctx context.Context, gs *v1alpha1.GitSync, declared *render.Declared, seen observed, work *apply.Application, o *outcome) error {
	work.Separate = true
	work.BeforeAdmission(ctx)
	err := c.declareDaemonSets(ctx, gs, declared, seen, o)
	if err != nil {
		err = errors.Join(err, c.keepDaemonSets(ctx, gs, declared, seen))
	}
	work.Admission(ctx)
	return errors.Join(joined(work.Results.Errors()), err)
}

// keepDaemonSets has those DaemonSets stay on their nodes that a commit declares which
// cannot be applied: they are made again if somebody deleted them, and those that an
// earlier commit has leave their nodes do so no more, for Git does not ask for that now.
func (c *Controller) keepDaemonSets(ctx context.Context, gs *v1alpha1.GitSync, declared *render.Declared, seen observed) error {
	errs := []error{c.Rollouts.Remake(ctx, seen.set.Owner, seen.set.As, gs.Status.Inventory)}
	for _, ds := range declared.DaemonSets {
		errs = append(errs, c.Rollouts.Stay(ctx, seen.set.Owner, keyOf(ds)))
	}
	return errors.Join(errs...)
}

// writeObjects applies what the DaemonSets of a commit need, or, when one
// object of it cannot be applied, nothing: half a commit is a state that nobody
// has reviewed.
func (c *Controller) writeObjects(ctx context.Context, gs *v1alpha1.GitSync, declared *render.Declared, seen observed, work *apply.Application, o *outcome) error {
	if err := errors.Join(blocked(seen.plan), c.checkDaemonSets(ctx, gs, declared, seen, o)); err != nil {
		return err
	}
	if err := c.recordInventory(ctx, gs, o); err != nil {
		return err
	}
	if err := c.endNative(ctx, declared); err != nil {
		return err
	}
	return joined(work.BeforeAdmission(ctx).Errors())
}

// checkDaemonSets asks before anything of a commit is written whether the API
// server takes its DaemonSets. Once that was so, it is not asked again, unless the
// commit is of another path now and other objects of it stand in the way.
func (c *Controller) checkDaemonSets(ctx context.Context, gs *v1alpha1.GitSync, declared *render.Declared, seen observed, o *outcome) error {
	taken := gs.Status.Applied == o.declared && gs.Status.ObservedGeneration == gs.Generation && !c.remember(gs).anew()
	if taken && len(seen.plan.Blocked()) == 0 {
		return nil
	}
	var errs []error
	for _, ds := range declared.DaemonSets {
		if native(ds) || seen.rests(ds) {
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
		if native(ds) || seen.rests(ds) || seen.handed[keyOf(ds)] || c.waits(gs, ds, seen) {
			return nil
		}
		around, differed, err := c.Rollouts.Declare(ctx, declaration(gs, ds, seen, o))
		if err == nil {
			m := c.remember(gs)
			m.left.declared(gs, ds, around)
			o.reverts += m.fightAround(seen.before[keyOf(ds)], m.left.around[keyOf(ds)], differed)
		}
		return err
	})
}

func declaration(gs *v1alpha1.GitSync, ds render.DaemonSet, seen observed, o *outcome) apply.Declaration {
	policy := cmp.Or(ds.GetAnnotations()[v1alpha1.AnnotationPolicy], gs.Spec.Policy)
	return apply.Declaration{DaemonSet: ds, Commit: o.declared, Policy: policy, Owner: seen.set.Owner, As: seen.set.As, AdoptFrom: gs.Spec.AdoptFrom, ConfigChanged: seen.changes(ds), Ignore: gs.Spec.Ignore}
}

// native DaemonSets are applied and watched, but their pods are left to
// Kubernetes.
func native(ds render.DaemonSet) bool {
	return ds.GetAnnotations()[v1alpha1.AnnotationRollout] == v1alpha1.RolloutNative
}

func name(gs *v1alpha1.GitSync) types.NamespacedName {
	return types.NamespacedName{Namespace: gs.Namespace, Name: gs.Name}
}
