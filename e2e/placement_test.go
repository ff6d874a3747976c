package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/rollcall-dev/rollcall/e2e/cluster"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// inPool is the tutorial's DaemonSet for the nodes with that label.
func inPool(tag, pool string) string {
	return strings.Replace(manifest(tag), "    spec:\n", fmt.Sprintf("    spec:\n      nodeSelector: {%s: \"yes\"}\n", pool), 1)
}

// TestPlacementChange moves the agent from 9 of 12 nodes to 8 of them, of which it
// wins 3: nodes 0 to 8 are in the old pool, and 4 to 11 in the new one.
func TestPlacementChange(t *testing.T) {
	t.Parallel()
	w := idleWorld(t, cluster.Options{Nodes: 12, Zones: 3})
	w.startController()
	old, next, lost, won := pools()
	for _, n := range old {
		w.patchNode(n, `{"metadata":{"labels":{"old":"yes"}}}`)
	}
	for _, n := range next {
		w.patchNode(n, `{"metadata":{"labels":{"new":"yes"}}}`)
	}
	w.policy(quick())
	first := w.push("v1", map[string]string{"daemonset.yaml": inPool("v1", "old")})
	w.follow()
	w.waitProven(first, 2*time.Minute)
	before := w.daemonSet().Spec.Template

	w.act(t, "it is held, with what it loses and wins", func(t *testing.T) {
		uids := w.uids()
		w.waitMove(w.deliverFiles(map[string]string{"daemonset.yaml": inPool("v2", "new")}))
		w.wantQuiet(2 * time.Second)
		w.wantSame(uids)
	})
	w.act(t, "a bad one stops at its canaries, and everything is as it was", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		w.waitMove(w.deliverFiles(map[string]string{"daemonset.yaml": inPool("bad", "new")}))
		w.approve()
		w.waitRollout("bad is rejected", 2*time.Minute, func(n *v1alpha1.NodeRollout) bool { return n.Status.Phase == v1alpha1.PhaseRejected })
		r.wantRadius(t, "bad")
		w.waitRest(before, 30*time.Second)
		w.waitTag("v1", old)
		w.wantAgentsOn(old)
	})
	w.act(t, "approved, nodes are won in waves and lost within the budget", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		commit := w.deliverFiles(map[string]string{"daemonset.yaml": inPool("v3", "new")})
		w.waitMove(commit)
		r.expectToLeave(lost...)
		w.approve()
		w.waitProven(commit, 3*time.Minute)
		r.wantWorst(t, 3)
		w.waitTag("v3", next)
		w.wantAgentsOn(next)
		if got := r.nodesOf("v3"); !slices.Equal(got, next) {
			t.Errorf("v3 ran on %v, want %v", got, next)
		}
		ds := w.daemonSet()
		if s := ds.Spec.Template.Spec; s.NodeSelector["new"] != "yes" || s.Affinity != nil || len(ds.Spec.Template.Annotations) > 0 {
			t.Errorf("at rest the template has %v %v %v, want what Git declares", s.NodeSelector, s.Affinity, ds.Spec.Template.Annotations)
		}
		r.wantOnly(t, won, "v3")
		r.wantLeft(t, lost)
	})
}

// pools are the nodes of the old pool and of the new one, and those that only one of
// them has, by name.
func pools() (old, next, lost, won []string) {
	for i := range 12 {
		name := fmt.Sprintf("node-%d", i)
		switch {
		case i < 4:
			old, lost = append(old, name), append(lost, name)
		case i < 9:
			old, next = append(old, name), append(next, name)
		default:
			next, won = append(next, name), append(won, name)
		}
	}
	for _, names := range [][]string{old, next, lost, won} {
		slices.Sort(names)
	}
	return old, next, lost, won
}

// waitMove waits until the placement change of the commit is held, and reads what it says.
func (w *world) waitMove(commit string) {
	w.t.Helper()
	n := w.waitRollout("it is held for its placement", time.Minute, func(n *v1alpha1.NodeRollout) bool {
		c := n.Status.Candidate
		return n.Status.Phase == v1alpha1.PhaseHeld && n.Status.Reason == "PlacementChange" && c != nil && c.Commit == commit
	})
	for _, words := range []string{"lose 4 nodes (node-0, node-1, node-2, …)", "win 3 nodes (node-10, node-11, node-9)", "rollcall approve default/" + agent + " --wave " + n.Status.AwaitsApproval} {
		if !strings.Contains(n.Status.Message, words) || n.Status.AwaitsApproval == "" {
			w.t.Errorf("the message is %q, want it to say %q", n.Status.Message, words)
		}
	}
}

func (w *world) approve() {
	w.t.Helper()
	if code, said := w.run("approve", "default/"+agent); code != 0 {
		w.t.Fatalf("approve: %d %s", code, said)
	}
}

// wantAgentsOn fails unless exactly these nodes have a pod of the agent.
func (w *world) wantAgentsOn(nodes []string) {
	w.t.Helper()
	w.until(fmt.Sprintf("%d nodes have an agent, and no other one", len(nodes)), 30*time.Second, func() (bool, string) {
		var got []string
		for _, p := range w.pods() {
			if p.Spec.NodeName == "" {
				return false, p.Name + " is gated"
			}
			got = append(got, p.Spec.NodeName)
		}
		slices.Sort(got)
		return slices.Equal(got, nodes), fmt.Sprint(got)
	})
}

// wantOnly fails when another image than that of the tag was ever on one of the nodes.
func (r *recorder) wantOnly(t *testing.T, nodes []string, tag string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range nodes {
		for _, x := range r.runs[n] {
			if x.tag != tag {
				t.Errorf("%s ran %s, want %s only", n, x.tag, tag)
			}
		}
	}
}

// wantLeft fails unless a gated pod was seen in the place of each agent.
func (r *recorder) wantLeft(t *testing.T, nodes []string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range nodes {
		if !r.excused[n] {
			t.Errorf("%s lost its agent to the template, want it to leave in a wave", n)
		}
	}
}

// expectToLeave has the nodes count as nodes without an agent until a gated pod stands
// in its place.
func (r *recorder) expectToLeave(nodes ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leaving = nodes
}

// leave takes a node that has left out of the count.
func (r *recorder) leave(p *corev1.Pod) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := p.Spec.Affinity; len(p.Spec.SchedulingGates) > 0 && a != nil && a.NodeAffinity != nil {
		for _, term := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
			for _, f := range term.MatchFields {
				if slices.Contains(r.leaving, f.Values[0]) {
					r.excused[f.Values[0]] = true
				}
			}
		}
	}
}
