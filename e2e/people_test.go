package e2e

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// What people do to a DaemonSet with kubectl, each with its field manager.
const (
	// rollout restart.
	restartPatch = `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"2026-01-01T00:00:00Z"}}}}}`
	// set image, to a tag that Git has never seen.
	imagePatch = `{"spec":{"template":{"spec":{"containers":[{"name":"example-container","image":"example-image:by-hand"}]}}}}`
	// edit.
	strategyPatch = `{"spec":{"updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":1,"maxSurge":0}}}}`
)

// meddle does all of it, one after the other, and waits each time until the
// DaemonSet is as it was.
func (w *world) meddle(rest corev1.PodTemplateSpec) {
	w.t.Helper()
	w.patchDaemonSet("kubectl-rollout", restartPatch)
	w.waitRest(rest, 30*time.Second)
	w.undo()
	w.waitRest(rest, 30*time.Second)
	w.patchDaemonSet("kubectl-set", imagePatch)
	w.waitRest(rest, 30*time.Second)
	w.patchDaemonSet("kubectl-edit", strategyPatch)
	w.waitRest(rest, 30*time.Second)
}

// undo is kubectl rollout undo: it writes the template of the revision before the
// newest one.
func (w *world) undo() {
	w.t.Helper()
	list, err := w.cluster.Client.AppsV1().ControllerRevisions(metav1.NamespaceDefault).List(w.t.Context(), metav1.ListOptions{LabelSelector: "app=example"})
	w.must(err, "list controller revisions")
	if len(list.Items) < 2 {
		w.t.Fatalf("there are %d revisions: nothing can be undone", len(list.Items))
	}
	slices.SortFunc(list.Items, func(a, b appsv1.ControllerRevision) int { return cmp.Compare(b.Revision, a.Revision) })
	_, err = w.cluster.Client.AppsV1().DaemonSets(metav1.NamespaceDefault).Patch(w.t.Context(), agent, types.StrategicMergePatchType, list.Items[1].Data.Raw, metav1.PatchOptions{FieldManager: "kubectl-rollout"})
	w.must(err, "undo")
}

func TestPeopleMeddle(t *testing.T) {
	t.Parallel()
	w := settled(t, 12, quick(soak(0, 5)))
	r := record(t, w.cluster.Client)

	w.act(t, "at rest nothing restarts", func(t *testing.T) {
		w.waitUpdated(12)
		before := w.uids()
		w.meddle(w.daemonSet().Spec.Template)
		w.wantSame(before)
		r.wantHistory(t, w.nodes(), "v1")
		n := w.waitRollout("it is at rest", time.Minute, func(n *v1alpha1.NodeRollout) bool { return n.Status.Phase == v1alpha1.PhaseProven })
		if n.Status.Candidate != nil {
			t.Errorf("what people wrote is a candidate: %+v", n.Status.Candidate)
		}
		w.waitUpdated(12)
		w.wantRestored("TemplateRestored", "kubectl-set")
		w.wantRestored("StrategyRestored", "kubectl-edit")
	})
	w.act(t, "in a soak and in a pulse nothing leaks", func(t *testing.T) {
		rest := w.daemonSet().Spec.Template
		commit := w.deliver("v2")
		canaries := w.waitSoaking(r, "canary", "v2")
		untouched := but(w.nodes(), canaries...)
		// Under RollingUpdate Kubernetes takes away whatever is not of the
		// live template, one at a time: that is the person's doing.
		r.excuse(canaries...)
		w.meddle(rest)
		w.waitTag("v2", canaries)
		r.excuse(untouched[:2]...)
		w.deletePods(canaries[0], untouched[0], untouched[1])
		w.waitTag("v1", untouched)
		if leaked := but(r.nodesOf("v2"), canaries...); len(leaked) > 0 {
			t.Errorf("in the soak of the canaries %v the candidate leaked to %v", canaries, leaked)
		}
		w.waitTag("v2", canaries)
		r.blame(slices.Concat(canaries, untouched[:2])...)

		for _, patch := range []struct{ manager, patch string }{
			{"kubectl-rollout", restartPatch}, {"kubectl-set", imagePatch}, {"kubectl-edit", strategyPatch},
		} {
			w.onGate(func() {}, func() { w.patchDaemonSet(patch.manager, patch.patch) })
		}
		w.waitProven(commit, 2*time.Minute)
		w.waitTag("v2", w.nodes())
		if got := r.nodesOf("by-hand"); len(got) > 0 {
			t.Errorf("the image that a person set ran on %v", got)
		}
		// The person's own RollingUpdate may take one more node away.
		r.wantWorst(t, 4)
		w.waitUpdated(12)
	})
}

// wantRestored fails unless an event says who meddled.
func (w *world) wantRestored(reason, manager string) {
	w.t.Helper()
	w.until("there is an event "+reason+" about "+manager, 15*time.Second, func() (bool, string) {
		list, err := w.cluster.Client.CoreV1().Events(metav1.NamespaceDefault).List(w.t.Context(), metav1.ListOptions{FieldSelector: "reason=" + reason})
		w.must(err, "list events")
		said := slices.ContainsFunc(list.Items, func(e corev1.Event) bool {
			return e.Type == corev1.EventTypeWarning && strings.HasPrefix(e.Message, manager+" ")
		})
		return said, fmt.Sprintf("%d of that reason", len(list.Items))
	})
}

func TestPauseAndRetry(t *testing.T) {
	t.Parallel()
	w := settled(t, 12, quick(soak(0, 2)))

	w.act(t, "a pause lets nothing change, a resume completes, and neither needs Git", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		var commit string
		w.onGate(func() { commit = w.deliver("v2") }, func() {
			w.must(w.git.Stop(), "stop git server")
			w.patchRollout(`{"paused":true}`)
		})
		n := w.waitRollout("it is paused and what was in flight has arrived", time.Minute, func(n *v1alpha1.NodeRollout) bool {
			return n.Status.Phase == v1alpha1.PhaseHeld && n.Status.Reason == "Paused" && len(n.Status.InFlight) == 0 && n.Status.Nodes.Absent == 0
		})
		w.wantQuiet(5 * time.Second)
		if ds := w.daemonSet(); len(ds.Spec.Template.Spec.SchedulingGates) > 0 {
			t.Error("while paused the DaemonSet holds the gated candidate")
		}
		if n.Status.Message == "" {
			t.Error("the pause has no message")
		}
		w.patchRollout(`{"paused":false}`)
		w.waitProven(commit, 2*time.Minute)
		w.waitTag("v2", w.nodes())
		r.wantHistory(t, w.nodes(), "v1", "v2")
		r.wantWorst(t, 3)
		w.must(w.git.Resume(t.Context()), "resume git server")
	})
	w.act(t, "a retry runs the canaries again, once", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		n := w.waitRejected(w.deliver("bad"), time.Minute)
		first := r.nodesOf("bad")
		// Another commit of the same template is no new candidate.
		label := w.deliverFiles(map[string]string{"daemonset.yaml": strings.Replace(manifest("bad"), "labels:", "labels:\n    changed: label", 1)})
		w.waitSync("the commit of a label is applied", time.Minute, func(gs *v1alpha1.GitSync) bool { return gs.Status.Applied == label })
		w.wantQuiet(5 * time.Second)

		w.patchRollout(fmt.Sprintf(`{"retry":%q}`, n.Status.Rejected[0].Digest))
		again := w.waitRollout("it is rejected again", time.Minute, func(again *v1alpha1.NodeRollout) bool {
			s := again.Status
			return s.Phase == v1alpha1.PhaseRejected && s.HandledRetry == again.Spec.Retry && !s.Rejected[0].At.Equal(&n.Status.Rejected[0].At)
		})
		w.waitTag("v2", w.nodes())
		r.wantRadius(t, "bad")
		r.wantHistory(t, first, "v2", "bad", "v2", "bad", "v2")
		if got := len(again.Status.Rejected); got != 1 {
			t.Errorf("%d rejections of one digest", got)
		}
		w.wantQuiet(5 * time.Second)
	})
}
