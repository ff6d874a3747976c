package e2e

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	kresource "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// TestRollCallAtRest keeps agents away in the ways that clusters really do, and
// reads the roll.
func TestRollCallAtRest(t *testing.T) {
	t.Parallel()
	w := settled(t, 8, quick(soak(0, 2)))

	w.act(t, "a passing taint", func(t *testing.T) {
		w.patchNode("node-1", `{"spec":{"taints":[{"key":"ToBeDeletedByClusterAutoscaler","value":"1","effect":"NoSchedule"}]}}`)
		w.deletePods("node-1")
		w.wantAbsent("node-1", "Tainted", "ToBeDeletedByClusterAutoscaler")
		w.patchNode("node-1", `{"spec":{"taints":null}}`)
		w.wantComplete(8)
	})
	w.act(t, "a node that is too small", func(t *testing.T) {
		w.patchNode("node-2", `{"status":{"allocatable":{"cpu":"1m"}}}`, "status")
		w.deletePods("node-2")
		w.wantAbsent("node-2", "Unschedulable", "Insufficient cpu")
		w.patchNode("node-2", `{"status":{"allocatable":{"cpu":"32"}}}`, "status")
		w.wantComplete(8)
	})
	w.act(t, "a pod quota", func(t *testing.T) {
		quotas := w.cluster.Client.CoreV1().ResourceQuotas(metav1.NamespaceDefault)
		_, err := quotas.Create(t.Context(), &corev1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Name: "few"},
			Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: kresource.MustParse("1")}},
		}, metav1.CreateOptions{})
		w.must(err, "create quota")
		w.until("the quota is enforced", time.Minute, func() (bool, string) {
			q, err := quotas.Get(t.Context(), "few", metav1.GetOptions{})
			w.must(err, "get quota")
			used := q.Status.Used[corev1.ResourcePods]
			return used.Value() >= 8, used.String()
		})
		w.deletePods("node-3")
		w.wantAbsent("node-3", "NoPod", "quota")
		w.must(quotas.Delete(t.Context(), "few", metav1.DeleteOptions{}), "delete quota")
		w.wantComplete(8)
	})
	w.act(t, "a node that is not Ready", func(t *testing.T) {
		w.must(w.cluster.SetNodeReady(t.Context(), "node-4", false), "make node NotReady")
		w.wantAbsent("node-4", "NodeNotReady", "")
		w.must(w.cluster.SetNodeReady(t.Context(), "node-4", true), "make node Ready")
		w.wantComplete(8)
	})
	w.act(t, "an agent where none should be", func(t *testing.T) {
		w.patchNode("node-5", `{"spec":{"taints":[{"key":"dedicated","value":"gpu","effect":"NoSchedule"}]}}`)
		n := w.waitRollout("node-5 has an agent too many", time.Minute, func(n *v1alpha1.NodeRollout) bool {
			return n.Status.Nodes.Eligible == 7 && len(n.Status.Failing) == 1
		})
		if got := n.Status.Failing[0]; got.Node != "node-5" || got.Reason != "Unwanted" {
			t.Errorf("failing is %+v, want node-5 as Unwanted", got)
		}
		w.patchNode("node-5", `{"spec":{"taints":null}}`)
		w.wantComplete(8)
	})
	w.act(t, "nodes that come and go", func(t *testing.T) {
		joined, err := w.cluster.AddNodes(t.Context(), 1)
		w.must(err, "add a node")
		w.wantComplete(9)
		w.must(w.cluster.DeleteNode(t.Context(), joined[0]), "delete node")
		w.wantComplete(8)
	})
	w.act(t, "a node that is held out", func(t *testing.T) {
		w.patchNode("node-6", `{"metadata":{"labels":{"rollcall.dev/hold":"true"}}}`)
		w.waitRollout("node-6 is held", time.Minute, func(n *v1alpha1.NodeRollout) bool { return n.Status.Nodes.Held == 1 })
		r := record(t, w.cluster.Client)
		commit := w.deliver("v2")
		w.waitProven(commit, 2*time.Minute)
		w.waitTag("v2", but(w.nodes(), "node-6"))
		r.wantHistory(t, []string{"node-6"}, "v1")
		w.waitRollout("node-6 is still held", time.Minute, func(n *v1alpha1.NodeRollout) bool {
			return n.Status.Phase == v1alpha1.PhaseProven && n.Status.Nodes.Held == 1
		})
		w.waitSync("the GitSync does not claim node-6", time.Minute, func(gs *v1alpha1.GitSync) bool {
			return strings.Contains(readyCondition(gs).Message, "is proven on every eligible node of 1 DaemonSets but for 1 held out by the label rollcall.dev/hold")
		})
		w.patchNode("node-6", `{"metadata":{"labels":{"rollcall.dev/hold":null}}}`)
		w.waitTag("v2", w.nodes())
		r.wantHistory(t, []string{"node-6"}, "v1", "v2")
		w.wantComplete(8)
	})
}

// wantAbsent waits until the one absent node is that one, for that reason, in
// words that say so.
func (w *world) wantAbsent(node, reason, words string) {
	w.t.Helper()
	w.waitRollout(node+" is absent for "+reason, time.Minute, func(n *v1alpha1.NodeRollout) bool {
		s := n.Status
		return s.Phase == v1alpha1.PhaseProven && s.Reason == "AgentsAbsent" && s.Nodes.Absent == 1 && len(s.Failing) == 1 &&
			s.Failing[0].Node == node && s.Failing[0].Reason == reason && strings.Contains(s.Failing[0].Message, words) && !s.Failing[0].Since.IsZero()
	})
}

// wantComplete waits until so many nodes are eligible and each has its agent.
func (w *world) wantComplete(nodes int32) {
	w.t.Helper()
	w.waitRollout("the roll is complete", time.Minute, func(n *v1alpha1.NodeRollout) bool {
		s := n.Status
		return s.Phase == v1alpha1.PhaseProven && s.Reason == "Proven" && s.Nodes.Eligible == nodes && s.Nodes.Present == nodes && len(s.Failing) == 0
	})
}
