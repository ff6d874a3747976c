package apply

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// A pulse writes the template in another way than by an apply. Nobody fights with
// rollcall by that.
func TestNothingIsTakenFromRollcallItself(t *testing.T) {
	t.Parallel()
	live := &unstructured.Unstructured{}
	live.SetManagedFields([]metav1.ManagedFieldsEntry{
		{Manager: "rollcall", Operation: metav1.ManagedFieldsOperationApply},
		{Manager: "rollcall", Operation: metav1.ManagedFieldsOperationUpdate},
		{Manager: "helm", Operation: metav1.ManagedFieldsOperationUpdate},
		{Manager: "kube-controller-manager", Operation: metav1.ManagedFieldsOperationUpdate, Subresource: "status"},
	})
	a := &Applier{}
	if diff := cmp.Diff([]string{"helm", "rollcall"}, a.taken(live)); diff != "" {
		t.Errorf("taken over when something is applied (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"helm"}, a.takenFromOthers(live)); diff != "" {
		t.Errorf("reason enough to apply (-want +got):\n%s", diff)
	}
}
