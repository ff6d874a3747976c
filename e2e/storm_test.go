package e2e

import (
	"slices"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// Half of the fleet is evicted at once while the canaries soak, the canaries among
// it: every evicted node gets the proven version, and the end is the one that it
// would have been.
func TestEvictionStorm(t *testing.T) {
	t.Parallel()
	w := settled(t, 20, quick(soak(0, 6)))

	w.act(t, "while a good candidate soaks", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		commit := w.deliver("v2")
		canaries := w.waitSoaking(r, "canary", "v2")
		if len(canaries) != 2 {
			t.Fatalf("canaries are %v, want 2", canaries)
		}
		w.storm(t, r, "v1", "v2", canaries, canaries)
		w.waitProven(commit, time.Minute)

		w.waitTag("v2", w.nodes())
		r.wantHistory(t, canaries, "v1", "v2", "v1", "v2")
		r.wantWorst(t, 3)
		w.waitUpdated(20)
	})
	w.act(t, "while a bad candidate soaks", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		commit := w.deliver("flaky")
		canaries := w.waitSoaking(r, "canary", "flaky")
		w.storm(t, r, "v2", "flaky", canaries, canaries[:1])
		n := w.waitRejected(commit, time.Minute)
		if got := n.Status.Rejected[0].Reason; got != "CannotStart" {
			t.Errorf("rejected for %s, want CannotStart", got)
		}

		w.waitTag("v2", w.nodes())
		if got := r.nodesOf("flaky"); !slices.Equal(got, canaries) {
			t.Errorf("flaky ran on %v, want the canaries %v", got, canaries)
		}
		r.wantHistory(t, canaries[1:], "v2", "flaky", "v2")
		r.wantWorst(t, 3)
	})
}

// storm evicts the agents of half of the nodes, of the canaries those that are hit.
// It fails unless each of them gets the proven version, and no node beyond the
// canaries the candidate meanwhile.
func (w *world) storm(t *testing.T, r *recorder, proven, candidate string, canaries, hit []string) {
	t.Helper()
	nodes := w.nodes()
	evicted := append(slices.Clone(hit), but(nodes, canaries...)[:len(nodes)/2-len(hit)]...)
	r.excuse(evicted...)
	w.evictPods(evicted...)
	if n := w.rollout(); n.Status.Phase != v1alpha1.PhaseSoaking && n.Status.Phase != v1alpha1.PhaseReplacing || n.Status.Wave.Name != "canary" {
		t.Fatalf("the evictions came too late: %s", describe(n))
	}
	// A canary gets the candidate again when its node has been seen with the proven
	// version: what it was given is read from what ran.
	bystanders := but(evicted, hit...)
	w.waitTag(proven, bystanders)
	r.wantHistory(t, bystanders, proven, proven)
	w.until("the evicted canaries have been given the proven version", time.Minute, func() (bool, string) {
		late := slices.IndexFunc(hit, func(n string) bool { return r.count([]string{n}, proven) < 2 })
		return late < 0, "not all of them"
	})
	for _, n := range hit {
		if got := r.history(n)[:3]; !slices.Equal(got, []string{proven, candidate, proven}) {
			t.Errorf("on the evicted canary %s ran %v, want %s after its eviction", n, got, proven)
		}
	}
	if first := r.firstBeyond(candidate, canaries); !first.IsZero() {
		t.Errorf("%s ran beyond the canaries %v at %s", candidate, canaries, first)
	}
	w.until("every node has an agent again", time.Minute, func() (bool, string) { return len(w.agents()) == len(nodes), "some have none" })
	r.blame(evicted...)
}

// The fleet doubles while the canaries soak: the new nodes get the proven version,
// the wave stays the wave, and the waves after it count the new fleet.
func TestFleetDoubledInCanary(t *testing.T) {
	t.Parallel()
	w := settled(t, 12, quick(soak(0, 8), soak(1, 4)))
	old := w.nodes()
	r := record(t, w.cluster.Client)
	commit := w.deliver("v2")
	canaries := w.waitSoaking(r, "canary", "v2")

	joined, err := w.cluster.AddNodes(t.Context(), len(old))
	w.must(err, "add nodes")
	w.waitTag("v1", joined)
	if n := w.rollout(); n.Status.Wave == nil || n.Status.Wave.Name != "canary" {
		t.Fatalf("the nodes came too late: %s", describe(n))
	}
	if got := r.nodesOf("v2"); !slices.Equal(got, canaries) {
		t.Errorf("v2 ran on %v, want the canaries %v as before", got, canaries)
	}
	n := w.waitRollout("half of the new fleet has the candidate", time.Minute, func(n *v1alpha1.NodeRollout) bool {
		return n.Status.Phase == v1alpha1.PhaseSoaking && n.Status.Wave != nil && n.Status.Wave.Name == "half"
	})
	if half := r.nodesOf("v2"); n.Status.Nodes.Eligible != 24 || len(half) != 12 || len(but(canaries, half...)) > 0 {
		t.Errorf("after the second wave v2 ran on %v of %d nodes, want 12 of 24, the canaries %v among them", half, n.Status.Nodes.Eligible, canaries)
	}
	w.waitProven(commit, time.Minute)

	w.waitTag("v2", w.nodes())
	r.wantHistory(t, w.nodes(), "v1", "v2")
	r.wantWorst(t, 3)
	w.waitUpdated(24)
}
