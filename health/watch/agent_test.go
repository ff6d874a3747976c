package watch

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A node writes the times of its pods by its own clock; the API server writes
// when a pod was made. A soak must not begin before there was a pod.
func TestAnAgentIsNotReadyBeforeItExists(t *testing.T) {
	made := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	for sentence, c := range map[string]struct{ ready, want time.Time }{
		"a clock that is right":             {made.Add(time.Minute), made.Add(time.Minute)},
		"a clock that is an hour behind":    {made.Add(-time.Hour), made},
		"a pod that was Ready in no second": {made, made},
	} {
		p := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(made)},
			Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(c.ready)}}},
		}
		if got := newAgent(p).ReadySince; !got.Equal(c.want) {
			t.Errorf("%s: Ready since %s, want %s", sentence, got, c.want)
		}
	}
}
