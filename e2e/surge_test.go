package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// surge has nodes get their next agent before they lose the old one.
func surge(p *v1alpha1.RolloutPolicySpec) { p.Replace = v1alpha1.ReplaceSurge }

// In a surge no node is ever without a Ready agent: not on the way forward, not
// beside a candidate that fails, not when rollcall dies in the middle.
func TestSurge(t *testing.T) {
	t.Parallel()
	w := settled(t, 20, quick(soak(0, 2), surge))
	r := record(t, w.cluster.Client)

	w.act(t, "a good version", func(t *testing.T) {
		w.waitProven(w.deliver("v2"), 2*time.Minute)
		w.waitTag("v2", w.nodes())
		w.wantAtRest()
		r.wantWorst(t, 0)
	})
	w.act(t, "a bad one leaves its canaries, which are served all the time", func(t *testing.T) {
		w.waitUpdated(20)
		before := w.uids()
		bad := w.deliver("bad")
		w.waitRollout("it is rejected", time.Minute, func(n *v1alpha1.NodeRollout) bool {
			return n.Status.Phase == v1alpha1.PhaseRejected && n.Status.Rejected[0].Commit == bad
		})
		r.wantRadius(t, "bad")
		w.until("each node has one pod", 30*time.Second, func() (bool, string) { return len(w.pods()) == 20, "not yet" })
		w.wantSame(before)
		r.wantWorst(t, 0)
	})
	w.act(t, "rollcall dies in an open surge, and an agent is evicted in another one", func(t *testing.T) {
		var commit string
		w.onGate(func() { commit = w.deliver("v3") }, func() {
			w.must(w.control.Kill(), "kill rollcall")
		})
		w.startController()
		w.waitProven(commit, 2*time.Minute)
		w.waitTag("v3", w.nodes())
		r.wantWorst(t, 0)
		w.waitUpdated(20)

		var evicted []string
		w.onGate(func() { commit = w.deliver("v4") }, func() {
			w.until("nodes are in flight", 10*time.Second, func() (bool, string) { return len(w.inFlight()) > 0, "none" })
			evicted = but(w.nodes(), w.inFlight()...)[:2]
			r.excuse(evicted...)
			w.deletePods(evicted...)
		})
		w.waitTag("v3", evicted)
		r.blame(evicted...)
		w.waitProven(commit, 2*time.Minute)
		w.waitTag("v4", w.nodes())
		r.wantWorst(t, 0)
	})
	w.act(t, "pods that need a port of their node cannot stand beside each other", func(t *testing.T) {
		w.startController() // the last one ended with its act
		before := w.uids()
		port := strings.Replace(manifest("v5"), "        resources:", "        ports: [{containerPort: 9100, hostPort: 9100}]\n        resources:", 1)
		w.deliverFiles(map[string]string{"daemonset.yaml": port})
		n := w.waitReason(v1alpha1.PhaseHeld, "CannotSurge")
		if !strings.Contains(n.Status.Message, "hostPort 9100") || !strings.Contains(n.Status.Message, "replace: delete") {
			t.Errorf("the message does not say what is wrong and what to do: %s", n.Status.Message)
		}
		w.wantSame(before)
	})
}
