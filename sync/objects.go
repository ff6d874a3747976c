package sync

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

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
	// objects reads and writes as the GitSync's account.
	objects *apply.Applier

	set   apply.Set
	seen  apply.Observation
	input diff.Input
	plan  diff.Plan
	// resting are the NodeRollouts of the DaemonSets that nobody need be asked about.
	resting map[types.NamespacedName]*v1alpha1.NodeRollout
	// handed are the DaemonSets that a pass before has handed over to their rollouts, as
	// they are still declared.
	handed map[types.NamespacedName]bool
	// before is how the last pass left the DaemonSets.
	before map[types.NamespacedName]restedDaemonSet
	// reverts counts the objects that somebody has changed back since.
	reverts int
	// drift are the objects that are no more as Git declares them.
	drift []diff.ID
}

// changes is whether Git would change a plain config that the DaemonSet's
// running pods mount.
func (s observed) changes(ds render.DaemonSet) bool {
	return slices.ContainsFunc(s.plan.Of(diff.Keep), func(c diff.Change) bool {
		return c.Declared && c.Reason != diff.ReasonFought && slices.Contains(ds.Config, render.Reference{Kind: c.Kind, Namespace: c.Namespace, Name: c.Name})
	})
}

// rests is whether nobody need be asked about the DaemonSet.
func (s observed) rests(ds render.DaemonSet) bool { return s.resting[keyOf(ds)] != nil }

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

// spared are the objects that the plan deletes and that are there still: such as
// one that waits for its finalizers.
func (s observed) spared(results apply.Results) []diff.Change {
	var out []diff.Change
	for _, c := range s.plan.Of(diff.Delete) {
		for _, r := range results.Of(apply.Withheld) {
			if r.ID == c.ID && r.Reason != diff.ReasonNotOwned {
				c.Operation, c.Reason, c.Message = diff.Keep, r.Reason, r.Message
				out = append(out, c)
			}
		}
	}
	return out
}

// observe asks the API server what it has and what it would make of the commit.
func (c *Controller) observe(ctx context.Context, gs *v1alpha1.GitSync, declared *render.Declared, commit string) (observed, error) {
	out := observed{set: apply.NewSet(name(gs), plain(declared), gs.Status.Inventory), resting: c.resting(gs, declared, commit), handed: c.handed(gs, declared, commit)}
	out.set.As = c.accountOf(gs)
	var err error
	if out.objects, err = c.as(gs); err != nil {
		return out, err
	}
	var frozen []diff.Reference
	for _, ds := range declared.DaemonSets {
		if native(ds) || out.rests(ds) {
			continue
		}
		mounted, err := c.Rollouts.Mounted(ctx, out.set.As, ds)
		if err != nil {
			return out, err
		}
		frozen = append(frozen, mounted...)
	}
	m := c.remember(gs)
	out.set.Settled, out.set.Waiting, out.set.Ignore = m.left.settledFor(gs), m.fights.waiting(time.Now()), gs.Spec.Ignore
	out.seen = out.objects.Observe(ctx, out.set)
	out.input = diff.Input{
		Owner: out.set.Owner, Objects: out.seen.Objects, DaemonSets: out.set.DaemonSets, Frozen: frozen,
		Previous: gs.Status.Inventory, Former: out.seen.Former, Prune: gs.Spec.Prune, Unproven: true,
		PruneLimit: gs.Spec.PruneLimit, Approved: commit != "" && gs.Spec.Approved == commit,
		Clashes: apply.Clashes(declared.DaemonSets, out.seen.Former),
	}
	out.plan = diff.Calculate(out.input)
	out.before = m.left.around
	out.fight(gs, declared, m)
	m.left = left{settled: out.seen.Settled(out.plan, nil), kept: out.seen.Kept(nil), adoptFrom: gs.Spec.AdoptFrom}
	for key := range out.resting {
		m.left.keep(key, out.before[key])
	}
	for key := range out.handed {
		m.left.keep(key, out.before[key])
	}
	m.late = stillLate(m.late, out.plan)
	out.drift = drifted(gs, commit, m.late, out.plan)
	return out, nil
}

// fight notes what somebody has changed back since the last pass, and plans anew
// what that has to wait for.
func (s *observed) fight(gs *v1alpha1.GitSync, declared *render.Declared, m *memory) {
	if m.fights == nil {
		m.fights = fights{}
	}
	now, reverts := time.Now(), s.seen.Reverted(s.plan, m.left.settled)
	for _, r := range reverts {
		m.fights.revert(r.ID, r.Declared, r.Field, r.Manager, now)
	}
	s.reverts = len(reverts)
	m.fights.forget(func(id diff.ID) string { return cmp.Or(s.seen.DeclaredAs(id), declaredOf(gs, declared, id)) }, now)
	waiting := m.fights.waiting(now)
	if len(waiting) == 0 {
		return
	}
	s.input.Objects = slices.Clone(s.input.Objects)
	for i := range s.input.Objects {
		o := &s.input.Objects[i]
		as, waits := waiting[diff.IDOf(o.Declared)]
		o.Waits = o.Waits || waits && as == s.seen.DeclaredAs(diff.IDOf(o.Declared))
	}
	s.plan = diff.Calculate(s.input)
}

// fought counts the objects that are put right later.
func (s observed) fought() int {
	return len(slices.DeleteFunc(s.plan.Of(diff.Keep), func(c diff.Change) bool { return c.Reason != diff.ReasonFought }))
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
	c.remember(gs).written = written
	gs.ResourceVersion, gs.Status = written.ResourceVersion, written.Status
	return nil
}

// covers is whether an inventory lists all that another one does.
func covers(a, b *v1alpha1.Inventory) bool {
	return a != nil && !slices.ContainsFunc(b.Entries, func(e v1alpha1.InventoryEntry) bool { return !slices.Contains(a.Entries, e) })
}

// wrote notes what became of the objects beside the rolled DaemonSets.
func (c *Controller) wrote(gs *v1alpha1.GitSync, s observed, work *apply.Application, o *outcome) {
	results := work.Results
	for _, r := range results {
		if r.Reason == apply.ReasonAwaitingStage {
			o.waiting++
		}
	}
	c.remember(gs).left.settled = s.seen.Settled(s.plan, results)
	if written := len(results.Of(apply.Created)) + len(results.Of(apply.Configured)); written > 0 {
		c.Logger.Info("applied", "gitsync", gs.Namespace+"/"+gs.Name, "commit", o.declared, "created", len(results.Of(apply.Created)), "configured", len(results.Of(apply.Configured)))
	}
	c.Metrics.drifted(gs, len(s.drift), corrected(s.drift, results))
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
	s.input.Unproven = o.proven == "" && !s.input.Retired
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
	results := s.objects.Prune(ctx, s.set.Owner, s.plan)
	c.remember(gs).left.kept = s.seen.Kept(results)
	o.inventory, o.withheld = apply.Inventory(s.set, s.plan, results), append(s.kept(), s.spared(results)...)
	for _, r := range results.Of(apply.Deleted) {
		c.Logger.Info("pruned", "gitsync", gs.Namespace+"/"+gs.Name, "object", r.ID.String())
	}
	return errors.Join(joined(results.Errors()), c.endRollouts(ctx, s.set))
}

// remove has the DaemonSets that Git declares no more leave their nodes in waves, and shows
// how far those are that have not. Until they have, the commit is not proven.
func (c *Controller) remove(ctx context.Context, s *observed, o *outcome) error {
	removals, err := c.Rollouts.Remove(ctx, s.set.Owner, o.declared, diff.Calculate(s.input), s.input.Former)
	if err != nil {
		return err
	}
	if len(removals) > 0 {
		o.proven = ""
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
	for _, o := range c.rollouts.List() {
		n := o.(*v1alpha1.NodeRollout)
		if n.Labels[v1alpha1.LabelOwner] != set.Owner || slices.Contains(set.DaemonSets, diff.ID{Namespace: n.Namespace, Name: n.Name, Group: "apps", Kind: "DaemonSet"}) {
			continue
		}
		exists, err := c.Rollouts.Exists(ctx, set.As, types.NamespacedName{Namespace: n.Namespace, Name: n.Name})
		if err != nil {
			return err
		}
		if exists {
			continue
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
