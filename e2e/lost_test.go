package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// A NodeRollout goes in the middle of a pulse, when the DaemonSet holds the
// gated candidate: the DaemonSet gets back what it held before, so that every
// pod that is made from then on runs (promise P4).
func TestNodeRolloutIsLostInAPulse(t *testing.T) {
	t.Parallel()
	w := settled(t, 12, quick(soak(0, 8)))

	// Somebody deletes it while rollcall is down and the GitSync suspended.
	var commit string
	w.onGate(func() { commit = w.deliver("v1b") }, func() { w.must(w.control.Kill(), "kill rollcall") })
	w.suspend(true)
	w.deleteRollout()
	w.evictPods(w.nodes()...)
	w.startController()
	w.waitRestored("v1")
	w.waitTag("v1", w.nodes())
	w.suspend(false)
	w.waitProven(commit, time.Minute)

	w.act(t, "somebody deletes it", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		lost := w.rollout()
		w.onGate(func() { commit = w.deliver("v2") }, func() {
			var moving []string // rollcall may be deleting these
			for _, f := range w.rollout().Status.InFlight {
				moving = append(moving, f.Node)
			}
			w.deleteRollout()
			w.evictPods(but(w.nodes(), moving...)[0])
		})
		w.waitRollout("it is adopted again", 20*time.Second, func(n *v1alpha1.NodeRollout) bool {
			return n.UID != lost.UID && n.Status.Proven != nil && strings.HasPrefix(n.Status.Proven.Digest, "adopted:")
		})
		canaries := w.waitSoaking(r, "canary", "v2")
		w.waitTag("v1b", but(w.nodes(), canaries...))
		r.wantRadius(t, "v2")
		w.waitProven(commit, time.Minute)
		w.waitTag("v2", w.nodes())
		w.waitUpdated(12)
	})
	w.act(t, "somebody deletes it while the GitSync is suspended", func(t *testing.T) {
		w.onGate(func() { commit = w.deliver("v3") }, func() {
			w.suspend(true)
			w.deleteRollout()
		})
		w.waitRestored("v2")
		w.waitTag("v2", w.nodes())
		w.suspend(false)
		w.waitProven(commit, time.Minute)
	})
	w.act(t, "Git leaves the DaemonSet to Kubernetes", func(t *testing.T) {
		native := strings.Replace(manifest("v4"), "  labels:\n", "  annotations:\n    rollcall.dev/rollout: native\n  labels:\n", 1)
		native = strings.Replace(native, "spec:\n", "spec:\n  updateStrategy: {type: OnDelete}\n", 1)
		w.onGate(func() { w.deliver("v4") }, func() {
			w.push("native", map[string]string{"daemonset.yaml": native})
			w.poke()
		})
		w.waitRestored("v4")
		w.until("every node has an agent and no NodeRollout is left", time.Minute, func() (bool, string) {
			_, err := w.kinds.NodeRollouts(metav1.NamespaceDefault).Get(t.Context(), agent, metav1.GetOptions{})
			return apierrors.IsNotFound(err) && len(w.agents()) == 12 && len(w.pods()) == 12, fmt.Sprintf("%d agents of %d pods, get NodeRollout: %v", len(w.agents()), len(w.pods()), err)
		})
	})
}

// The state beside a NodeRollout goes in the middle of a rollout. What is lost
// with it is which nodes have answered: the waves begin anew, the way back does
// not change (promises P1, P2 and P8).
func TestStateIsLost(t *testing.T) {
	t.Parallel()
	w := settled(t, 9, quick(soak(0, 6)))
	w.waitUpdated(9)

	w.act(t, "while the canaries soak", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		commit := w.deliver("v2")
		canaries := w.waitSoaking(r, "canary", "v2")
		w.deleteState()
		lost := time.Now()
		w.waitProven(commit, time.Minute)
		w.waitTag("v2", w.nodes())
		if beyond := r.firstBeyond("v2", canaries); beyond.Sub(lost) < 6*time.Second {
			t.Errorf("v2 went beyond %v %s after their evidence was lost, want another soak of 6 s", canaries, beyond.Sub(lost))
		}
		r.wantHistory(t, w.nodes(), "v1", "v2")
		r.wantWorst(t, 3)
	})
	w.act(t, "in a pulse", func(t *testing.T) {
		w.waitAtRest()
		r := record(t, w.cluster.Client)
		var commit string
		w.onGate(func() { commit = w.deliver("v3") }, w.deleteState)
		w.waitSoaking(r, "canary", "v3")
		r.wantRadius(t, "v3")
		w.waitProven(commit, time.Minute)
		w.waitTag("v3", w.nodes())
		r.wantTags(t, "v2", "v3")
		r.wantWorst(t, 3)
		w.waitUpdated(9)
	})
	w.act(t, "garbled in a pulse", func(t *testing.T) {
		w.waitAtRest()
		r := record(t, w.cluster.Client)
		var commit string
		w.onGate(func() { commit = w.deliver("v4") }, func() { w.garble("rollcall-state", "records.json") })
		w.waitSoaking(r, "canary", "v4")
		r.wantRadius(t, "v4")
		w.waitProven(commit, time.Minute)
		w.waitTag("v4", w.nodes())
		r.wantTags(t, "v3", "v4")
		r.wantWorst(t, 3)
	})
	w.act(t, "in a pulse, and rollcall has to leave", func(t *testing.T) {
		w.waitAtRest()
		r := record(t, w.cluster.Client)
		lift := refuse(t, w.cluster.Client, metav1.NamespaceDefault, "configmaps", admissionv1.Create, "!object.metadata.name.endsWith('.rollcall-state')")
		w.until("the state cannot be made", 30*time.Second, func() (bool, string) {
			cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a.rollcall-state"}}
			_, err := w.cluster.Client.CoreV1().ConfigMaps(metav1.NamespaceDefault).Create(t.Context(), cm, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			return err != nil && strings.Contains(err.Error(), denial), fmt.Sprint(err)
		})
		var commit string
		w.onGate(func() { commit = w.deliver("v5") }, w.deleteState)
		w.waitRollout("it says that it cannot record", time.Minute, func(n *v1alpha1.NodeRollout) bool { return n.Status.Reason == "StepFailed" })
		w.must(w.control.Stop(), "stop rollcall")
		w.waitRestored("v4")
		w.waitTag("v4", but(w.nodes(), w.inFlight()...))
		lift()
		w.startController()
		w.waitProven(commit, time.Minute)
		w.waitTag("v5", w.nodes())
		r.wantTags(t, "v4", "v5")
		r.wantWorst(t, 3)
	})
}

// Somebody deletes all ControllerRevisions of the DaemonSet. Its pods carry the hash
// of one that does not come again, and are what they are.
func TestRevisionsAreLost(t *testing.T) {
	t.Parallel()
	w := settled(t, 6, quick(soak(0, 1)))
	w.waitUpdated(6)
	commit := w.deliver("v2")
	w.waitProven(commit, time.Minute)
	w.waitUpdated(6)
	before := w.uids()
	loseRevisions := func() {
		all := w.cluster.Client.AppsV1().ControllerRevisions(metav1.NamespaceDefault)
		w.must(all.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}), "delete controllerrevisions")
	}

	w.act(t, "at rest", func(t *testing.T) {
		loseRevisions()
		w.wantQuiet(5 * time.Second)
		w.wantSame(before)
		w.waitUpdated(6)
		w.wantSame(before)
	})
	w.act(t, "while the canaries soak", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		w.changePolicy(quick(soak(0, 6)))
		commit := w.deliver("v3")
		w.waitSoaking(r, "canary", "v3")
		loseRevisions()
		w.waitProven(commit, time.Minute)
		w.waitTag("v3", w.nodes())
		r.wantHistory(t, w.nodes(), "v2", "v3")
	})
	w.act(t, "without rollcall", func(t *testing.T) {
		w.waitUpdated(6)
		w.must(w.control.Stop(), "stop rollcall")
		before := w.uids()
		loseRevisions()
		w.startController()
		w.waitUpdated(6)
		w.wantQuiet(5 * time.Second)
		w.wantSame(before)
	})
}

// What Git declares goes from beside a NodeRollout in the middle of a rollout.
// Nobody knows then what is wanted, and what is not known is no wish to go back:
// the waves wait, and go on with the next pass (promises P3, P8 and P9).
func TestDeclarationIsLost(t *testing.T) {
	t.Parallel()
	w := settled(t, 9, quick(soak(0, 8)))
	w.waitUpdated(9)

	w.act(t, "while the canaries soak", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		commit := w.deliver("v2")
		w.waitSoaking(r, "canary", "v2")
		w.deleteDeclaration()
		w.waitProven(commit, time.Minute)
		w.waitTag("v2", w.nodes())
		r.wantHistory(t, w.nodes(), "v1", "v2")
		r.wantWorst(t, 3)
	})
	w.act(t, "garbled in a pulse", func(t *testing.T) {
		w.waitAtRest()
		r := record(t, w.cluster.Client)
		var commit string
		w.onGate(func() { commit = w.deliver("v3") }, func() { w.garble("rollcall-declared", "declared.json") })
		w.waitProven(commit, time.Minute)
		w.waitTag("v3", w.nodes())
		r.wantTags(t, "v2", "v3")
		r.wantWorst(t, 3)
	})
	w.act(t, "no pass comes: everything stays as it is, and says why", func(t *testing.T) {
		w.waitAtRest()
		w.waitUpdated(9)
		r := record(t, w.cluster.Client)
		commit := w.deliver("v4")
		canaries := w.waitSoaking(r, "canary", "v4")
		w.suspend(true)
		w.waitSuspended()
		w.deleteDeclaration()
		n := w.waitReason(v1alpha1.PhaseHeld, "DeclarationMissing")
		for _, words := range []string{agent + ".rollcall-declared", "next pass of GitSync default.fleet", "resume the GitSync if it is suspended"} {
			if !strings.Contains(n.Status.Message, words) {
				t.Errorf("the message does not say %q: %s", words, n.Status.Message)
			}
		}
		w.wantQuiet(10 * time.Second) // longer than the canaries have to soak
		w.waitReason(v1alpha1.PhaseHeld, "DeclarationMissing")
		r.wantHistory(t, canaries, "v3", "v4")
		r.wantHistory(t, but(w.nodes(), canaries...), "v3")
		w.suspend(false)
		w.waitProven(commit, time.Minute)
		w.waitTag("v4", w.nodes())
		r.wantHistory(t, w.nodes(), "v3", "v4")
		r.wantWorst(t, 3)
	})
	w.act(t, "no pass comes: what the canaries reject goes back", func(t *testing.T) {
		w.waitAtRest()
		r := record(t, w.cluster.Client)
		commit := w.deliver("flaky")
		w.waitRollout("the canaries are replaced", time.Minute, func(n *v1alpha1.NodeRollout) bool {
			return n.Status.Nodes.Candidate == 2 && n.Status.Candidate.Commit == commit
		})
		w.suspend(true)
		w.waitSuspended()
		w.deleteDeclaration()
		w.waitRejected(commit, time.Minute)
		w.waitTag("v4", w.nodes())
		r.wantRadius(t, "flaky")
		r.wantWorst(t, 3)
	})
}

// deleteDeclaration deletes what Git declares from beside the NodeRollout, and
// makes the rollout look now.
func (w *world) deleteDeclaration() {
	w.t.Helper()
	w.must(w.cluster.Client.CoreV1().ConfigMaps(metav1.NamespaceDefault).Delete(w.t.Context(), agent+".rollcall-declared", metav1.DeleteOptions{}), "delete declaration")
	w.patchRollout(fmt.Sprintf(`{"retry":"nothing-%d"}`, time.Now().UnixNano()))
}

// garble makes what rollcall keeps beside the NodeRollout unreadable, and makes the
// rollout look now.
func (w *world) garble(what, key string) {
	w.t.Helper()
	_, err := w.cluster.Client.CoreV1().ConfigMaps(metav1.NamespaceDefault).Patch(w.t.Context(), agent+"."+what, types.MergePatchType,
		fmt.Appendf(nil, `{"data":{%q:"{"}}`, key), metav1.PatchOptions{FieldManager: "someone"})
	w.must(err, "garble "+what)
	w.patchRollout(fmt.Sprintf(`{"retry":"nothing-%d"}`, time.Now().UnixNano()))
}

// deleteState deletes what the rollout has recorded beside its NodeRollout.
func (w *world) deleteState() {
	w.t.Helper()
	w.must(w.cluster.Client.CoreV1().ConfigMaps(metav1.NamespaceDefault).Delete(w.t.Context(), agent+".rollcall-state", metav1.DeleteOptions{}), "delete state")
}

// waitAtRest waits until the rollout is over.
func (w *world) waitAtRest() {
	w.t.Helper()
	w.waitRollout("it is at rest", time.Minute, func(n *v1alpha1.NodeRollout) bool {
		return n.Status.Phase == v1alpha1.PhaseProven && n.Status.Reason == "Proven" && n.Status.Nodes.Absent == 0
	})
}

// rollout reads the agent's NodeRollout.
func (w *world) rollout() *v1alpha1.NodeRollout {
	w.t.Helper()
	n, err := w.kinds.NodeRollouts(metav1.NamespaceDefault).Get(w.t.Context(), agent, metav1.GetOptions{})
	w.must(err, "get NodeRollout")
	return n
}

// deleteRollout deletes the NodeRollout, as `kubectl delete nroll` does.
func (w *world) deleteRollout() {
	w.t.Helper()
	w.must(w.kinds.NodeRollouts(metav1.NamespaceDefault).Delete(w.t.Context(), agent, metav1.DeleteOptions{}), "delete NodeRollout")
}

// suspend suspends the GitSync, or lets it go on.
func (w *world) suspend(suspended bool) {
	w.t.Helper()
	patch := fmt.Sprintf(`{"spec":{"suspend":%t}}`, suspended)
	_, err := w.kinds.GitSyncs(metav1.NamespaceDefault).Patch(w.t.Context(), "fleet", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	w.must(err, "patch GitSync")
}

// waitRestored waits until the DaemonSet holds the tag without rollcall's gate.
func (w *world) waitRestored(tagged string) {
	w.t.Helper()
	w.until("the DaemonSet holds "+tagged+" without the gate", 20*time.Second, func() (bool, string) {
		spec := w.daemonSet().Spec.Template.Spec
		return len(spec.SchedulingGates) == 0 && tag(&corev1.Pod{Spec: spec}) == tagged, fmt.Sprintf("%s, gates %v", spec.Containers[0].Image, spec.SchedulingGates)
	})
}
