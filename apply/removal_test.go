package apply

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// A DaemonSet may be deleted when its rollout says of this removal, and not of an earlier
// one, that it is over.
func TestRemovalIsOver(t *testing.T) {
	t.Parallel()
	const digest = "removed:v2"
	for what, c := range map[string]struct {
		status v1alpha1.NodeRolloutStatus
		want   string
	}{
		"the rollout has not looked yet": {
			status: v1alpha1.NodeRolloutStatus{Phase: v1alpha1.PhaseProven, Reason: "Proven"},
			want:   ReasonDeclared,
		},
		"the rollout of another one is over": {
			status: v1alpha1.NodeRolloutStatus{Phase: v1alpha1.PhaseProven, Reason: rollout.ReasonRemoved, Candidate: &v1alpha1.Version{Digest: "removed:v1"}},
			want:   ReasonDeclared,
		},
		"it is rejected": {
			status: v1alpha1.NodeRolloutStatus{Phase: v1alpha1.PhaseRejected, Reason: "NodeNotReady", Candidate: &v1alpha1.Version{Digest: digest}},
			want:   "NodeNotReady",
		},
		"its last step failed": {
			status: v1alpha1.NodeRolloutStatus{Phase: v1alpha1.PhaseProven, Reason: ReasonStepFailed, Candidate: &v1alpha1.Version{Digest: digest}},
			want:   ReasonStepFailed,
		},
		"it is over": {
			status: v1alpha1.NodeRolloutStatus{Phase: v1alpha1.PhaseProven, Reason: rollout.ReasonRemoved, Candidate: &v1alpha1.Version{Digest: digest}},
		},
	} {
		got := ""
		if r := removalOf(&v1alpha1.NodeRollout{Status: c.status}, digest); r != nil {
			got = r.Reason
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
}

// The pods of a removal are of another version than those that serve, and no step starts
// one.
func TestRemovalStartsNoPod(t *testing.T) {
	t.Parallel()
	serves := corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "agent", Image: "agent:v1"}}}}
	stands := *marked(&serves)
	digest := rollout.RemovalOf("v1")
	v := &view{book: book{templates: templates{"v1": serves, digest: stands}}, live: &appsv1.DaemonSet{}}
	if got := v.digestOf(withGate(&stands)); got != digest || len(serves.Annotations) > 0 {
		t.Errorf("the template is of %q, want %q; what serves has the annotations %v", got, digest, serves.Annotations)
	}
	if _, err := v.templateOf(rollout.Step{Action: rollout.WriteTemplate, Digest: digest}); err == nil || !strings.Contains(err.Error(), "gate") {
		t.Errorf("without the gate: %v, want a refusal", err)
	}
	got, err := v.templateOf(rollout.Step{Action: rollout.WriteTemplate, Digest: digest, Gated: true})
	if err != nil || !equality.Semantic.DeepEqual(got, stands) {
		t.Errorf("with the gate: %v, %v", got, err)
	}
}
