package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// Commits that arrive while another one is half-way.
func TestSecondCommitMidRollout(t *testing.T) {
	t.Parallel()
	p := quick(soak(0, 2), soak(1, 8))
	w := settled(t, 12, p)
	// By the DaemonSet's own count no agent is available from here on, and Kubernetes
	// keeps no revision for the way back: rollcall needs neither.
	deliver := func(tag string) string {
		return w.deliverFiles(map[string]string{"daemonset.yaml": strings.Replace(manifest(tag), "spec:\n", "spec:\n  minReadySeconds: 600\n  revisionHistoryLimit: 0\n", 1)})
	}

	w.act(t, "a good one starts at the touched nodes", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		w.deliver("v2")
		w.waitSoaking(r, "half", "v2")
		third := deliver("v3")
		w.waitProven(third, 2*time.Minute)

		w.waitTag("v3", w.nodes())
		touched, order := r.nodesOf("v2"), r.order("v3")
		if len(touched) < 6 {
			t.Fatalf("v2 ran on %v, want half of the nodes", touched)
		}
		if first := slices.Sorted(slices.Values(order[:len(touched)])); !slices.Equal(first, touched) {
			t.Errorf("v3 went to %v first, want the nodes that v2 had touched: %v", first, touched)
		}
		r.wantHistory(t, touched, "v1", "v2", "v3")
		r.wantHistory(t, but(w.nodes(), touched...), "v1", "v3")
		r.wantWorst(t, 3)
	})
	w.act(t, "a bad one takes all of them back", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		deliver("v4")
		w.waitSoaking(r, "half", "v4")
		bad := deliver("bad")
		w.waitRejected(bad, 2*time.Minute)

		w.waitTag("v3", w.nodes())
		r.wantRadius(t, "bad")
		touched, hurt := r.nodesOf("v4"), r.nodesOf("bad")
		if beyond := but(hurt, touched...); len(beyond) > 0 {
			t.Errorf("the bad candidate reached %v beyond %v", beyond, touched)
		}
		r.wantHistory(t, hurt, "v3", "v4", "bad", "v3")
		r.wantHistory(t, but(touched, hurt...), "v3", "v4", "v3")
		r.wantHistory(t, but(w.nodes(), touched...), "v3")
		r.wantWorst(t, 3)
	})
	w.act(t, "a revert moves the touched nodes only", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		deliver("v5")
		w.waitSoaking(r, "half", "v5")
		before := w.uids()
		revert := deliver("v3")
		w.waitProven(revert, 2*time.Minute)

		w.waitTag("v3", w.nodes())
		touched := r.nodesOf("v5")
		for _, n := range touched {
			delete(before, n)
		}
		w.wantSame(before)
		r.wantHistory(t, touched, "v3", "v5", "v3")
		r.wantHistory(t, but(w.nodes(), touched...), "v3")
		r.wantWorst(t, 3)
		n := w.waitRollout("nothing is left of the candidate", time.Minute, func(n *v1alpha1.NodeRollout) bool {
			return n.Status.Phase == v1alpha1.PhaseProven && n.Status.Candidate == nil
		})
		if len(n.Status.InFlight) > 0 {
			t.Errorf("in flight at rest: %v", n.Status.InFlight)
		}
	})
}
