package e2e

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	appsv1 "k8s.io/api/apps/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// quick is a policy of two canaries, then half, then all, with soaks of
// seconds: short enough for a test, long enough for every fault but :late. What
// is tested begins after the first install, which is on all nodes at once.
func quick(change ...func(*v1alpha1.RolloutPolicySpec)) v1alpha1.RolloutPolicySpec {
	seconds := func(n int) metav1.Duration { return metav1.Duration{Duration: time.Duration(n) * time.Second} }
	three := intstr.FromInt32(3)
	p := v1alpha1.RolloutPolicySpec{
		FirstInstall: v1alpha1.FirstInstallAll,
		GroupBy:      []string{"topology.kubernetes.io/zone"},
		Waves: []v1alpha1.Wave{
			{Name: "canary", UpTo: intstr.FromInt32(2), Soak: seconds(8)},
			{Name: "half", UpTo: intstr.FromString("50%"), Soak: seconds(1)},
			{Name: "rest", UpTo: intstr.FromString("100%")},
		},
		MaxUnavailable: &three,
		Health:         v1alpha1.HealthSpec{ReadyFor: seconds(1), Deadline: seconds(15)},
		OnFailure:      v1alpha1.OnFailureReturn,
	}
	for _, c := range change {
		c(&p)
	}
	return p
}

// disrupt lets so many agents be evicted at once. rollcall deletes pods, as the
// DaemonSet controller does, and a delete asks no PodDisruptionBudget.
func (w *world) disrupt(most int) {
	w.t.Helper()
	allowed := intstr.FromInt(most)
	budget := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "agents"}, Spec: policyv1.PodDisruptionBudgetSpec{
		MaxUnavailable: &allowed, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "example"}},
	}}
	_, err := w.cluster.Client.PolicyV1().PodDisruptionBudgets(metav1.NamespaceDefault).Create(w.t.Context(), budget, metav1.CreateOptions{})
	w.must(err, "create PodDisruptionBudget")
	eviction := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: w.pods()[0].Name, Namespace: metav1.NamespaceDefault}}
	if err := w.cluster.Client.PolicyV1().Evictions(metav1.NamespaceDefault).Evict(w.t.Context(), eviction); !apierrors.IsTooManyRequests(err) {
		w.t.Errorf("an eviction that the budget forbids: %v", err)
	}
}

func TestGoodCommitReachesEveryNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 20)
	w.policy(quick())
	first := w.pushTag("v1")
	w.follow()
	w.waitProven(first, time.Minute)
	r := record(t, w.cluster.Client)
	w.disrupt(0)

	second := w.deliver("v2")
	w.waitProven(second, 2*time.Minute)

	if got := w.tags(); got["v2"] != 20 || len(got) != 1 {
		t.Errorf("pods by tag: %v, want 20 of v2", got)
	}
	r.wantWorst(t, 3)
	ds := w.daemonSet()
	if ds.Spec.UpdateStrategy.Type != appsv1.OnDeleteDaemonSetStrategyType || len(ds.Spec.Template.Spec.SchedulingGates) > 0 {
		t.Errorf("at rest the DaemonSet has strategy %s and gates %v, want OnDelete and none", ds.Spec.UpdateStrategy.Type, ds.Spec.Template.Spec.SchedulingGates)
	}
	w.waitUpdated(20)
	w.wantEvents("Replacing", "Soaking", "Proven")
}

func TestBadCommitStopsAtItsCanaries(t *testing.T) {
	t.Parallel()
	w := settled(t, 20, quick())
	for _, c := range []struct{ tag, reason string }{
		{"bad", "CannotStart"}, {"stuck", "DeadlineExceeded"}, {"flaky", "CannotStart"},
	} {
		w.act(t, c.tag, func(t *testing.T) { w.wantStopped(t, c.tag, c.reason) })
	}
	w.wantEvents("Replacing", "Returning", "Rejected")
}

// Candidates that fail long after they were Ready pass every check before, so
// that only a longer soak tells: one crashes after 45 s, and one kills its node
// after 20 s.
func TestLateFailureStopsAtItsCanaries(t *testing.T) {
	t.Parallel()
	w := settled(t, 9, quick(soak(0, 60)))
	w.act(t, "killer", func(t *testing.T) {
		n := w.wantStopped(t, "killer", "NodeNotReady")
		if got := n.Status.Nodes; got.Unreachable != 0 {
			t.Errorf("%d nodes are NotReady after the return", got.Unreachable)
		}
	})
	w.act(t, "late", func(t *testing.T) { w.wantStopped(t, "late", "CannotStart") })
}

// wantStopped delivers a tag that is rejected for that reason, on its canaries
// and on them alone: the agents of all other nodes are the pods that they were.
func (w *world) wantStopped(t *testing.T, tag, reason string) *v1alpha1.NodeRollout {
	t.Helper()
	r, before, nodes := record(t, w.cluster.Client), w.uids(), len(w.nodes())
	if len(before) != nodes {
		t.Fatalf("%d of %d nodes have an agent", len(before), nodes)
	}

	n := w.waitRejected(w.deliver(tag), 2*time.Minute)

	t.Logf("%s: %s", tag, n.Status.Message)
	r.wantRadius(t, tag)
	if got := w.tags(); got["v1"] != nodes || len(got) != 1 {
		t.Errorf("after %s, pods by tag: %v, want %d of v1", tag, got, nodes)
	}
	hurt := r.nodesOf(tag)
	r.wantHistory(t, hurt, "v1", tag, "v1")
	for _, node := range hurt {
		delete(before, node)
	}
	w.wantSame(before)
	r.wantWorst(t, 3)
	if got := n.Status.Rejected[0].Reason; got != reason || n.Status.Reason != reason {
		t.Errorf("rejected for %s, and the rollout says %s, want %s", got, n.Status.Reason, reason)
	}
	if len(n.Status.Failing) == 0 {
		t.Error("no failing node is listed")
	}
	for _, f := range n.Status.Failing {
		if f.Reason != reason || !slices.Contains(hurt, f.Node) || f.Message == "" || f.Since.IsZero() {
			t.Errorf("failing is %+v, want one of %v for %s, with a message and a time", f, hurt, reason)
		}
	}
	return n
}
