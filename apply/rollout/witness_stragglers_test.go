package rollout_test

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/apply/rollout/sim"
)

// stragglers is what the witness knows of nodes that are given a proven version which
// they never had.
type stragglers struct {
	// late are those whose agent rollcall took, until the next one has been available
	// for readyFor once.
	late map[types.UID]bool
	// ready are the pods that were Ready once.
	ready map[types.UID]bool
	// oldest is the version that the story began with; empty for none.
	oldest string
}

// isStraggler is whether the pod was of the version that the story began with, after
// another one was proven, or is called that.
func (w *witness) isStraggler(f sim.Fact) bool {
	p := w.cluster.State().Proven
	switch {
	case f.By != sim.Rollcall, p == nil, f.Why == rollout.ForReplace, f.Why == rollout.ForStray:
		return false
	default:
		return f.Why == rollout.ForStraggler || f.Digest == w.stragglers.oldest && f.Digest != p.Digest && w.reach[f.Digest] == nil
	}
}

// fails is whether the proven version crash-loops on more nodes on which it was Ready
// than the failure budget allows.
func (w *witness) fails(in *rollout.Input) bool {
	failing := 0
	for i := range in.Fleet {
		n := &in.Fleet[i]
		a := n.Agent()
		if a != nil && n.Eligible && n.Ready && !n.Held && in.State.Proven != nil && a.Digest == in.State.Proven.Digest && !a.Ready && a.Restarts > in.Policy.Health.MaxRestarts && w.stragglers.ready[a.UID] {
			failing++
		}
	}
	return failing > in.Policy.FailureBudget
}

// seeStraggler holds P1 and P2 against what takes the agent of a straggler: not while
// what it gets fails where it ran, and no more of them at once than the budget.
func (w *witness) seeStraggler(f sim.Fact) {
	late := w.stragglers.late
	if !w.isStraggler(f) {
		delete(late, f.NodeUID) // what the node lacks now, something else took
		return
	}
	o := w.orders[f.Pod]
	if o.node != f.NodeUID {
		return
	}
	if o.fails {
		w.accuse("P1", "%s, which runs %s, is given a proven version that fails on the nodes that have it", f.Node, f.Digest)
	}
	if !f.Served {
		return
	}
	late[f.NodeUID] = true
	count := 0
	for _, n := range w.cluster.Fleet() {
		if n.Eligible && late[n.UID] {
			count++
		}
	}
	if budget := max(o.budget, share(w.cluster.Policy().MaxUnavailable, slices.Max(w.eligible))); count > budget {
		w.accuse("P2", "%d stragglers have no agent that has been available for readyFor (last %s), the budget is %d", count, f.Node, budget)
	}
}

// seeStanding takes stragglers for given when their agents have been available for readyFor.
func (w *witness) seeStanding() {
	now := begin().Add(time.Duration(w.cluster.Now()) * time.Second)
	for _, n := range w.cluster.Fleet() {
		if a := n.Agent(); w.stragglers.late[n.UID] && n.Present() && w.proven[a.Digest] && !now.Before(a.ReadySince.Add(w.cluster.Policy().Health.ReadyFor)) {
			delete(w.stragglers.late, n.UID)
		}
	}
}

// seeBegunStragglers holds P9: a straggler is a step forward, and waits for what those do.
func (w *witness) seeBegunStragglers(in *rollout.Input, d rollout.Decision) {
	for _, s := range d.Steps {
		if s.Action == rollout.DeletePod && s.Why == rollout.ForStraggler && mayNotBegin(in) {
			w.accuse("P9", "the straggler %s is begun though nothing may begin", s.Node)
		}
	}
}
