package apply

import (
	"errors"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/rollcall-dev/rollcall/sync/render"
)

// The name that the API server makes up for a dry-run is nobody's to look for.
func TestWithoutProbe(t *testing.T) {
	t.Parallel()
	in := `dry-run: daemonsets.apps "rollcall-dry-run-mkmxr" is forbidden: exceeded quota`
	if got, want := withoutProbe(in, "log-agent"), `dry-run: daemonsets.apps "log-agent" is forbidden: exceeded quota`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Where no further DaemonSet may be made, the one that exists is asked about; what
// others wrote to its template is not in the answer.
func TestDefaultedMakesNothingWhereSomethingIs(t *testing.T) {
	t.Parallel()
	live := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "agent", Labels: map[string]string{"by": "somebody"}}}
	live.Spec.Template.Labels = map[string]string{"app": "agent", "injected": "by-somebody"}
	client := fake.NewClientset(live)
	client.PrependReactor("create", "daemonsets", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "daemonsets"}, "agent", errors.New("exceeded quota"))
	})
	dry := false
	client.PrependReactor("patch", "daemonsets", func(a clienttesting.Action) (bool, runtime.Object, error) {
		dry = len(a.(clienttesting.PatchActionImpl).GetPatchOptions().DryRun) == 1
		return false, nil, nil
	})
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": map[string]any{"namespace": "ns", "name": "agent"},
		"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{"labels": map[string]any{"app": "agent"}}}},
	}}
	d := Declaration{DaemonSet: render.DaemonSet{Object: render.Object{Unstructured: object}, Pinned: object}}
	r := &Rollouts{Kube: client}

	if _, err := r.Defaulted(t.Context(), d, nil); err == nil {
		t.Error("there is no DaemonSet: a creation that is refused passes")
	}
	got, err := r.Defaulted(t.Context(), d, live)
	if err != nil || !dry {
		t.Fatalf("there is one: dry-run %t, %v", dry, err)
	}
	if len(got.Labels) != 1 || got.Labels["app"] != "agent" {
		t.Errorf("the template has the labels %v, want what is declared", got.Labels)
	}
}
