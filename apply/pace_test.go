package apply

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// A status by which anything is decided is written before anything is done; what
// is there for people may wait.
func TestWhichStatusWaits(t *testing.T) {
	before := v1alpha1.NodeRolloutStatus{
		ObservedGeneration: 1, Phase: v1alpha1.PhaseReplacing, Reason: "Replacing", Message: "1 of 9",
		Proven: &v1alpha1.Version{Digest: "a"}, Candidate: &v1alpha1.Version{Digest: "b"},
		Wave: &v1alpha1.WaveStatus{Index: 1, Of: 2}, InFlight: []v1alpha1.InFlight{{Node: "n1"}},
		Conditions: []metav1.Condition{{Type: "Ready", Status: metav1.ConditionFalse, Reason: "Replacing", Message: "1 of 9"}},
	}
	for sentence, c := range map[string]struct {
		change func(*v1alpha1.NodeRolloutStatus)
		waits  bool
	}{
		"a count": {func(s *v1alpha1.NodeRolloutStatus) { s.Nodes.Healthy = 2 }, true},
		"a count with the words about it": {func(s *v1alpha1.NodeRolloutStatus) {
			s.Nodes.Healthy, s.Message, s.Conditions[0].Message = 2, "2 of 9", "2 of 9"
		}, true},
		"a node without a Ready agent":    {func(s *v1alpha1.NodeRolloutStatus) { s.Failing = []v1alpha1.NodeProblem{{Node: "n2"}} }, true},
		"a node in flight":                {func(s *v1alpha1.NodeRolloutStatus) { s.InFlight = append(s.InFlight, v1alpha1.InFlight{Node: "n2"}) }, false},
		"another phase":                   {func(s *v1alpha1.NodeRolloutStatus) { s.Phase = v1alpha1.PhaseSoaking }, false},
		"another reason":                  {func(s *v1alpha1.NodeRolloutStatus) { s.Reason = ReasonStepFailed }, false},
		"another wave":                    {func(s *v1alpha1.NodeRolloutStatus) { s.Wave.Index = 2 }, false},
		"a proof":                         {func(s *v1alpha1.NodeRolloutStatus) { s.Proven, s.Candidate = s.Candidate, nil }, false},
		"a rejection":                     {func(s *v1alpha1.NodeRolloutStatus) { s.Rejected = []v1alpha1.Rejection{{Digest: "b"}} }, false},
		"a retry":                         {func(s *v1alpha1.NodeRolloutStatus) { s.HandledRetry = "b" }, false},
		"a spec that has been taken note": {func(s *v1alpha1.NodeRolloutStatus) { s.ObservedGeneration = 2 }, false},
	} {
		next := *before.DeepCopy()
		c.change(&next)
		if got := onlyCounts(before, next); got != c.waits {
			t.Errorf("%s: may wait is %t, want %t", sentence, got, c.waits)
		}
	}
}

func TestPace(t *testing.T) {
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	key, other := types.NamespacedName{Name: "agent"}, types.NamespacedName{Name: "other"}
	var p pace
	if left := p.left(key, time.Second, at); left > 0 {
		t.Errorf("%s left though nothing was done yet", left)
	}
	p.note(key, at)
	for sentence, c := range map[string]struct {
		key   types.NamespacedName
		after time.Duration
		want  time.Duration
	}{
		"in the pause":     {key, 400 * time.Millisecond, 600 * time.Millisecond},
		"at its end":       {key, time.Second, 0},
		"of another agent": {other, 0, 0},
	} {
		if left := max(0, p.left(c.key, time.Second, at.Add(c.after))); left != c.want {
			t.Errorf("%s: %s left, want %s", sentence, left, c.want)
		}
	}
	if p.forget(key); p.left(key, time.Second, at) > 0 {
		t.Error("it is remembered")
	}
}
