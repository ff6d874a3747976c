package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Group is the API group of every kind in this package.
const Group = "rollcall.dev"

// GroupVersion is the API group and version of this package's kinds.
func GroupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: Group, Version: "v1alpha1"}
}

// AddToScheme registers the kinds of this package with a scheme.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion(),
		&GitSync{}, &GitSyncList{},
		&RolloutPolicy{}, &RolloutPolicyList{},
		&NodeRollout{}, &NodeRolloutList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion())
	return nil
}
