package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// TestRemoval drops the agent of 12 nodes from Git, beside an object that stays and one
// that goes with it.
func TestRemoval(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 12)
	w.policy(quick())
	all := map[string]string{"daemonset.yaml": manifest("v1"), "stays.yaml": plainConfig("stays", "1"), "goes.yaml": plainConfig("goes", "1")}
	dropped := map[string]string{"daemonset.yaml": "", "goes.yaml": ""}
	first := w.push("v1", all)
	w.follow()
	w.waitProven(first, 2*time.Minute)
	nodes, template := w.nodes(), w.daemonSet().Spec.Template

	w.act(t, "declared again in the middle, nothing that runs restarts", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		r.expectToLeave(nodes...)
		before := w.uids()
		w.deliverFiles(dropped)
		w.waitRemoving("half", 3)
		commit := w.deliverFiles(all)
		w.waitProven(commit, time.Minute)
		w.waitTag("v1", nodes)
		w.waitRest(template, 30*time.Second)
		after, same := w.uids(), 0
		for _, uid := range before {
			for _, now := range after {
				if uid == now {
					same++
				}
			}
		}
		if left := r.excusedNodes(); same < 12-6 || same != 12-len(left) {
			t.Errorf("%d of 12 agents are the same ones, %d nodes had lost theirs (%v), want no other one restarted", same, len(left), left)
		}
		r.wantWorst(t, 3)
	})
	w.act(t, "a node that is NotReady without its agent stops it", func(t *testing.T) {
		commit := w.deliverFiles(dropped)
		w.waitRollout("the canaries soak", time.Minute, func(n *v1alpha1.NodeRollout) bool {
			return n.Status.Phase == v1alpha1.PhaseSoaking && n.Status.Wave.Name == "canary"
		})
		vacant := w.vacant(nodes)
		if len(vacant) != 2 {
			t.Fatalf("%v have no agent while the canaries soak, want 2 nodes", vacant)
		}
		others := w.uids()
		w.must(w.cluster.SetNodeReady(t.Context(), vacant[0], false), "make node NotReady")
		n := w.waitRollout("it is rejected", time.Minute, func(n *v1alpha1.NodeRollout) bool { return n.Status.Phase == v1alpha1.PhaseRejected })
		w.must(w.cluster.SetNodeReady(t.Context(), vacant[0], true), "make node Ready")
		for _, words := range []string{"first " + vacant[0], "this removes the DaemonSet", "declare it in Git again"} {
			if n.Status.Reason != "NodeNotReady" || !strings.Contains(n.Status.Message, words) {
				t.Errorf("%s: %q, want it to say %q", n.Status.Reason, n.Status.Message, words)
			}
		}
		w.waitSync("it says that the removal is stopped", time.Minute, func(gs *v1alpha1.GitSync) bool {
			c := readyCondition(gs)
			return c.Reason == "RolloutStopped" && strings.Contains(c.Message, "1 Removing") && strings.Contains(c.Message, "1 AwaitingRemoval") &&
				gs.Status.Proven != commit && gs.Status.History[0].Outcome == "Rejected"
		})
		w.waitTag("v1", nodes)
		w.wantSame(others)
	})
	w.act(t, "tried again it ends, though rollcall is killed in the middle", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		r.expectToLeave(nodes...)
		n := w.waitRollout("it is rejected", time.Minute, func(n *v1alpha1.NodeRollout) bool { return n.Status.Phase == v1alpha1.PhaseRejected })
		w.patchRollout(fmt.Sprintf(`{"retry":%q}`, n.Status.Candidate.Digest))
		w.waitRollout("the canaries soak", time.Minute, func(n *v1alpha1.NodeRollout) bool {
			return n.Status.Phase == v1alpha1.PhaseSoaking && n.Status.Wave.Name == "canary"
		})
		w.must(w.control.Kill(), "kill rollcall")
		vacant := w.vacant(nodes)
		evicted := but(nodes, vacant...)[0]
		w.deletePods(evicted)
		w.waitTag("v1", []string{evicted})
		if still := w.vacant(nodes); len(vacant) != 2 || !slices.Equal(still, vacant) {
			t.Errorf("%v have no agent while rollcall is dead, want %v, which are 2", still, vacant)
		}
		w.startController()
		w.waitRemoving("half", 3)
		w.must(w.control.Kill(), "kill rollcall")
		w.startController()
		w.waitRemoving("rest", 7)
		w.wantConfigMap("goes", true)
		w.waitRemoved()
		r.wantWorst(t, 3)
		r.wantLeftButFor(t, nodes, 3)
		w.wantConfigMap("stays", true)
		w.until("ConfigMap goes is pruned", 30*time.Second, func() (bool, string) { return !w.hasConfigMap("goes"), "it is there" })
	})
}

// vacant are the nodes on which no agent runs.
func (w *world) vacant(nodes []string) []string {
	w.t.Helper()
	var run []string
	for node := range w.agents() {
		run = append(run, node)
	}
	return but(nodes, run...)
}

// waitRemoving waits until the removal is in the wave, and so many nodes have no agent.
func (w *world) waitRemoving(wave string, nodes int32) {
	w.t.Helper()
	w.waitRollout("wave "+wave+" is being removed", 2*time.Minute, func(n *v1alpha1.NodeRollout) bool {
		return n.Status.Reason == "Removing" && n.Status.Wave != nil && n.Status.Wave.Name == wave && n.Status.Nodes.Candidate >= nodes
	})
}

// waitRemoved waits until nothing of the agent is left.
func (w *world) waitRemoved() {
	w.t.Helper()
	w.until("nothing of the agent is left", 2*time.Minute, func() (bool, string) {
		ctx := w.t.Context()
		_, ds := w.cluster.Client.AppsV1().DaemonSets(metav1.NamespaceDefault).Get(ctx, agent, metav1.GetOptions{})
		n, rollout := w.kinds.NodeRollouts(metav1.NamespaceDefault).Get(ctx, agent, metav1.GetOptions{})
		pods, state := len(w.pods()), w.hasConfigMap(agent+".rollcall-state") || w.hasConfigMap(agent+".rollcall-declared")
		gone := apierrors.IsNotFound(ds) && apierrors.IsNotFound(rollout) && pods == 0 && !state
		return gone, fmt.Sprintf("DaemonSet %v, NodeRollout %v, %d pods, state %t; %s", ds, rollout, pods, state, describe(n))
	})
}

func (w *world) hasConfigMap(name string) bool {
	w.t.Helper()
	_, err := w.cluster.Client.CoreV1().ConfigMaps(metav1.NamespaceDefault).Get(w.t.Context(), name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		w.t.Fatalf("get ConfigMap %s: %v", name, err)
	}
	return err == nil
}

func (w *world) wantConfigMap(name string, want bool) {
	w.t.Helper()
	if got := w.hasConfigMap(name); got != want {
		w.t.Errorf("ConfigMap %s is there: %t, want %t", name, got, want)
	}
}

// excusedNodes are the nodes in whose agent's place a gated pod was seen.
func (r *recorder) excusedNodes() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for n := range r.excused {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// wantLeftButFor fails if more than so many nodes lost their agent with the DaemonSet.
func (r *recorder) wantLeftButFor(t *testing.T, nodes []string, most int) {
	t.Helper()
	if with := but(nodes, r.excusedNodes()...); len(with) > most {
		t.Errorf("%v lost their agents with the DaemonSet, want %d at most", with, most)
	}
}
