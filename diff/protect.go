package diff

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// Protected says why a live object is never pruned; the reason is empty when it may be. What counts is its annotation
// v1alpha1.AnnotationPrune in the cluster: that is what Git declared last, and a person can change it after Git has
// dropped the object. A word that nobody knows protects, for it may be a misspelt "disabled".
func Protected(id ID, live *unstructured.Unstructured) (reason, message string) {
	says, annotated := live.GetAnnotations()[v1alpha1.AnnotationPrune]
	switch {
	case says == v1alpha1.PruneConfirm:
		return "", ""
	case annotated:
		return ReasonPruneProtected, fmt.Sprintf("its annotation %s is %q: delete it by hand, or set the annotation to %s", v1alpha1.AnnotationPrune, says, v1alpha1.PruneConfirm)
	case takesAlong(id):
		return ReasonProtectedKind, fmt.Sprintf("everything in it would go too: annotate it in the cluster with %s: %s if that is wanted, or delete it by hand", v1alpha1.AnnotationPrune, v1alpha1.PruneConfirm)
	default:
		return "", ""
	}
}

// takesAlong is whether deleting the object deletes others.
func takesAlong(id ID) bool {
	return id == ID{Name: id.Name, Kind: "Namespace"} ||
		id == ID{Name: id.Name, Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}
}
