package e2e

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// quick is a policy of two canaries, then half, then all, with soaks of
// seconds: short enough for a test, long enough for every fault but :late.
func quick(change ...func(*v1alpha1.RolloutPolicySpec)) v1alpha1.RolloutPolicySpec {
	seconds := func(n int) metav1.Duration { return metav1.Duration{Duration: time.Duration(n) * time.Second} }
	three := intstr.FromInt32(3)
	p := v1alpha1.RolloutPolicySpec{
		GroupBy: []string{"topology.kubernetes.io/zone"},
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

func TestGoodCommitReachesEveryNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 20)
	w.policy(quick())
	first := w.pushTag("v1")
	w.follow()
	w.waitProven(first, time.Minute)
	r := record(t, w.cluster.Client)

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
}

func TestBadCommitStopsAtItsCanaries(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 20)
	w.policy(quick())
	first := w.pushTag("v1")
	w.follow()
	w.waitProven(first, time.Minute)
	for _, bad := range []string{"bad", "stuck", "flaky"} {
		r := record(t, w.cluster.Client)
		commit := w.deliver(bad)
		n := w.waitRejected(commit, time.Minute)
		if got := r.nodesOf(bad); len(got) == 0 || len(got) > 2 {
			t.Errorf("%s ran on %v, want 1 or 2 nodes", bad, got)
		}
		if got := w.tags(); got["v1"] != 20 || len(got) != 1 {
			t.Errorf("after %s, pods by tag: %v, want 20 of v1", bad, got)
		}
		t.Logf("%s: %s", bad, n.Status.Message)
	}
}
