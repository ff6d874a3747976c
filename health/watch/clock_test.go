package watch

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A node whose clock is ahead says that its agent will be Ready in an hour. The
// cache has it Ready since it was seen, or a soak would last until then.
func TestTimesToComeAreThoseOfTheirSight(t *testing.T) {
	t.Parallel()
	yes := true
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{{Kind: "DaemonSet", Controller: &yes}}},
		Status: corev1.PodStatus{Conditions: []corev1.PodCondition{
			{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(time.Now().Add(time.Hour))},
		}},
	}
	before := time.Now()

	out, err := trimPod(p)

	if err != nil {
		t.Fatal(err)
	}
	if at := out.(*entry).agent.ReadySince; at.Before(before) || at.After(time.Now()) {
		t.Errorf("Ready since %s, want now (%s)", at, before)
	}
}
