package diff

import (
	"cmp"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// ID names an object, whatever version of its group it is read in.
type ID struct {
	// Namespace is empty for cluster-scoped objects.
	Namespace string
	Name      string
	// Group is empty for the core group.
	Group string
	Kind  string
}

// IDOf returns the ID of an object.
func IDOf(o *unstructured.Unstructured) ID {
	gk := o.GroupVersionKind().GroupKind()
	return ID{Namespace: o.GetNamespace(), Name: o.GetName(), Group: gk.Group, Kind: gk.Kind}
}

// ParseID reads an ID as an inventory entry spells it. Namespaces, groups and kinds have no underscore, names of
// RBAC objects may have some, so the name is what lies between the first and the last but one.
func ParseID(s string) (ID, error) {
	namespace, rest, ok := strings.Cut(s, "_")
	kindAt := strings.LastIndex(rest, "_")
	if !ok || kindAt < 0 {
		return ID{}, fmt.Errorf("inventory entry %q is not NAMESPACE_NAME_GROUP_KIND", s)
	}
	kind, rest := rest[kindAt+1:], rest[:kindAt]
	groupAt := strings.LastIndex(rest, "_")
	if groupAt < 1 || kind == "" {
		return ID{}, fmt.Errorf("inventory entry %q is not NAMESPACE_NAME_GROUP_KIND", s)
	}
	return ID{Namespace: namespace, Name: rest[:groupAt], Group: rest[groupAt+1:], Kind: kind}, nil
}

// Entry is the ID as an inventory entry spells it: NAMESPACE_NAME_GROUP_KIND.
func (id ID) Entry() string {
	return id.Namespace + "_" + id.Name + "_" + id.Group + "_" + id.Kind
}

// GroupKind is the kind with its group.
func (id ID) GroupKind() schema.GroupKind {
	return schema.GroupKind{Group: id.Group, Kind: id.Kind}
}

// String is "Kind namespace/name", with the group behind the kind where there is one.
func (id ID) String() string {
	name := id.Name
	if id.Namespace != "" {
		name = id.Namespace + "/" + id.Name
	}
	return id.GroupKind().String() + " " + name
}

// Compare orders IDs by group, kind, namespace and name.
func (id ID) Compare(other ID) int {
	return cmp.Or(
		cmp.Compare(id.Group, other.Group),
		cmp.Compare(id.Kind, other.Kind),
		cmp.Compare(id.Namespace, other.Namespace),
		cmp.Compare(id.Name, other.Name),
	)
}
