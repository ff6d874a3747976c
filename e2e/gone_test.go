package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// Somebody deletes the DaemonSet. While nobody makes it again the roll call says
// so, and what is recorded stays (promises P9 and P10); whoever makes it again
// makes it with the proven version.
func TestDaemonSetIsGone(t *testing.T) {
	t.Parallel()
	w := settled(t, 6, quick(soak(0, 6)))
	w.waitUpdated(6)

	w.act(t, "with its pods, while the GitSync is suspended", func(t *testing.T) {
		w.suspend(true)
		w.goneWhole(metav1.DeletePropagationBackground)
		w.until("its pods are gone", time.Minute, func() (bool, string) { return len(w.pods()) == 0, "there are some" })
		w.wantHeldMeasured("DaemonSetGone", 6)
		w.suspend(false)
		w.waitTag("v1", w.nodes())
		w.waitAtRest()
	})
	w.act(t, "without its pods, while the GitSync is suspended", func(t *testing.T) {
		before := w.uids()
		w.suspend(true)
		w.goneWhole(metav1.DeletePropagationOrphan)
		w.suspend(false)
		w.waitAtRest()
		w.waitUpdated(6)
		w.wantSame(before)
	})
	w.act(t, "and its deletion takes long", func(t *testing.T) {
		before := w.uids()
		w.patchDaemonSet("kubectl-patch", `{"metadata":{"finalizers":["example.com/later"]}}`)
		uid := w.deleteDaemonSet(metav1.DeletePropagationBackground)
		n := w.waitRollout("it says that the DaemonSet is being deleted", 15*time.Second, func(n *v1alpha1.NodeRollout) bool {
			return n.Status.Phase == v1alpha1.PhaseHeld && n.Status.Reason == "DaemonSetTerminating"
		})
		if want := (v1alpha1.NodeCounts{Eligible: 6, Present: 6}); n.Status.Nodes != want {
			t.Errorf("nodes are %+v, want %+v", n.Status.Nodes, want)
		}
		w.wantSame(before)
		w.patchDaemonSet("kubectl-patch", `{"metadata":{"finalizers":null}}`)
		w.waitBack("v1", uid)
	})
	w.act(t, "in the middle of a rollout, while the GitSync is suspended", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		commit := w.deliver("v2")
		canaries := w.waitSoaking(r, "canary", "v2")
		w.suspend(true)
		r.excuse(w.nodes()...)
		w.goneWhole(metav1.DeletePropagationBackground)
		w.suspend(false)
		w.waitTag("v1", but(w.nodes(), canaries...))
		w.waitProven(commit, time.Minute)
		w.waitTag("v2", w.nodes())
		r.wantTags(t, "v1", "v2")
	})
	w.act(t, "while the newest commit is refused", func(t *testing.T) {
		w.waitAtRest()
		w.push("an unknown kind", map[string]string{"extra.yaml": "apiVersion: example.com/v1\nkind: Nothing\nmetadata: {name: x}\n"})
		w.poke()
		w.waitNotReady("UnknownKind")
		w.comesBack("v2")
		w.waitNotReady("UnknownKind")
	})
	w.act(t, "while Git has another selector", func(t *testing.T) {
		w.push("another selector", map[string]string{"extra.yaml": "", "daemonset.yaml": strings.ReplaceAll(manifest("v2"), "app: example\n", "app: renamed\n")})
		w.poke()
		w.waitNotReady("Immutable")
		w.comesBack("v2")
		w.waitNotReady("Immutable")
	})
	w.act(t, "while the newest commit cannot be read and rollcall is new", func(t *testing.T) {
		w.must(w.control.Stop(), "stop rollcall")
		w.push("no YAML", map[string]string{"extra.yaml": "{"})
		uid := w.deleteDaemonSet(metav1.DeletePropagationBackground)
		w.startController()
		w.waitBack("v2", uid)
	})
}

// goneWhole deletes the DaemonSet of a suspended GitSync and checks what the
// NodeRollout says then.
func (w *world) goneWhole(how metav1.DeletionPropagation) {
	w.t.Helper()
	w.waitSuspended()
	nodes := int32(len(w.nodes()))
	before := w.rollout()
	w.deleteDaemonSet(how)
	n := w.waitRollout("it says that there is no DaemonSet", 15*time.Second, func(n *v1alpha1.NodeRollout) bool {
		return n.Status.Phase == v1alpha1.PhaseHeld && n.Status.Reason == "DaemonSetGone"
	})
	w.t.Log(n.Status.Message)
	for _, words := range []string{fmt.Sprintf("%d eligible nodes", nodes), "suspended", "refused"} {
		if !strings.Contains(n.Status.Message, words) {
			w.t.Errorf("the message is %q, want it to say %q", n.Status.Message, words)
		}
	}
	if want := (v1alpha1.NodeCounts{Eligible: nodes, Absent: nodes}); n.Status.Nodes != want {
		w.t.Errorf("nodes are %+v, want %+v", n.Status.Nodes, want)
	}
	if ready, stalled := apimeta.FindStatusCondition(n.Status.Conditions, "Ready"), apimeta.FindStatusCondition(n.Status.Conditions, "Stalled"); len(n.Status.Conditions) != 2 ||
		ready == nil || ready.Status != metav1.ConditionFalse || stalled == nil || stalled.Status != metav1.ConditionTrue || stalled.Reason != "DaemonSetGone" {
		w.t.Errorf("conditions are %+v, want Ready=False and Stalled=True", n.Status.Conditions)
	}
	if d := cmp.Diff(recordedOf(before), recordedOf(n)); d != "" {
		w.t.Errorf("without a DaemonSet what is recorded changed (-before +after):\n%s", d)
	}
}

// recordedOf is the part of a status that decisions go by.
func recordedOf(n *v1alpha1.NodeRollout) v1alpha1.NodeRolloutStatus {
	s := n.Status
	return v1alpha1.NodeRolloutStatus{Wave: s.Wave, Proven: s.Proven, Candidate: s.Candidate, Rejected: s.Rejected, InFlight: s.InFlight, HandledRetry: s.HandledRetry}
}

// wantHeldMeasured checks what the metrics say of a rollout that is held.
func (w *world) wantHeldMeasured(reason string, nodes float64) {
	w.t.Helper()
	of := func(metric, label, value string) float64 {
		samples := w.samples(w.t.(*testing.T))[metric]
		i := slices.IndexFunc(samples, func(s sample) bool { return s.labels["name"] == agent && s.labels[label] == value })
		if i < 0 {
			return -1
		}
		return samples[i].value
	}
	for state, want := range map[string]float64{"eligible": nodes, "present": 0, "absent": nodes} {
		if got := of("rollcall_noderollout_nodes", "state", state); got != want {
			w.t.Errorf("rollcall_noderollout_nodes of %s is %v, want %v", state, got, want)
		}
	}
	if held, proven := of("rollcall_noderollout_phase", "phase", "Held"), of("rollcall_noderollout_phase", "phase", "Proven"); held != 1 || proven != 0 {
		w.t.Errorf("rollcall_noderollout_phase is %v for Held and %v for Proven, want 1 and 0", held, proven)
	}
	first := of("rollcall_noderollout_held_seconds", "reason", reason)
	w.until("its age grows", 30*time.Second, func() (bool, string) {
		now := of("rollcall_noderollout_held_seconds", "reason", reason)
		return first >= 0 && now > first, fmt.Sprintf("%v, then %v", first, now)
	})
}

// deleteDaemonSet deletes the agent's DaemonSet and returns the UID that it had.
func (w *world) deleteDaemonSet(how metav1.DeletionPropagation) string {
	w.t.Helper()
	uid := w.daemonSet().UID
	w.must(w.cluster.Client.AppsV1().DaemonSets(metav1.NamespaceDefault).Delete(w.t.Context(), agent, metav1.DeleteOptions{PropagationPolicy: &how}), "delete DaemonSet")
	return string(uid)
}

// comesBack deletes the DaemonSet and waits for the next one.
func (w *world) comesBack(tagged string) {
	w.t.Helper()
	w.waitBack(tagged, w.deleteDaemonSet(metav1.DeletePropagationBackground))
}

// waitBack waits until another DaemonSet than that runs the tag everywhere.
func (w *world) waitBack(tagged, uid string) {
	w.t.Helper()
	w.until("another DaemonSet is made", 30*time.Second, func() (bool, string) {
		list, err := w.cluster.Client.AppsV1().DaemonSets(metav1.NamespaceDefault).List(w.t.Context(), metav1.ListOptions{})
		w.must(err, "list DaemonSets")
		return len(list.Items) == 1 && string(list.Items[0].UID) != uid, fmt.Sprintf("%d", len(list.Items))
	})
	w.waitTag(tagged, w.nodes())
	w.waitAtRest()
}

// waitNotReady waits until the GitSync is not Ready for that reason.
func (w *world) waitNotReady(reason string) {
	w.t.Helper()
	w.waitSync("it is not Ready: "+reason, 30*time.Second, func(gs *v1alpha1.GitSync) bool {
		c := apimeta.FindStatusCondition(gs.Status.Conditions, "Ready")
		return c != nil && c.Status == metav1.ConditionFalse && c.Reason == reason
	})
}

// waitSuspended waits until no pass is under way that began before the suspension
// and would write again what is deleted now.
func (w *world) waitSuspended() {
	w.t.Helper()
	w.waitSync("it is suspended", 30*time.Second, func(gs *v1alpha1.GitSync) bool {
		return gs.Status.ObservedGeneration == gs.Generation && readyCondition(gs).Reason == "Suspended"
	})
}
