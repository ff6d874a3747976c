package e2e

import (
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// Without rollcall every node gets the proven version: the live DaemonSet holds
// it outside a pulse.
func TestWithoutRollcallNodesRunTheProvenVersion(t *testing.T) {
	t.Parallel()
	w := settled(t, 9, quick(soak(0, 10)))

	w.act(t, "at rest", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		w.must(w.control.Stop(), "stop rollcall")
		gone := w.nodes()[:4]
		r.excuse(gone...)
		before := w.uids()
		w.deletePods(gone...)
		w.waitTag("v1", w.nodes())
		r.wantHistory(t, gone, "v1", "v1")
		for _, n := range gone {
			delete(before, n)
		}
		w.wantSame(before)
	})
	w.startController()
	w.act(t, "in the middle of a soak", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		commit := w.deliver("v2")
		canaries := w.waitSoaking(r, "canary", "v2")
		w.must(w.control.Stop(), "stop rollcall")
		others := but(w.nodes(), canaries...)
		gone := append(others[:3:3], canaries[0])
		r.excuse(gone...)
		w.deletePods(gone...)
		joined, err := w.cluster.AddNodes(t.Context(), 1)
		w.must(err, "add a node")
		w.waitTag("v1", append(joined, gone...))
		w.waitTag("v1", others)
		w.waitTag("v2", canaries[1:])
		r.blame(gone...)

		w.startController()
		w.changePolicy(quick(soak(0, 1)))
		w.waitProven(commit, 2*time.Minute)
		w.waitTag("v2", w.nodes())
		r.wantHistory(t, canaries[:1], "v1", "v2", "v1", "v2")
		r.wantHistory(t, gone[:3], "v1", "v1", "v2")
		r.wantHistory(t, append(joined, but(w.nodes(), append(joined, gone...)...)...), "v1", "v2")
		r.wantWorst(t, 3)
		w.waitRollout("it is at rest", time.Minute, func(n *v1alpha1.NodeRollout) bool { return n.Status.Phase == v1alpha1.PhaseProven })
	})
	w.startController()
	w.act(t, "in the middle of a pulse", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		rest := w.daemonSet().Spec.Template
		var commit string
		var flying []string
		w.onGate(func() { commit = w.deliver("v3") }, func() {
			flying = w.inFlight()
			w.must(w.control.Stop(), "stop rollcall")
		})
		w.waitRest(rest, 10*time.Second)
		gone := but(w.nodes(), flying...)[:4]
		r.excuse(gone...)
		w.deletePods(gone...)
		w.waitTag("v2", but(w.nodes(), flying...))
		r.wantHistory(t, gone, "v2", "v2")
		r.blame(gone...)

		w.startController()
		w.waitProven(commit, 2*time.Minute)
		w.waitTag("v3", w.nodes())
		r.wantWorst(t, 3)
	})
}
