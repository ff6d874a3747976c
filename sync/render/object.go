package render

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Object is one declared object.
type Object struct {
	*unstructured.Unstructured
	// Source is the file it came from, relative to the root of the repository. Of an object made by a
	// kustomize generator it is the kustomization; of a pinned copy, the file of the original.
	Source string
}
