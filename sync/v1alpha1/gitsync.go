package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// GitSync keeps the objects of one path of one Git repository applied to this
// cluster, and moves every change of a DaemonSet over the nodes in waves.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=gsync,categories=rollcall
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Git",type=string,JSONPath=`.status.fetched.commit`,priority=1
// +kubebuilder:printcolumn:name="Applied",type=string,JSONPath=`.status.applied`
// +kubebuilder:printcolumn:name="Proven",type=string,JSONPath=`.status.proven`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
type GitSync struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   GitSyncSpec   `json:"spec"`
	Status GitSyncStatus `json:"status,omitempty"`
}

// GitSyncSpec says what this cluster should run.
type GitSyncSpec struct {
	// Source is the repository, the ref and the path to follow.
	Source GitSource `json:"source"`

	// Prune deletes objects that this GitSync applied once Git no longer
	// declares them, after every DaemonSet of the new commit is proven. An
	// empty render never prunes.
	// +kubebuilder:default=false
	// +optional
	Prune bool `json:"prune,omitempty"`

	// Policy names the RolloutPolicy for DaemonSets here that name none by the
	// annotation rollcall.dev/policy. Without it the RolloutPolicy "default"
	// is used if there is one, else the policy built into rollcall.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Policy string `json:"policy,omitempty"`

	// Ignore are fields that Git declares and somebody else has, such as an
	// autoscaler's replicas: they are neither applied nor compared, and what
	// rollcall had of them before it lets go of as they are. The pod template,
	// the selector and the update strategy of a DaemonSet that rollcall rolls
	// out cannot be ignored.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	Ignore []IgnoreRule `json:"ignore,omitempty"`

	// Suspend stops polling and applying. Rollouts already under way go on:
	// pause those on their NodeRollout.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// IgnoreRule is a field that is left to others, in the objects that it is for.
type IgnoreRule struct {
	// Pointer is a JSON pointer (RFC 6901) to the field in the object as Git
	// declares it, such as /spec/replicas, or
	// /webhooks/0/clientConfig/caBundle; in a key, ~1 stands for a slash and ~0
	// for a tilde.
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^(/[^/]+)+$')",message="pointer must be a JSON pointer to a field, such as /spec/replicas"
	// +kubebuilder:validation:XValidation:rule="!self.matches('~([^01]|$)')",message="pointer: write ~0 for a tilde and ~1 for a slash in a key"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^/(apiVersion|kind|metadata|metadata/(name|namespace|labels|labels/rollcall[.]dev~1gitsync))$')",message="pointer: what says which object it is, and whose, cannot be ignored"
	Pointer string `json:"pointer"`

	// Kind of the objects, such as Deployment; any without it.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Kind string `json:"kind,omitempty"`

	// Namespace of the objects; any without it.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Namespace string `json:"namespace,omitempty"`

	// Name of the object; any without it.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Name string `json:"name,omitempty"`
}

// GitSource is a path of a ref of a Git repository.
//
// +kubebuilder:validation:XValidation:rule="!self.url.startsWith('http://') || (has(self.insecureHTTP) && self.insecureHTTP)",message="url is plain http: use https, or set insecureHTTP: true"
type GitSource struct {
	// URL of the repository: https, or http with insecureHTTP. Credentials do
	// not belong into it: use secretRef.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.startsWith('https://') || self.startsWith('http://')",message="url must begin with https:// (or http:// with insecureHTTP: true)"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[a-z]+://[^/]*@')",message="url must not contain credentials: use secretRef"
	URL string `json:"url"`

	// InsecureHTTP allows a plain http URL. Whoever is on the network path can
	// then change what the cluster runs.
	// +optional
	InsecureHTTP bool `json:"insecureHTTP,omitempty"`

	// Ref is what to follow.
	Ref GitRef `json:"ref"`

	// Path below the repository's root: a kustomization, or a directory of
	// plain manifests.
	// +kubebuilder:default="."
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('/') && !self.split('/').exists(p, p == '..')",message="path must be relative and must not contain '..'"
	// +optional
	Path string `json:"path,omitempty"`

	// Interval between two polls; jittered by up to 10%. At least 5s, at most
	// 24h.
	// +kubebuilder:default="1m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,9})?(ms|s|m|h))+$') && duration(self) >= duration('5s') && duration(self) <= duration('24h')",message="interval must be a duration between 5s and 24h, such as 1m30s"
	// +optional
	Interval metav1.Duration `json:"interval,omitempty"`

	// SecretRef names a Secret in this namespace with username and password,
	// or bearerToken; and, if the server needs it, caFile (PEM).
	// +kubebuilder:validation:XValidation:rule="has(self.name) && self.name != ''",message="secretRef must name a Secret: set name, or leave secretRef out"
	// +optional
	SecretRef *corev1.LocalObjectReference `json:"secretRef,omitempty"`
}

// GitRef is exactly one of its fields.
//
// +kubebuilder:validation:XValidation:rule="(has(self.branch) ? 1 : 0) + (has(self.tag) ? 1 : 0) + (has(self.name) ? 1 : 0) == 1",message="set exactly one of branch, tag and name"
type GitRef struct {
	// Branch to follow: main stands for refs/heads/main.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +optional
	Branch string `json:"branch,omitempty"`

	// Tag to follow; an annotated one is peeled to its commit.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +optional
	Tag string `json:"tag,omitempty"`

	// Name is a full ref name, such as refs/rollcall/proven/staging.
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="self.startsWith('refs/')",message="name must be a full ref name, beginning with refs/"
	// +optional
	Name string `json:"name,omitempty"`
}

// FullName is the ref's full name, such as refs/heads/main.
func (r GitRef) FullName() string {
	switch {
	case r.Branch != "":
		return "refs/heads/" + r.Branch
	case r.Tag != "":
		return "refs/tags/" + r.Tag
	default:
		return r.Name
	}
}

// GitSyncStatus says which commit Git has, which the cluster runs, and why
// they differ.
type GitSyncStatus struct {
	// ObservedGeneration is the generation that the conditions speak about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions are Ready, Reconciling and Stalled, by the rules of kstatus:
	// Ready is always there; the other two only while they are true.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// Fetched is the newest commit that was read from Git whole.
	// +optional
	Fetched *Commit `json:"fetched,omitempty"`

	// Applied is the commit of which everything but the node rollouts is in
	// the cluster.
	// +optional
	Applied string `json:"applied,omitempty"`

	// Proven is the newest commit whose every DaemonSet is proven on every
	// eligible node.
	// +optional
	Proven string `json:"proven,omitempty"`

	// Rollouts has a row for every DaemonSet that Git declares.
	// +listType=atomic
	// +optional
	Rollouts []RolloutSummary `json:"rollouts,omitempty"`

	// Inventory lists what this GitSync applied and therefore may prune.
	// +optional
	Inventory *Inventory `json:"inventory,omitempty"`

	// LastHandledReconcileAt is the last value of the annotation
	// rollcall.dev/reconcile-at that a pass has answered.
	// +optional
	LastHandledReconcileAt string `json:"lastHandledReconcileAt,omitempty"`
}

// Commit identifies one Git commit.
type Commit struct {
	// Commit is the full object name.
	Commit string `json:"commit"`
	// Author as "Name <address>".
	// +optional
	Author string `json:"author,omitempty"`
	// Subject is the first line of the message, at most 200 characters.
	// +optional
	Subject string `json:"subject,omitempty"`
	// Time the commit was made, by its committer's clock.
	// +optional
	Time metav1.Time `json:"time,omitempty"`
}

// RolloutSummary is one DaemonSet's row in a GitSync's status.
type RolloutSummary struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// +optional
	Phase Phase `json:"phase,omitempty"`
	// +optional
	Reason string `json:"reason,omitempty"`
}

// Inventory is the set of objects that a GitSync applied.
type Inventory struct {
	// +listType=atomic
	Entries []InventoryEntry `json:"entries"`
}

// InventoryEntry names one applied object.
type InventoryEntry struct {
	// ID is NAMESPACE_NAME_GROUP_KIND; the namespace and the group may be empty.
	ID string `json:"id"`
	// Version of the group that the object was applied with.
	Version string `json:"v"`
}

// GitSyncList is a list of GitSyncs.
//
// +kubebuilder:object:root=true
type GitSyncList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []GitSync `json:"items"`
}
