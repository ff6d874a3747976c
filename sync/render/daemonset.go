package render

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// DaemonSet is one declared DaemonSet, as written and with its configuration pinned.
type DaemonSet struct {
	// Object is the DaemonSet as declared; its template refers to ConfigMaps and Secrets by their plain
	// names.
	Object
	// Pinned is the same DaemonSet with a template that refers to the pinned copies. It equals the plain
	// one when nothing is pinned.
	Pinned *unstructured.Unstructured
	// Digest is "sha256:" and the hex sum of the canonical JSON of the pinned template as declared, before
	// the API server adds defaults. Equal templates and equal configuration give equal digests; what lies
	// outside the template does not enter.
	Digest string
	// Config are the ConfigMaps and Secrets that the plain template reads and that are declared beside it,
	// pinned or not, sorted by kind and name.
	Config []Reference
	// Pins are the pinned copies that the pinned template reads, sorted by kind and name.
	Pins []Reference
}
