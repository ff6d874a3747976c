package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
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

	w.act(t, "the policy has first installs on all nodes from now on: it goes nowhere", func(t *testing.T) {
		w.changePolicy(quick())
		w.wantQuiet(5 * time.Second)
		r.wantRadius(t, "bad")
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

// A first version that was rejected is replaced by one that Git leaves to
// Kubernetes: the rejected one goes nowhere on the way.
func TestFirstInstallLeftToKubernetes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 6)
	w.policy(quick(func(p *v1alpha1.RolloutPolicySpec) { p.FirstInstall = v1alpha1.FirstInstallWaves }))
	r := record(t, w.cluster.Client)
	w.pushTag("bad")
	w.follow()
	w.waitRollout("the first version is rejected", time.Minute, func(n *v1alpha1.NodeRollout) bool { return n.Status.Phase == v1alpha1.PhaseRejected })

	files := map[string]string{"daemonset.yaml": strings.Replace(manifest("v1"), "  labels:\n", "  annotations:\n    rollcall.dev/rollout: native\n  labels:\n", 1)}
	for i := range 100 {
		files[fmt.Sprintf("config-%d.yaml", i)] = fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: config-%d, namespace: default}\n", i)
	}
	w.deliverFiles(files)
	w.until("every node has an agent of v1", time.Minute, func() (bool, string) {
		return len(w.agents()) == 6 && w.tags()["v1"] == 6, fmt.Sprintf("%d agents, pods by tag %v", len(w.agents()), w.tags())
	})
	r.wantRadius(t, "bad")
}

// An agent that tolerates everything is meant for nodes that are down too. One whose
// kubelet reports nothing is no evidence against the first version.
func TestFirstInstallBesideADeadNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 9)
	w.policy(quick(soak(0, 2), func(p *v1alpha1.RolloutPolicySpec) { p.FirstInstall = v1alpha1.FirstInstallWaves }))
	w.must(w.cluster.StopKubelet(t.Context(), "node-4"), "stop kubelet")
	w.until("node-4 is given up", time.Minute, func() (bool, string) {
		n, err := w.cluster.Client.CoreV1().Nodes().Get(t.Context(), "node-4", metav1.GetOptions{})
		w.must(err, "get node")
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady {
				return c.Status == corev1.ConditionUnknown, string(c.Status)
			}
		}
		return false, "no condition"
	})
	tolerant := strings.Replace(manifest("v1"), "      terminationGracePeriodSeconds", "      tolerations: [{operator: Exists}]\n      terminationGracePeriodSeconds", 1)
	w.push("v1", map[string]string{"daemonset.yaml": tolerant})
	w.follow()

	n := w.waitRollout("eight nodes prove it", time.Minute, func(n *v1alpha1.NodeRollout) bool { return n.Status.Proven != nil })
	if len(n.Status.Rejected) > 0 || n.Status.Nodes.Present != 8 {
		t.Errorf("%s, rejected %+v, want a proof by 8 of 9 nodes", describe(n), n.Status.Rejected)
	}
	w.must(w.cluster.StartKubelet(t.Context(), "node-4"), "start kubelet")
	w.until("node-4 has its agent", time.Minute, func() (bool, string) {
		return len(w.agents()) == 9, fmt.Sprintf("%d agents", len(w.agents()))
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

// In a freeze no first version begins, not even one for all nodes at once; when it
// is over, it does. One that has begun ends in a freeze.
func TestFirstInstallInAFreeze(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 6)
	w.policy(quick(frozen))
	r := record(t, w.cluster.Client)
	w.pushTag("bad")
	w.follow()

	n := w.waitReason(v1alpha1.PhaseWaiting, "Frozen")
	if !strings.Contains(n.Status.Message, "peak season") {
		t.Errorf("message %q does not say what the freeze is for", n.Status.Message)
	}
	w.until("every node's agent waits", 15*time.Second, func() (bool, string) {
		return len(w.pods()) == 6, fmt.Sprintf("%d pods", len(w.pods()))
	})
	fixed := w.deliver("v1")
	w.until("another one waits in its stead", 15*time.Second, func() (bool, string) {
		return w.tags()["v1"] == 6 && len(w.pods()) == 6, fmt.Sprintf("pods by tag %v", w.tags())
	})
	w.wantQuiet(3 * time.Second)
	r.wantTags(t)

	w.changePolicy(quick())
	w.until("the first agent is there", 15*time.Second, func() (bool, string) { return len(w.agents()) > 0, "none" })
	w.changePolicy(quick(frozen))
	w.waitProven(fixed, time.Minute)
	r.wantTags(t, "v1")
}
