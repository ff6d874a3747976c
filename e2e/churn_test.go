package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// A node that fails within the failure budget is given the proven version again
// and kept out of the rollout; the others go on.
func TestFailureBudgetLetsTheRolloutGoOn(t *testing.T) {
	t.Parallel()
	w := settled(t, 9, quick(soak(0, 12), func(p *v1alpha1.RolloutPolicySpec) { p.Health.FailureBudget = 1 }))
	r := record(t, w.cluster.Client)

	first := w.waitSync("v1 is proven", time.Minute, func(gs *v1alpha1.GitSync) bool { return gs.Status.Proven != "" }).Status.Proven
	second := w.deliver("v2")
	sick := w.waitSoaking(r, "canary", "v2")[0]
	w.must(w.cluster.SetNodeReady(t.Context(), sick, false), "make node NotReady")
	w.waitRollout("the canary is counted as failed", time.Minute, func(n *v1alpha1.NodeRollout) bool { return n.Status.Nodes.Failed == 1 })
	w.must(w.cluster.SetNodeReady(t.Context(), sick, true), "make node Ready")
	gs := w.waitSync("the rollout is over and its straggler is named", 2*time.Minute, func(gs *v1alpha1.GitSync) bool { return readyCondition(gs).Reason == "Stragglers" })
	if message := readyCondition(gs).Message; gs.Status.Proven != first || !strings.Contains(message, "1 of 9 eligible nodes") || !strings.Contains(message, sick) {
		t.Errorf("proven %.8s and %q, want %.8s and 1 of 9 eligible nodes, which is %s", gs.Status.Proven, message, first, sick)
	}

	w.waitTag("v2", but(w.nodes(), sick))
	w.waitTag("v1", []string{sick})
	r.wantWorst(t, 3)
	r.wantHistory(t, []string{sick}, "v1", "v2", "v1")
	n := w.waitRollout("the failed node is listed", time.Minute, func(n *v1alpha1.NodeRollout) bool { return len(n.Status.Failing) > 0 })
	if got := n.Status.Failing[0]; got.Node != sick || got.Reason != "NodeNotReady" {
		t.Errorf("failing is %+v, want %s with NodeNotReady", n.Status.Failing, sick)
	}
	w.patchNode(sick, `{"metadata":{"labels":{"rollcall.dev/hold":"true"}}}`)
	w.waitProven(second, time.Minute)
}

// Ten agents are evicted in one rollout, three of them in the middle of its
// first pulse, and three more deleted and ten nodes added while the canaries
// soak: all of them get the proven version, whatever the candidate is.
func TestChurnGetsTheProvenVersion(t *testing.T) {
	t.Parallel()
	p := quick(soak(0, 15))
	w := settled(t, 20, p)
	old := w.nodes()

	w.act(t, "while a good candidate soaks", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		second, strays, _ := w.deliverAndEvict(r, "v2")
		canaries := w.waitSoaking(r, "canary", "v2")
		w.waitTag("v1", strays)
		r.blame(strays...)
		victim, bystanders := canaries[0], but(old, append(slices.Clone(canaries), strays...)...)[:9]
		r.excuse(victim)
		r.excuse(bystanders...)
		w.evictPods(append(slices.Clone(bystanders[:6]), victim)...)
		w.deletePods(bystanders[6:]...)
		joined, err := w.cluster.AddNodes(t.Context(), 10)
		w.must(err, "add nodes")
		w.waitTag("v1", append(joined, bystanders...))
		r.blame(bystanders...)

		w.waitTag("v2", []string{victim})
		again := w.agents()[victim]
		r.blame(victim)
		w.waitProven(second, 3*time.Minute)

		w.waitTag("v2", w.nodes())
		if got := len(w.nodes()); got != 30 {
			t.Fatalf("%d nodes, want 30", got)
		}
		r.wantHistory(t, []string{victim}, "v1", "v2", "v1", "v2")
		restarted := append(slices.Clone(bystanders), strays...)
		r.wantHistory(t, restarted, "v1", "v1", "v2")
		r.wantHistory(t, but(w.nodes(), append(restarted, victim)...), "v1", "v2")
		r.wantWorst(t, 3)
		// Times of the API are whole seconds, rounded down.
		healthy := readySince(&again).Add(p.Health.ReadyFor.Duration + p.Waves[0].Soak.Duration)
		if first := r.firstBeyond("v2", canaries); first.Before(healthy) {
			t.Errorf("the next wave began at %s, before the evicted canary had soaked anew at %s", first, healthy)
		}
		w.waitUpdated(30)
	})
	w.act(t, "while a bad candidate is on its canaries", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		bad, strays, canaries := w.deliverAndEvict(r, "stuck")
		w.until("both canaries run the candidate", time.Minute, func() (bool, string) { return len(r.nodesOf("stuck")) == 2, fmt.Sprint(r.nodesOf("stuck")) })
		bystanders := but(w.nodes(), append(slices.Clone(canaries), strays...)...)[:6]
		r.excuse(bystanders...)
		w.evictPods(bystanders...)
		w.evict(w.podOn(canaries[0], "stuck"))
		n := w.waitRollout("it is under way", time.Minute, func(n *v1alpha1.NodeRollout) bool { return n.Status.Candidate != nil })
		if s := n.Status; s.Candidate.Commit != bad || s.Phase == v1alpha1.PhaseReturning || s.Phase == v1alpha1.PhaseRejected {
			t.Fatalf("the evictions came too late: %s", describe(n))
		}
		w.waitTag("v2", append(bystanders, strays...))
		r.blame(append(bystanders, strays...)...)

		n = w.waitRejected(bad, time.Minute)
		if got := n.Status.Rejected[0].Reason; got != "DeadlineExceeded" {
			t.Errorf("rejected for %s, want DeadlineExceeded", got)
		}
		w.waitTag("v2", w.nodes())
		if got := r.nodesOf("stuck"); !slices.Equal(got, canaries) {
			t.Errorf("the candidate ran on %v, want the canaries %v", got, canaries)
		}
		restarted := append(bystanders, strays...)
		r.wantHistory(t, restarted, "v2", "v2")
		r.wantHistory(t, canaries[1:], "v2", "stuck", "v2")
		r.wantHistory(t, but(w.nodes(), append(restarted, canaries...)...), "v2")
		r.wantWorst(t, 3)
	})
}

// deliverAndEvict delivers a tag and evicts three agents in the first pulse of
// its rollout: their next pods are made from the gated candidate. It returns the
// commit, the nodes of the three, who are excused, and those of the first wave,
// sorted.
func (w *world) deliverAndEvict(r *recorder, tag string) (commit string, strays, wave []string) {
	w.t.Helper()
	w.onGate(func() { commit = w.deliver(tag) }, func() {
		wave = slices.Sorted(slices.Values(w.inFlight()))
		strays = but(w.nodes(), wave...)[:3]
		r.excuse(strays...)
		w.evictPods(strays...)
	})
	return commit, strays, wave
}

// A touched node that vanishes is evidence, unless it was announced.
func TestTouchedNodeThatVanishes(t *testing.T) {
	t.Parallel()
	patient := func(p *v1alpha1.RolloutPolicySpec) { p.Health.Deadline = metav1.Duration{Duration: time.Minute} }
	w := settled(t, 9, quick(soak(0, 6), patient))

	w.act(t, "without notice is evidence against the candidate", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		commit := w.deliver("slow")
		lost := w.waitInFlight("slow")
		r.excuse(lost)
		w.must(w.cluster.DeleteNode(t.Context(), lost), "delete node")
		n := w.waitRejected(commit, time.Minute)
		if got := n.Status.Rejected[0]; got.Reason != "NodeVanished" || !strings.Contains(got.Message, lost) {
			t.Errorf("rejected as %+v, want NodeVanished of %s", got, lost)
		}
		r.wantRadius(t, "slow")
		w.waitTag("v1", w.nodes())
		r.wantWorst(t, 3)
	})
	w.act(t, "with notice is none", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		commit := w.deliver("v2-a:slow")
		lost := w.waitInFlight("v2-a:slow")
		r.excuse(lost)
		w.patchNode(lost, `{"spec":{"unschedulable":true}}`)
		w.until("the notice is recorded", time.Minute, func() (bool, string) {
			state, err := w.cluster.Client.CoreV1().ConfigMaps(metav1.NamespaceDefault).Get(t.Context(), agent+".rollcall-state", metav1.GetOptions{})
			w.must(err, "get state")
			return strings.Contains(state.Data["records.json"], `"l":true`), state.Data["records.json"]
		})
		w.must(w.cluster.DeleteNode(t.Context(), lost), "delete node")
		w.changePolicy(quick(soak(0, 1), patient, func(p *v1alpha1.RolloutPolicySpec) {
			eight := intstr.FromInt32(8)
			p.MaxUnavailable = &eight
		}))
		w.waitProven(commit, 2*time.Minute)
		w.waitTag("v2-a:slow", w.nodes())
	})
}

// inFlight are the nodes whose agent rollcall takes away.
func (w *world) inFlight() []string {
	w.t.Helper()
	n, err := w.kinds.NodeRollouts(metav1.NamespaceDefault).Get(w.t.Context(), agent, metav1.GetOptions{})
	w.must(err, "get NodeRollout")
	var out []string
	for _, f := range n.Status.InFlight {
		out = append(out, f.Node)
	}
	return out
}

// podOn is the node's pod of the tag that is not on its way out.
func (w *world) podOn(node, tagged string) string {
	w.t.Helper()
	for _, p := range w.pods() {
		if p.Spec.NodeName == node && tag(&p) == tagged && p.DeletionTimestamp == nil {
			return p.Name
		}
	}
	w.t.Fatalf("%s has no pod of %s", node, tagged)
	return ""
}

// waitInFlight waits until a node runs the tag and is not Ready yet, and
// returns it.
func (w *world) waitInFlight(tagged string) string {
	w.t.Helper()
	var node string
	w.until("a node in flight has a pod of "+tagged, time.Minute, func() (bool, string) {
		for _, p := range w.pods() {
			if tag(&p) == tagged && p.Spec.NodeName != "" && !podReady(&p) && p.DeletionTimestamp == nil {
				node = p.Spec.NodeName
			}
		}
		return node != "", "none"
	})
	return node
}

// Touched nodes that are to have no agent any more hold up nothing: other nodes
// prove the commit.
func TestTouchedNodesLeaveTheFleet(t *testing.T) {
	t.Parallel()
	w := settled(t, 12, quick(soak(0, 8), soak(1, 8)))
	exclude := func(nodes []string) {
		for _, n := range nodes {
			w.patchNode(n, `{"spec":{"taints":[{"key":"dedicated","value":"gpu","effect":"NoExecute"}]}}`)
		}
	}

	w.act(t, "the canaries", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		commit := w.deliver("v2")
		exclude(w.waitSoaking(r, "canary", "v2"))
		w.waitProven(commit, 2*time.Minute)
	})
	w.act(t, "as many as the budget has", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		commit := w.deliver("v3")
		canaries := w.waitSoaking(r, "canary", "v3")
		exclude(but(w.waitSoaking(r, "half", "v3"), canaries...)[:3])
		w.waitProven(commit, 2*time.Minute)
	})
}
