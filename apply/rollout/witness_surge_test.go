package rollout_test

import (
	"slices"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/apply/rollout/sim"
	"github.com/rollcall-dev/rollcall/health"
)

// seeSurge holds P2 against a surge: no step on the way forward takes an agent that
// serves, and none that Kubernetes takes leaves its node with nothing but a gated pod.
func (w *witness) seeSurge(f sim.Fact) {
	s := w.cluster.State()
	if !w.cluster.Policy().Surge || !f.Served || s.Proven == nil || w.flipped || w.inSpec || removing(s) && f.By == sim.Rollcall {
		return
	}
	switch f.By {
	case sim.Rollcall:
		tainted := slices.ContainsFunc(w.cluster.Fleet(), func(n health.Node) bool { return n.Eligible && n.Present() && !n.Schedulable })
		if f.Why == rollout.ForReplace || f.Why == rollout.ForReturn && !tainted {
			w.accuse("P2", "in a surge the agent on %s serves and is deleted (%s)", f.Node, f.Why)
		}
	case sim.Controller:
		for _, n := range w.cluster.Fleet() {
			if n.UID != f.NodeUID {
				continue
			}
			for _, a := range n.Agents {
				if a.UID != f.Pod && !a.Terminating && !a.Gated {
					return
				}
			}
			if n.Eligible && n.Schedulable {
				w.accuse("P2", "in a surge Kubernetes takes the agent of %s, which serves, and nothing else is there", f.Node)
			}
		}
	case sim.Kubelet, sim.Adversary:
	}
}
