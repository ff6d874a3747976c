package apply

import (
	"encoding/json"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// revision has a template with an image; a gated one carries rollcall's gate.
func revision(t *testing.T, number int64, image string, gated bool) *appsv1.ControllerRevision {
	t.Helper()
	template := &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "agent", Image: image}}}}
	if gated {
		template = withGate(template)
	}
	raw, err := json.Marshal(map[string]any{"spec": map[string]any{"template": template}})
	if err != nil {
		t.Fatal(err)
	}
	return &appsv1.ControllerRevision{Revision: number, Data: runtime.RawExtension{Raw: raw}}
}

func TestNewestUngated(t *testing.T) {
	t.Parallel()
	const gated, ungated = true, false
	cases := map[string]struct {
		owned []*appsv1.ControllerRevision
		want  string
	}{
		"without a revision there is nothing to go back to": {},
		"a gated revision never is what was at rest":        {owned: []*appsv1.ControllerRevision{revision(t, 1, "v1", gated)}},
		"the newest number counts, not the order": {
			owned: []*appsv1.ControllerRevision{revision(t, 7, "v2", ungated), revision(t, 8, "v3", gated), revision(t, 3, "v1", ungated)}, want: "v2",
		},
		"a version that came back is the newest again": {
			owned: []*appsv1.ControllerRevision{revision(t, 4, "v1", ungated), revision(t, 2, "v2", ungated), revision(t, 5, "v2", gated)}, want: "v1",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := newestUngated(c.owned)
			if err != nil {
				t.Fatal(err)
			}
			image := ""
			if got != nil {
				image = got.Spec.Containers[0].Image
			}
			if image != c.want {
				t.Errorf("got %q, want %q", image, c.want)
			}
		})
	}
}
