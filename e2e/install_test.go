package e2e

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// A DaemonSet that does not exist yet is a rollout too: a bad one reaches its
// canaries and leaves them, and the fix goes over the nodes in the same waves,
// without a second start of any pod.
func TestFirstInstallInWaves(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 12)
	w.policy(quick(func(p *v1alpha1.RolloutPolicySpec) { p.FirstInstall = v1alpha1.FirstInstallWaves }))
	r := record(t, w.cluster.Client)
	bad := w.pushTag("bad")
	w.follow()

	w.act(t, "a bad one reaches its canaries", func(t *testing.T) {
		n := w.waitRollout("the first version is rejected", time.Minute, func(n *v1alpha1.NodeRollout) bool {
			return n.Status.Phase == v1alpha1.PhaseRejected && n.Status.Rejected[0].Commit == bad
		})

		t.Log(n.Status.Message)
		r.wantRadius(t, "bad")
		w.until("the canaries are cleared", 15*time.Second, func() (bool, string) {
			for _, p := range w.pods() {
				if p.Spec.NodeName != "" {
					return false, p.Name + " is on " + p.Spec.NodeName
				}
			}
			return len(w.pods()) == 12, "pods are missing"
		})
	})

	w.act(t, "the fix goes in waves", func(t *testing.T) {
		fixed := w.deliver("v1")
		canaries := w.waitSoaking(r, "canary", "v1")
		r.wantRadius(t, "v1")
		w.deletePods(canaries[0])
		w.waitProven(fixed, time.Minute)

		ds, running := w.daemonSet(), w.uids()
		if len(ds.Spec.Template.Spec.SchedulingGates) > 0 || len(running) != 12 {
			t.Errorf("proven, the template has gates %v and %d of 12 nodes have an agent", ds.Spec.Template.Spec.SchedulingGates, len(running))
		}
		w.waitUpdated(12)
		w.wantSame(running)
		r.wantTags(t, "bad", "v1")
	})
}

// The NodeRollout of a first install that is under way is deleted, and made again
// by the next pass: nothing starts that no wave opened.
func TestFirstInstallIsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 9)
	w.policy(quick(soak(0, 20), func(p *v1alpha1.RolloutPolicySpec) { p.FirstInstall = v1alpha1.FirstInstallWaves }))
	r := record(t, w.cluster.Client)
	first := w.pushTag("v1")
	w.follow()
	w.waitSoaking(r, "canary", "v1")

	w.must(w.kinds.NodeRollouts(metav1.NamespaceDefault).Delete(t.Context(), agent, metav1.DeleteOptions{}), "delete NodeRollout")
	w.poke()
	w.waitSoaking(r, "canary", "v1")
	r.wantRadius(t, "v1")
	w.waitProven(first, 2*time.Minute)
	w.waitUpdated(9)
}
