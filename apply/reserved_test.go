package apply

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// What Git declares must not be what rollcall believes of itself.
func TestGitCannotDeclareRollcallsState(t *testing.T) {
	t.Parallel()
	object := func(kind, name string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": kind, "metadata": map[string]any{"name": name}}}
	}
	for sentence, c := range map[string]struct {
		object  *unstructured.Unstructured
		refused bool
	}{
		"the state of a rollout":           {object("ConfigMap", "agent.rollcall-state"), true},
		"what a rollout is to do":          {object("ConfigMap", "agent.rollcall-declared"), true},
		"a ConfigMap of another name":      {object("ConfigMap", "rollcall-state"), false},
		"a Secret is never read for state": {object("Secret", "agent.rollcall-state"), false},
	} {
		if p := reservedProblem(c.object); (p != nil) != c.refused {
			t.Errorf("%s: problem %+v, refused should be %t", sentence, p, c.refused)
		}
	}
}
