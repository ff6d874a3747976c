package apply

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// What is decided for one DaemonSet depends on what the rollouts of others do.

// decide decides for one DaemonSet while no other decision is made, and puts down
// what others have to know of it.
func (r *Rollouts) decide(v *view) rollout.Decision {
	l, now := &r.ledger, v.input.Now
	l.mu.Lock()
	defer l.mu.Unlock()
	me := l.page(v.key)
	before := *me
	me.claimFor, me.after = v.input.Policy.ClaimFor(), v.predecessors.keys()
	me.claim(rollout.Claims(v.input.State), now)
	me.sick, me.eligible = rollout.SickNodes(v.input)
	me.looked = true
	v.input.Busy = l.busy(v.key, now)
	if v.input.Policy.MaxSick != nil {
		v.input.Sick = l.sick()
	}
	var wrong *rollout.Block
	v.input.After, wrong = l.predecessors(v)
	v.input.Block = cmp.Or(v.input.Block, wrong)
	d := rollout.Decide(v.input)
	me.waits = d.Waits || wrong != nil
	me.claim(both(rollout.Claims(v.input.State), rollout.Claims(d.Next)), now)
	me.behind, me.digest, me.stuck = rollout.Behind(v.input, d), digestOf(v.input.Want), stuckOn(d)
	if me.tells(&before) {
		r.enqueue(l.waiting(v.key))
	}
	return d
}

// tells is whether the page says something else to others than it did before.
func (p *page) tells(before *page) bool {
	return p.looked != before.looked || p.digest != before.digest || p.stuck != before.stuck ||
		!slices.Equal(p.behind, before.behind) || !slices.Equal(p.sick, before.sick) || len(p.eligible) != len(before.eligible) || !slices.Equal(p.after, before.after)
}

func digestOf(v *rollout.Version) string {
	if v == nil {
		return ""
	}
	return v.Digest
}

// stuckOn is what keeps a rollout from going on by itself; empty when nothing does.
func stuckOn(d rollout.Decision) string {
	switch d.Phase {
	case rollout.Rejected:
		return fmt.Sprintf("its version of Git is rejected (%s): push a fix or revert it there", d.Reason)
	case rollout.Held:
		return fmt.Sprintf("it is held (%s): see to what its own NodeRollout says", d.Reason)
	case rollout.Proven, rollout.Waiting, rollout.Replacing, rollout.Soaking, rollout.Returning:
	}
	return ""
}

func (r *Rollouts) enqueue(keys []types.NamespacedName) {
	if r.loop == nil {
		return
	}
	for _, key := range keys {
		r.loop.Enqueue(key)
	}
}

// prime reads what every rollout has claimed before any decision is made: the
// process before this one may have died with nodes in flight. It asks until it is
// told, and returns false when ctx is done before.
func (r *Rollouts) prime(ctx context.Context) bool {
	for {
		all, err := r.Kinds.NodeRollouts(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
		if err == nil {
			for i := range all.Items {
				n := &all.Items[i]
				r.ledger.take(types.NamespacedName{Namespace: n.Namespace, Name: n.Name}, shownState(n), time.Now())
			}
			return true
		}
		r.Logger.Error("list noderollouts", "error", err)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(time.Second):
		}
	}
}

// yield leaves a rollout whose decisions could not be recorded for as long as a claim
// lasts no more than what is recorded: each try claims its nodes anew, and would keep
// others waiting for ever. It claims them again with the next one.
func (r *Rollouts) yield(v *view) {
	p, now := r.unrecorded.of(v.key), v.input.Now
	if p == (problem{}) || now.Sub(p.since) < v.input.Policy.ClaimFor() {
		return
	}
	r.enqueue(r.ledger.release(v.key, v.input.State, now))
}

// alone asks the API server, after the intent is recorded and before a pod goes
// for it, whether another rollout has recorded one of the same nodes: a second
// leader decides by another ledger than this one. Each records before it asks, so
// that of two at least one is told of the other, and leaves the node alone.
func (r *Rollouts) alone(ctx context.Context, v *view, d rollout.Decision) (bool, error) {
	if !opens(d) {
		return true, nil
	}
	all, err := r.Kinds.NodeRollouts(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return false, fmt.Errorf("list noderollouts: %w", err)
	}
	mine := taken(d, v.input.Now)
	for i := range all.Items {
		n := &all.Items[i]
		key := types.NamespacedName{Namespace: n.Namespace, Name: n.Name}
		if key == v.key {
			continue
		}
		if node := r.ledger.collision(key, shownState(n), mine, v.input.Now); node != "" {
			r.Logger.Info("node taken by another rollout", "daemonset", v.key.String(), "node", node, "by", key.String())
			return false, nil
		}
	}
	return true, nil
}

// opens is whether the decision begins a pulse.
func opens(d rollout.Decision) bool {
	return slices.ContainsFunc(d.Steps, func(s rollout.Step) bool { return s.Action == rollout.WriteTemplate && s.Pod != "" })
}

// taken are the nodes that it takes.
func taken(d rollout.Decision, now time.Time) map[types.UID]bool {
	out := map[types.UID]bool{}
	for _, f := range d.Next.InFlight {
		out[f.NodeUID] = f.At.Equal(now)
	}
	return out
}

// collision is the first of the nodes that the other rollout has claimed, and may
// still; empty if there is none. From then on the ledger knows of it.
func (l *ledger) collision(key types.NamespacedName, s rollout.State, mine map[types.UID]bool, now time.Time) string {
	claims := rollout.Claims(s)
	if !slices.ContainsFunc(claims, func(c rollout.Claim) bool { return mine[c.UID] }) {
		return ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.page(key)
	p.claim(both(p.holds(), claims), now)
	for _, c := range p.claims {
		if mine[c.UID] && now.Before(c.until) {
			return c.Node
		}
	}
	return ""
}

// shownState is what a status has of claims: none if there is no DaemonSet, or not
// for long, of which a pod could be replaced.
func shownState(n *v1alpha1.NodeRollout) rollout.State {
	if s := n.Status; n.DeletionTimestamp != nil || s.Reason == ReasonDaemonSetGone || s.Reason == ReasonDaemonSetTerminating {
		return rollout.State{}
	}
	return stateOf(n, recorded{})
}

// owner is the value of the owner label of a rollout.
func owner(n *v1alpha1.NodeRollout) string { return n.Labels[v1alpha1.LabelOwner] }
