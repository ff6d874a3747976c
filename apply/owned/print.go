package owned

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Print tells two states of an object apart, whoever made the second one; it does not change with its status where that
// can be told. Prints of one object may be compared, and nothing else.
type Print string

// PrintOf is the print of an object of a group.
func PrintOf(group string, o metav1.Object) Print {
	if !countsGenerations(group) || o.GetGeneration() == 0 {
		return Print(string(o.GetUID()) + "@" + o.GetResourceVersion())
	}
	// A map is encoded in the order of its keys.
	raw, err := json.Marshal([]any{o.GetGeneration(), o.GetLabels(), o.GetAnnotations(), o.GetFinalizers(), o.GetOwnerReferences(), o.GetDeletionTimestamp()})
	if err != nil {
		return Print(string(o.GetUID()) + "@" + o.GetResourceVersion())
	}
	sum := sha256.Sum256(raw)
	return Print(string(o.GetUID()) + "#" + hex.EncodeToString(sum[:]))
}

// countsGenerations is whether each change of an object of the group beside its metadata and its status is a new
// generation. That is so of custom resources (k8s.io/apiextensions-apiserver, pkg/registry/customresource/strategy.go)
// and of the kinds whose status changes all the time; others have none, or, as PriorityClasses, one that stays.
func countsGenerations(group string) bool {
	switch group {
	case "apps", "batch", "policy", "apiextensions.k8s.io":
		return true
	default:
		return strings.Contains(group, ".") && !strings.HasSuffix(group, ".k8s.io")
	}
}
