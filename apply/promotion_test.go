package apply

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// A crash between the two writes of a promotion leaves a status that still
// calls the old version proven: its template has to be there.
func TestPromotionKeepsTheTemplateThatTheStatusNames(t *testing.T) {
	t.Parallel()
	before, after := &rollout.Version{Digest: "v1"}, &rollout.Version{Digest: "v2"}
	v := &view{
		rollout: &v1alpha1.NodeRollout{Status: v1alpha1.NodeRolloutStatus{Proven: &v1alpha1.Version{Digest: "v1"}}},
		book:    book{templates: templates{"v1": corev1.PodTemplateSpec{}, "v2": corev1.PodTemplateSpec{}}},
		input:   rollout.Input{State: rollout.State{Proven: before, Candidate: after}},
	}

	kept := v.nextRecorded(rollout.Decision{Next: rollout.State{Proven: after}}).Templates

	for _, digest := range []string{"v1", "v2"} {
		if _, ok := kept[digest]; !ok {
			t.Errorf("the template of %s is not kept", digest)
		}
	}
}
