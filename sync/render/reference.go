package render

import (
	"cmp"
)

// Reference names a ConfigMap or Secret.
type Reference struct {
	// Kind is ConfigMap or Secret.
	Kind string
	// Namespace is the namespace of the DaemonSet that reads it.
	Namespace string
	Name      string
}

// Compare orders references by kind, namespace and name.
func (r Reference) Compare(other Reference) int {
	return cmp.Or(
		cmp.Compare(r.Kind, other.Kind),
		cmp.Compare(r.Namespace, other.Namespace),
		cmp.Compare(r.Name, other.Name),
	)
}
