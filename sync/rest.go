package sync

import (
	"cmp"
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// left is how a pass left the cluster: what tells the next one that it need not look.
type left struct {
	// settled are the objects, and around the DaemonSets, that are as the commit declares them.
	settled apply.Settled
	around  map[types.NamespacedName]restedDaemonSet
	// adoptFrom are the managers that fields were taken over from.
	adoptFrom []string
	// kept are the objects that Git declares no more and that are kept: a person may change what they are kept for.
	kept apply.Settled
	// commit is the newest one, that there is nothing more to do for; empty while there is.
	commit string
	// what is what it declares, and last what the pass found out.
	what *render.Declared
	last *outcome
	// wake is when something is to be put right, or shown no more; zero for never.
	wake time.Time
	// question is what that pass answered.
	question question
}

// rested notes whether a pass came to an end that nothing but an event or another commit changes.
func (m *memory) rested(o *outcome) {
	m.left.commit, m.left.what, m.left.last = "", nil, nil
	if o.failure == nil && o.ended() && o.stragglers == "" && len(m.left.settled)+o.fought == o.objects && !slices.ContainsFunc(o.withheld, passing) {
		m.left.commit, m.left.question = cmp.Or(m.commit.Commit, o.applied), m.question
		m.left.what, m.left.last = m.declared, o
	}
}

// ended is whether a pass came to its end: the commit is applied, or only observed and nothing would change, or it is
// held and there was none before it.
func (o *outcome) ended() bool {
	return o.applied != "" || o.observing() && o.pending != nil && len(o.pending.Objects) == 0 || o.hold != nil && o.declared == ""
}

// passing is whether what keeps an object from being pruned can end without an event.
func passing(c diff.Change) bool {
	switch c.Reason {
	case diff.ReasonPruneDisabled, diff.ReasonPruneProtected, diff.ReasonProtectedKind, diff.ReasonPruneLimitExceeded:
		return false
	default:
		return true
	}
}

// rests polls Git when it is time, and returns whether there is nothing else to do: Git has the same commit, or one that
// declares the same, of which only the status is written, and nobody has touched what it declares. No request goes to
// the API server then, but for the credentials, variables and keys of a poll, and one for each Secret. It returns
// when the next poll is due.
func (c *Controller) rests(ctx context.Context, key types.NamespacedName) (time.Duration, bool) {
	o, found, err := c.syncs.GetByKey(key.String())
	if err != nil || !found {
		return 0, false
	}
	gs := o.(*v1alpha1.GitSync)
	m := c.remember(gs)
	m.disturbed = m.stirred.Swap(false)
	if !m.settles(gs) || gs.DeletionTimestamp != nil || !c.unchanged(ctx, gs, m) {
		return 0, false
	}
	from, led := m.from, m.commit
	if declared, err := c.read(ctx, gs, newOutcome(gs)); declared == nil || err != nil || !m.comes(from, led) {
		return 0, false
	}
	if m.commit.Commit != m.left.commit && !c.same(ctx, gs, m) {
		return 0, false
	}
	c.Metrics.rested(gs)
	return m.left.earlier(m.ended(false, time.Now()), time.Now()), true
}

// comes is whether the newest commit was rendered with the same as the one before, and the same ref leads to it, with the
// same to say of that.
func (m *memory) comes(from rendered, before v1alpha1.Commit) bool {
	return m.from.inputs == from.inputs && m.commit.Ref == before.Ref && m.commit.Note == before.Note
}

// settles is whether the last pass left nothing to do, and nobody has asked for anything since.
func (m *memory) settles(gs *v1alpha1.GitSync) bool {
	return !m.disturbed && !m.left.due(time.Now()) && m.left.commit != "" && m.left.question == questionOf(gs)
}

// due is whether it is time for what the last pass put off.
func (l *left) due(now time.Time) bool {
	return !l.wake.IsZero() && !now.Before(l.wake)
}

// earlier is after how long to make a pass, or after how long something is due.
func (l *left) earlier(next time.Duration, now time.Time) time.Duration {
	if l.wake.IsZero() {
		return next
	}
	return min(next, max(l.wake.Sub(now), time.Millisecond))
}

// unchanged is whether everything is as the last pass left it.
func (c *Controller) unchanged(ctx context.Context, gs *v1alpha1.GitSync, m *memory) bool {
	for key, before := range m.left.around {
		if c.Rollouts.Fleet.Around(key.Namespace, key.Name) != before.around {
			return false
		}
	}
	objects, err := c.as(gs)
	return err == nil && objects.Untouched(ctx, m.left.settled) && objects.Untouched(ctx, m.left.kept)
}

// settledFor are the objects that a GitSync need not ask about: none when it takes over from others now.
func (l *left) settledFor(gs *v1alpha1.GitSync) apply.Settled {
	if !slices.Equal(l.adoptFrom, gs.Spec.AdoptFrom) || (l.adoptFrom == nil) != (gs.Spec.AdoptFrom == nil) {
		return nil
	}
	return l.settled
}

// declared notes how a DaemonSet was left.
func (l *left) declared(gs *v1alpha1.GitSync, ds render.DaemonSet, around string) {
	l.keep(keyOf(ds), restedDaemonSet{around: around, declared: declaredPrint(gs, ds)})
}

func (l *left) keep(key types.NamespacedName, ds restedDaemonSet) {
	if l.around == nil {
		l.around = map[types.NamespacedName]restedDaemonSet{}
	}
	l.around[key] = ds
}
