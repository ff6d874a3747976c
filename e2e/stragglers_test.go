package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// A version is proven on the three nodes that are not held out by label, and crash-loops
// on all of them later. The others keep what they have when their labels go, until a fix
// is proven on every node.
func TestStragglersWaitWhileTheProvenVersionFails(t *testing.T) {
	t.Parallel()
	w := settled(t, 12, quick(soak(0, 1)))
	r := record(t, w.cluster.Client)
	held := w.nodes()[3:]
	label := func(value string) {
		for _, n := range held {
			w.patchNode(n, `{"metadata":{"labels":{"rollcall.dev/hold":`+value+`}}}`)
		}
	}

	w.act(t, "nodes that were held out are not given what fails elsewhere", func(t *testing.T) {
		label(`"true"`)
		w.waitRollout("the labels are seen", time.Minute, func(n *v1alpha1.NodeRollout) bool { return n.Status.Nodes.Held == 9 })
		w.waitProven(w.deliver("late"), 2*time.Minute)
		n := w.waitRollout("its agents fail", 2*time.Minute, func(n *v1alpha1.NodeRollout) bool {
			return n.Status.Reason == "AgentsAbsent" && n.Status.Nodes.Absent == 3
		})
		if !strings.Contains(n.Status.Message, "9 run another version") {
			t.Errorf("message %q does not say that 9 nodes run another version", n.Status.Message)
		}
		r.excuse(w.nodes()[:3]...)
		label(`null`)
		w.waitRollout("the nodes are counted", time.Minute, func(n *v1alpha1.NodeRollout) bool {
			s := n.Status
			return s.Phase == v1alpha1.PhaseHeld && s.Reason == "StragglersWait" && strings.Contains(s.Message, "9 nodes") && strings.Contains(s.Message, "3 of 3 nodes")
		})
		before := w.uids()
		time.Sleep(10 * time.Second) // what crash-loops is never quiet
		w.wantSame(before)
		w.waitTag("v1", held)
		r.wantTags(t, "v1", "late")
		if on := r.nodesOf("late"); len(on) != 3 {
			t.Errorf("late has run on %v, want 3 nodes", on)
		}
	})
	w.act(t, "a fix reaches every node", func(t *testing.T) {
		w.waitProven(w.deliver("v2"), 2*time.Minute)
		w.waitTag("v2", w.nodes())
		r.wantWorst(t, 3)
	})
	w.act(t, "in a freeze none is given what is proven", func(t *testing.T) {
		label(`"true"`)
		w.waitRollout("the labels are seen", time.Minute, func(n *v1alpha1.NodeRollout) bool { return n.Status.Nodes.Held == 9 })
		w.waitProven(w.deliver("v3"), 2*time.Minute)
		w.changePolicy(quick(soak(0, 1), frozen))
		label(`null`)
		w.waitReason(v1alpha1.PhaseWaiting, "Frozen")
		w.wantQuiet(3 * time.Second)
		w.changePolicy(quick(soak(0, 1)))
		w.waitTag("v3", w.nodes())
		r.wantWorst(t, 3)
	})
	w.waitReason(v1alpha1.PhaseProven, "Proven")
}
