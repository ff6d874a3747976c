package sync

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// watch is a pass that writes nothing but the status: it says what a pass would do.
func (c *Controller) watch(ctx context.Context, gs *v1alpha1.GitSync, newest version, o *outcome) error {
	rollouts, err := c.readRollouts(ctx, newest.declared, observed{})
	if err != nil {
		return err
	}
	o.take(summarise(rollouts))
	m, around := c.remember(gs), map[types.NamespacedName]restedDaemonSet{}
	for _, ds := range newest.declared.DaemonSets {
		around[keyOf(ds)] = restedDaemonSet{around: c.Rollouts.Fleet.Around(ds.GetNamespace(), ds.GetName())}
	}
	return c.Metrics.time(stageDiff, func() error {
		seen, pending, err := c.foresee(ctx, gs, newest, m.left.settledFor(gs))
		if err != nil {
			return err
		}
		m.left = left{settled: seen.seen.Settled(seen.plan, nil), kept: seen.seen.Kept(nil), adoptFrom: gs.Spec.AdoptFrom, around: around}
		o.pending, o.withheld, o.objects = pending, seen.kept(), len(seen.set.Objects)
		o.native = len(newest.declared.DaemonSets) - len(seen.set.DaemonSets)
		c.Metrics.drifted(gs, int(pending.Create+pending.Update+pending.Prune+pending.Blocked), 0)
		return nil
	})
}

// preview says what the commit would change that waits for approval. It is asked
// once for each commit and each change of the GitSync.
func (c *Controller) preview(ctx context.Context, gs *v1alpha1.GitSync, o *outcome) error {
	m := c.remember(gs)
	if p := m.previewed; p == nil || p.Commit != m.commit.Commit || m.previewedFor != m.question {
		_, pending, err := c.foresee(ctx, gs, m.newest(), nil)
		if err != nil {
			return err
		}
		m.previewed, m.previewedFor = pending, m.question
	}
	o.pending = m.previewed
	return nil
}

// foresee finds out what a version would change if it were applied, and prune if it
// were proven then.
func (c *Controller) foresee(ctx context.Context, gs *v1alpha1.GitSync, v version, settled apply.Settled) (observed, *v1alpha1.Pending, error) {
	out := observed{set: apply.NewSet(name(gs), plain(v.declared), gs.Status.Inventory)}
	out.set.Settled, out.set.As, out.set.Ignore = settled, c.accountOf(gs), gs.Spec.Ignore
	var err error
	if out.objects, err = c.as(gs); err != nil {
		return out, nil, err
	}
	out.seen = out.objects.Observe(ctx, out.set)
	var all []v1alpha1.GitSync
	for _, other := range c.syncs.List() {
		all = append(all, *other.(*v1alpha1.GitSync))
	}
	heirs, awaited := c.others.heirs(gs, v.commit.Commit, out.seen.Former, all)
	out.input = diff.Input{
		Owner: out.set.Owner, Objects: out.seen.Objects, DaemonSets: out.set.DaemonSets,
		Previous: gs.Status.Inventory, Former: out.seen.Former, Prune: gs.Spec.Prune, Heirs: heirs, Awaited: awaited,
	}
	out.plan = diff.Calculate(out.input)
	changes, err := c.foreseeDaemonSets(ctx, gs, v, out)
	if err != nil {
		return out, nil, err
	}
	return out, newPending(v.commit.Commit, append(changes, out.plan.Changes...)), ctx.Err()
}

// foreseeDaemonSets says what becomes of those that rollouts move, which are no part
// of a plan.
func (c *Controller) foreseeDaemonSets(ctx context.Context, gs *v1alpha1.GitSync, v version, seen observed) ([]diff.Change, error) {
	var out []diff.Change
	for _, ds := range v.declared.DaemonSets {
		if native(ds) {
			continue
		}
		change := diff.Change{ID: diff.IDOf(ds.Unstructured), Source: ds.Source, Declared: true}
		operation, err := c.Rollouts.Foresee(ctx, declaration(gs, ds, seen, &outcome{declared: v.commit.Commit}))
		var refused *apply.Error
		switch {
		case errors.As(err, &refused) && refused.Reason == apply.ReasonNamespaceNotFound && seen.brings(ds.GetNamespace()):
			operation = diff.Create
		case errors.As(err, &refused) && refused.Reason != apply.ReasonUnavailable:
			operation, change.Reason, change.Message = diff.Refused, refused.Reason, refused.Message
		case err != nil:
			return nil, err
		}
		change.Operation = operation
		out = append(out, change)
	}
	return out, nil
}

// newPending counts what changes, the DaemonSets first.
func newPending(commit string, changes []diff.Change) *v1alpha1.Pending {
	out := &v1alpha1.Pending{Commit: commit}
	for _, c := range changes {
		switch c.Operation {
		case diff.Create:
			out.Create++
		case diff.Update:
			out.Update++
		case diff.Delete:
			out.Prune++
		case diff.Conflict, diff.Refused, diff.Foreign:
			if !c.Declared {
				continue
			}
			out.Blocked++
		case diff.Unchanged, diff.Keep, diff.Release:
			continue
		default:
			continue
		}
		if len(out.Objects) < v1alpha1.MaxPendingObjects {
			out.Objects = append(out.Objects, v1alpha1.PendingObject{ID: c.Entry(), Operation: string(c.Operation)})
		}
	}
	return out
}

// pendingNamed is how many objects a message names.
const pendingNamed = 5

// foretold says what a Pending has, in words.
func foretold(p *v1alpha1.Pending) string {
	var counts, names []string
	total := int32(0)
	for _, c := range []struct {
		count int32
		what  string
	}{{p.Create, "to create"}, {p.Update, "to update"}, {p.Prune, "to prune"}, {p.Blocked, "that cannot be applied"}} {
		if total += c.count; c.count > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", c.count, c.what))
		}
	}
	if total == 0 {
		return "nothing would change"
	}
	for _, o := range p.Objects[:min(len(p.Objects), pendingNamed)] {
		if id, err := diff.ParseID(o.ID); err == nil {
			names = append(names, o.Operation+" "+id.String())
		}
	}
	if more := int(total) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return fmt.Sprintf("%s would change, %s (%s)", objects(int(total)), strings.Join(counts, ", "), strings.Join(names, ", "))
}

func objects(count int) string {
	if count == 1 {
		return "1 object"
	}
	return fmt.Sprintf("%d objects", count)
}
