// Package v1alpha1 holds the rollcall.dev/v1alpha1 API: GitSync (what a
// cluster should run), RolloutPolicy (how changes move over its nodes) and
// NodeRollout (how far one DaemonSet's change has got).
//
// A field that is not listed here is not served: the CRDs are generated from
// these types, and the API server refuses or drops what they do not name.
//
// +kubebuilder:object:generate=true
// +groupName=rollcall.dev
package v1alpha1
