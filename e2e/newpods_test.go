package e2e

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// newPodsCandidate has pods that appear by themselves get the candidate.
func newPodsCandidate(p *v1alpha1.RolloutPolicySpec) { p.NewPods = v1alpha1.NewPodsCandidate }

// TestNewPodsGetTheCandidate has no pulse and no gate: the candidate is in the
// DaemonSet while it goes over the nodes.
func TestNewPodsGetTheCandidate(t *testing.T) {
	t.Parallel()
	w := settled(t, 12, quick(newPodsCandidate))

	w.act(t, "what is evicted gets it, the others wait for their wave", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		commit := w.deliver("v2")
		canaries := w.waitSoaking(r, "canary", "v2")
		if len(canaries) != 2 {
			t.Errorf("the canaries are %v, want 2", canaries)
		}
		w.wantInSpec("v2")
		evicted := but(w.nodes(), canaries...)[:2]
		r.excuse(evicted...)
		w.evictPods(evicted...)
		w.waitTag("v2", evicted)
		w.waitTag("v1", but(w.nodes(), append(evicted, canaries...)...))
		w.waitProven(commit, 2*time.Minute)
		w.waitTag("v2", w.nodes())
		r.wantHistory(t, w.nodes(), "v1", "v2")
		r.wantWorst(t, 3)
		w.wantInSpec("v2")
		w.waitUpdated(12)
	})
	w.act(t, "what is rejected leaves the DaemonSet and every node", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		commit := w.deliver("flaky")
		canaries := w.waitBound(r, "flaky", 2)
		evicted := but(w.nodes(), canaries...)[len(w.nodes())-4:]
		r.excuse(evicted...)
		w.evictPods(evicted...)
		w.waitRejected(commit, 2*time.Minute)
		w.waitTag("v2", w.nodes())
		if got := but(r.nodesOf("flaky"), evicted...); len(got) == 0 || len(got) > 2 {
			t.Errorf("rollcall gave flaky to %v, want 1 or 2 canaries", got)
		}
		w.wantInSpec("v2")
		r.wantWorst(t, 3)
		w.wantQuiet(3 * time.Second)
	})
	w.act(t, "without its NodeRollout in the middle it begins again", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		commit := w.deliver("v4")
		canaries := w.waitSoaking(r, "canary", "v4")
		w.must(w.kinds.NodeRollouts(metav1.NamespaceDefault).Delete(t.Context(), agent, metav1.DeleteOptions{}), "delete NodeRollout")
		w.waitRollout("it soaks again", time.Minute, func(n *v1alpha1.NodeRollout) bool {
			return n.Status.Phase == v1alpha1.PhaseSoaking && n.Status.Wave != nil && n.Status.Wave.Name == "canary"
		})
		if got := r.nodesOf("v4"); len(got) > len(canaries) {
			t.Errorf("v4 ran on %v before its canaries %v had soaked", got, canaries)
		}
		w.waitProven(commit, 2*time.Minute)
		r.wantWorst(t, 3)
		w.deliver("v2")
		w.waitTag("v2", w.nodes())
		w.waitPassed("v2")
	})
	w.act(t, "killed in the middle it goes on", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		good := w.deliver("v3")
		w.waitCandidate(good)
		if hit := w.killTimes(seeded(t), 8, good, time.Second); hit == 0 {
			t.Error("no kill hit the rollout before its end")
		}
		w.waitProven(good, 2*time.Minute)
		r.wantHistory(t, w.nodes(), "v2", "v3")
		r.wantWorst(t, 3)
	})
}

// waitBound waits until pods of the tag are on so many nodes at least, and returns
// these.
func (w *world) waitBound(r *recorder, tag string, nodes int) []string {
	w.t.Helper()
	w.until(tag+" is on nodes", time.Minute, func() (bool, string) { return len(r.nodesOf(tag)) >= nodes, "none" })
	return r.nodesOf(tag)
}

// wantInSpec fails unless the DaemonSet holds the tag without a gate, under OnDelete.
func (w *world) wantInSpec(tagged string) {
	w.t.Helper()
	ds := w.daemonSet()
	if got := ds.Spec.Template.Spec.Containers[0].Image; got != "example-image:"+tagged || len(ds.Spec.Template.Spec.SchedulingGates) > 0 || ds.Spec.UpdateStrategy.Type != appsv1.OnDeleteDaemonSetStrategyType {
		w.t.Errorf("the DaemonSet holds %s with gates %v under %s, want %s, none and OnDelete", got, ds.Spec.Template.Spec.SchedulingGates, ds.Spec.UpdateStrategy.Type, tagged)
	}
}
