package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// onDelete is the manifest as another tool has it.
func onDelete(tag string) string {
	return strings.Replace(manifest(tag), "spec:\n  selector:", "spec:\n  updateStrategy: {type: OnDelete}\n  selector:", 1)
}

// flux applies a manifest as Flux does.
func (w *world) flux(manifest string) *appsv1.DaemonSet {
	w.t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(manifest))
	w.must(err, "read manifest")
	ds, err := w.cluster.Client.AppsV1().DaemonSets(metav1.NamespaceDefault).Patch(w.t.Context(), agent, types.ApplyPatchType, raw, metav1.PatchOptions{FieldManager: "flux", Force: ptr.To(true)})
	w.must(err, "apply")
	return ds
}

// rollByPerson makes the NodeRollout of the agent, as kubectl apply does.
func (w *world) rollByPerson(policy string) {
	w.t.Helper()
	_, err := w.kinds.NodeRollouts(metav1.NamespaceDefault).Create(w.t.Context(), &v1alpha1.NodeRollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: agent}, Spec: v1alpha1.NodeRolloutSpec{Policy: policy},
	}, metav1.CreateOptions{})
	w.must(err, "create NodeRollout")
}

// wantFlux fails when anybody but flux and Kubernetes owns a field of the DaemonSet.
func (w *world) wantFlux() {
	w.t.Helper()
	for _, f := range w.daemonSet().ManagedFields {
		if f.Manager != "flux" && f.Manager != "kube-controller-manager" && f.Manager != "minicluster" {
			w.t.Errorf("%s owns fields of the DaemonSet: %s", f.Manager, f.FieldsV1)
		}
	}
}

// waitAt waits until the rollout by another tool is in a phase for a reason; any
// without one.
func (w *world) waitAt(phase v1alpha1.Phase, reason string) *v1alpha1.NodeRollout {
	w.t.Helper()
	return w.waitRollout("it is "+string(phase)+" "+reason, time.Minute, func(n *v1alpha1.NodeRollout) bool {
		return n.Status.Phase == phase && (reason == "" || n.Status.Reason == reason)
	})
}

// waitPassed waits until what the DaemonSet holds is proven and on every node.
func (w *world) waitPassed(tag string) {
	w.t.Helper()
	w.waitTag(tag, w.nodes())
	w.waitRollout(tag+" is proven", time.Minute, func(n *v1alpha1.NodeRollout) bool {
		return n.Status.Phase == v1alpha1.PhaseProven && n.Status.Candidate == nil && n.Status.Nodes.Absent == 0
	})
}

// TestBringYourOwnGitOps has a DaemonSet that another tool applies go in waves, and
// nothing of it written.
func TestBringYourOwnGitOps(t *testing.T) {
	t.Parallel()
	whole, w := t, newWorld(t, 12)
	w.policy(quick())
	_, err := w.kinds.RolloutPolicies().Create(t.Context(), &v1alpha1.RolloutPolicy{ObjectMeta: metav1.ObjectMeta{Name: "flux"}, Spec: quick(newPodsCandidate)}, metav1.CreateOptions{})
	w.must(err, "create RolloutPolicy")

	w.act(t, "it is proven as it runs", func(t *testing.T) {
		w.rollByPerson("flux")
		w.waitRollout("it says that there is no DaemonSet", time.Minute, func(n *v1alpha1.NodeRollout) bool { return n.Status.Reason == "DaemonSetGone" })
		w.flux(onDelete("v1"))
		w.waitTag("v1", w.nodes())
		before := w.uids()
		w.waitPassed("v1")
		w.wantQuiet(2 * time.Second)
		w.wantSame(before)
		w.wantFlux()
	})
	w.act(t, "a good change goes in waves, past evictions and a crash", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		w.flux(onDelete("v2"))
		canaries := w.waitSoaking(r, "canary", "v2")
		if len(canaries) != 2 {
			t.Errorf("the canaries are %v, want 2", canaries)
		}
		w.must(w.control.Kill(), "kill rollcall")
		evicted := but(w.nodes(), canaries...)[:2]
		r.excuse(evicted...)
		w.evictPods(evicted...)
		w.waitTag("v2", evicted)
		w.t = whole // it outlives this part
		w.startController()
		w.t = t
		w.waitPassed("v2")
		r.wantHistory(t, w.nodes(), "v1", "v2")
		r.wantWorst(t, 3)
		w.waitUpdated(12)
		w.wantFlux()
	})
	w.act(t, "a bad one stops at its canaries until it is reverted", func(t *testing.T) { w.wantStoppedByFlux(t) })
	w.act(t, "Kubernetes must not replace pods itself", func(t *testing.T) {
		before := w.uids()
		w.flux(strings.Replace(onDelete("v2"), "OnDelete", "RollingUpdate", 1))
		n := w.waitAt(v1alpha1.PhaseHeld, "StrategyNotOnDelete")
		if !strings.Contains(n.Status.Message, "spec.updateStrategy.type") {
			t.Errorf("the message names no field: %s", n.Status.Message)
		}
		w.wantQuiet(2 * time.Second)
		w.flux(onDelete("v2"))
		w.waitPassed("v2")
		w.wantSame(before)
		w.wantFlux()
	})
	w.act(t, "a default that the API server learns restarts nothing", func(t *testing.T) {
		before := w.uids()
		w.forgetDefault()
		w.patchRollout(`{"retry":"none"}`)
		w.waitRollout("it has looked", time.Minute, func(n *v1alpha1.NodeRollout) bool { return n.Status.HandledRetry == "none" })
		w.waitPassed("v2")
		w.wantQuiet(3 * time.Second)
		w.wantSame(before)
	})
	w.act(t, "a policy that cannot be kept holds", func(t *testing.T) {
		w.patchRollout(`{"policy":null}`)
		w.flux(onDelete("v3"))
		n := w.waitAt(v1alpha1.PhaseHeld, "NewPodsProven")
		if !strings.Contains(n.Status.Message, "spec.policy") {
			t.Errorf("the message shows no way out: %s", n.Status.Message)
		}
		w.wantQuiet(2 * time.Second)
		w.patchRollout(`{"policy":"flux"}`)
		w.waitPassed("v3")
	})
	w.act(t, "without its NodeRollout the DaemonSet is as it was", func(t *testing.T) { w.wantLeft() })
	w.act(t, "a GitSync takes it over", func(t *testing.T) { w.wantTakenOver(t) })
}

// wantStoppedByFlux applies what is bad, reverts it, applies it again and has it
// tried again.
func (w *world) wantStoppedByFlux(t *testing.T) {
	t.Helper()
	r := record(t, w.cluster.Client)
	w.flux(onDelete("bad"))
	n := w.waitAt(v1alpha1.PhaseRejected, "")
	if !strings.Contains(n.Status.Message, "revert") {
		t.Errorf("the message shows no way out: %s", n.Status.Message)
	}
	time.Sleep(3 * time.Second)
	r.wantRadius(t, "bad")
	w.wantFlux()

	w.flux(onDelete("v2"))
	w.waitPassed("v2")
	hurt := r.nodesOf("bad")
	r.wantHistory(t, but(w.nodes(), hurt...), "v2")

	before := w.uids()
	w.flux(onDelete("bad"))
	again := w.waitAt(v1alpha1.PhaseRejected, "")
	w.wantQuiet(2 * time.Second)
	w.wantSame(before)
	if again.Status.Candidate.Digest != n.Status.Candidate.Digest {
		t.Errorf("one template has two digests, %s and %s", n.Status.Candidate.Digest, again.Status.Candidate.Digest)
	}

	w.patchRollout(`{"retry":"` + again.Status.Candidate.Digest + `"}`)
	w.waitRollout("it is rejected again", time.Minute, func(n *v1alpha1.NodeRollout) bool {
		return n.Status.Phase == v1alpha1.PhaseRejected && n.Status.HandledRetry == n.Spec.Retry && n.Status.Nodes.Candidate > 0
	})
	w.flux(onDelete("v2"))
	w.waitPassed("v2")
	r.wantWorst(t, 3)
	w.wantFlux()
}

// wantLeft deletes the NodeRollout.
func (w *world) wantLeft() {
	w.t.Helper()
	before, pods := w.daemonSet(), w.uids()
	w.must(w.kinds.NodeRollouts(metav1.NamespaceDefault).Delete(w.t.Context(), agent, metav1.DeleteOptions{}), "delete NodeRollout")
	w.wantQuiet(3 * time.Second)
	w.wantSame(pods)
	after := w.daemonSet()
	if after.ResourceVersion != before.ResourceVersion {
		w.t.Errorf("the DaemonSet was written: %s, was %s", after.ResourceVersion, before.ResourceVersion)
	}
	w.eventually("what was recorded is gone too", time.Minute, func() (bool, error) {
		_, err := w.cluster.Client.CoreV1().ConfigMaps(metav1.NamespaceDefault).Get(w.t.Context(), agent+".rollcall-state", metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
}

// wantTakenOver lets a GitSync have a DaemonSet for which a person has made a
// NodeRollout, before and while it has it.
func (w *world) wantTakenOver(t *testing.T) {
	t.Helper()
	w.rollByPerson("flux")
	w.waitPassed("v3")
	before := w.uids()
	first := w.push("take over", map[string]string{"daemonset.yaml": manifest("v3")})
	w.follow()
	w.waitProven(first, time.Minute)
	w.wantSame(before)

	r := record(t, w.cluster.Client)
	second := w.deliver("v4")
	w.waitProven(second, 2*time.Minute)
	r.wantHistory(t, w.nodes(), "v3", "v4")
	r.wantWorst(t, 3)

	client := w.kinds.NodeRollouts(metav1.NamespaceDefault)
	w.must(client.Delete(t.Context(), agent, metav1.DeleteOptions{}), "delete NodeRollout")
	w.rollByPerson("flux")
	third := w.deliver("v5")
	w.waitProven(third, 2*time.Minute)
	n, err := client.Get(t.Context(), agent, metav1.GetOptions{})
	w.must(err, "get NodeRollout")
	if n.Labels[v1alpha1.LabelOwner] == "" || !slices.ContainsFunc(w.daemonSet().ManagedFields, func(f metav1.ManagedFieldsEntry) bool { return f.Manager == v1alpha1.FieldManager }) {
		t.Errorf("the NodeRollout is nobody's: %v", n.Labels)
	}
}
