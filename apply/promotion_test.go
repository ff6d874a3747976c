package apply

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/rollcall-dev/rollcall/apply/rollout"
)

// What was adopted and is declared later has one template and two digests: it is
// the declared one from then on, and the other one stays recorded until the
// status does not name it any more.
func TestRenameOfWhatWasAdopted(t *testing.T) {
	t.Parallel()
	same := corev1.PodTemplateSpec{Spec: corev1.PodSpec{HostNetwork: true}}
	viewOf := func(want corev1.PodTemplateSpec) *view {
		return &view{
			want:      &declared{Digest: "sha256:b", Template: want},
			recorded:  recorded{Templates: templates{"adopted:a": same}},
			templates: templates{"adopted:a": same, "sha256:b": want},
		}
	}
	cases := map[string]struct {
		view *view
		want string
	}{
		"the same template is the declared version": {view: viewOf(same), want: "sha256:b"},
		"another template is another version":       {view: viewOf(corev1.PodTemplateSpec{}), want: "adopted:a"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			state := rollout.State{Proven: &rollout.Version{Digest: "adopted:a"}}
			c.view.rename(&state)
			if state.Proven.Digest != c.want {
				t.Errorf("proven is %s, want %s", state.Proven.Digest, c.want)
			}
			if got := c.view.templates.digestOf(&same); got != c.want {
				t.Errorf("its pods run %s, want %s", got, c.want)
			}
			c.view.input.State = state
			kept := c.view.nextRecorded(rollout.Decision{Next: state}).Templates
			for _, digest := range []string{"adopted:a", c.want} {
				if _, ok := kept[digest]; !ok {
					t.Errorf("the template of %s is not kept", digest)
				}
			}
		})
	}
}

// A crash between the two writes of a promotion leaves a status that still
// calls the old version proven: its template has to be there.
func TestPromotionKeepsTheTemplateThatTheStatusNames(t *testing.T) {
	t.Parallel()
	before, after := &rollout.Version{Digest: "v1"}, &rollout.Version{Digest: "v2"}
	v := &view{
		templates: templates{"v1": corev1.PodTemplateSpec{}, "v2": corev1.PodTemplateSpec{}},
		input:     rollout.Input{State: rollout.State{Proven: before, Candidate: after}},
	}

	kept := v.nextRecorded(rollout.Decision{Next: rollout.State{Proven: after}}).Templates

	for _, digest := range []string{"v1", "v2"} {
		if _, ok := kept[digest]; !ok {
			t.Errorf("the template of %s is not kept", digest)
		}
	}
}
