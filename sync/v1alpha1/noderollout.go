package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// NodeRollout says how far one DaemonSet's change has got. rollcall makes one
// for every DaemonSet that a GitSync declares, with the DaemonSet's name. Made
// by somebody else, for a DaemonSet that another tool applies under OnDelete,
// it has the changes of that tool go over the nodes in waves.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=nroll,categories=rollcall
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.reason`
// +kubebuilder:printcolumn:name="Wave",type=string,JSONPath=`.status.wave.name`
// +kubebuilder:printcolumn:name="Eligible",type=integer,JSONPath=`.status.nodes.eligible`
// +kubebuilder:printcolumn:name="Present",type=integer,JSONPath=`.status.nodes.present`
// +kubebuilder:printcolumn:name="Candidate",type=integer,JSONPath=`.status.nodes.candidate`
// +kubebuilder:printcolumn:name="Healthy",type=integer,JSONPath=`.status.nodes.healthy`
// +kubebuilder:printcolumn:name="Failed",type=integer,JSONPath=`.status.nodes.failed`
// +kubebuilder:printcolumn:name="Since",type=date,JSONPath=`.status.since`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.message`,priority=1
type NodeRollout struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec   NodeRolloutSpec   `json:"spec,omitempty"`
	Status NodeRolloutStatus `json:"status,omitempty"`
}

// NodeRolloutSpec is what a person asks of a rollout.
type NodeRolloutSpec struct {
	// Paused stops every replacement, forward and back. Soaks go on.
	// +optional
	Paused bool `json:"paused,omitempty"`

	// Retry is the digest of a rejected candidate that shall be tried again
	// from its first wave. It is the only way back in for a rejected digest.
	// +kubebuilder:validation:MaxLength=100
	// +optional
	Retry string `json:"retry,omitempty"`

	// Policy is the name of the RolloutPolicy of a DaemonSet that another tool
	// applies; without it the one that is called "default", else the built-in one.
	// A DaemonSet that a GitSync declares names its own by annotation.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Policy string `json:"policy,omitempty"`

	// Approved lets waves begin whose policy asks for approval.
	// +optional
	Approved *Approval `json:"approved,omitempty"`
}

// Approval is a person's word on one version. It says nothing about any other.
type Approval struct {
	// Digest of the candidate.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=100
	Digest string `json:"digest"`
	// Wave is the name of the one wave that may begin; every wave may without it.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Wave string `json:"wave,omitempty"`
}

// Phase is where a rollout stands.
// +kubebuilder:validation:Enum=Proven;Waiting;Replacing;Soaking;Returning;Rejected;Held
type Phase string

// The phases. The set is closed.
const (
	// PhaseProven: every eligible node that can be reached runs the proven
	// digest, and Git asks for no other.
	PhaseProven Phase = "Proven"
	// PhaseWaiting: something outside the rollout has to happen first.
	PhaseWaiting Phase = "Waiting"
	// PhaseReplacing: nodes are being given the candidate.
	PhaseReplacing Phase = "Replacing"
	// PhaseSoaking: the wave is complete and has to stay healthy.
	PhaseSoaking Phase = "Soaking"
	// PhaseReturning: touched nodes are being given the proven template again.
	PhaseReturning Phase = "Returning"
	// PhaseRejected: the candidate failed; no node runs it any more.
	PhaseRejected Phase = "Rejected"
	// PhaseHeld: nothing moves until a person acts.
	PhaseHeld Phase = "Held"
)

// NodeRolloutStatus is the rollout's recorded state and its explanation.
type NodeRolloutStatus struct {
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// +optional
	Phase Phase `json:"phase,omitempty"`
	// Reason is a constant.
	// +optional
	Reason string `json:"reason,omitempty"`
	// Message explains the reason with counts, and what would release a hold.
	// +optional
	Message string `json:"message,omitempty"`
	// Since is when phase or reason last changed.
	// +optional
	Since metav1.Time `json:"since,omitempty"`

	// Wave is the wave in progress; absent at rest.
	// +optional
	Wave *WaveStatus `json:"wave,omitempty"`

	// AwaitsApproval is the name of the wave that begins when spec.approved names
	// it and the candidate; absent when none waits for that.
	// +optional
	AwaitsApproval string `json:"awaitsApproval,omitempty"`

	// Nodes counts the nodes of the DaemonSet.
	// +optional
	Nodes NodeCounts `json:"nodes,omitempty"`

	// Failing lists nodes that failed, or that have no agent, or one too many;
	// at most 20.
	// +kubebuilder:validation:MaxItems=20
	// +listType=atomic
	// +optional
	Failing []NodeProblem `json:"failing,omitempty"`

	// Proven is the version that passed every wave.
	// +optional
	Proven *Version `json:"proven,omitempty"`
	// Candidate is the version on its way; absent when Git asks for the proven
	// one.
	// +optional
	Candidate *Version `json:"candidate,omitempty"`
	// UnprovenSince is since when Git has asked, without a break, for another
	// version than the proven one; absent when it asks for that. A version that
	// supersedes another one does not begin it anew.
	// +optional
	UnprovenSince *metav1.Time `json:"unprovenSince,omitempty"`
	// Superseded is how many versions Git has replaced by others in that time
	// before they were proven or rejected.
	// +optional
	Superseded int32 `json:"superseded,omitempty"`
	// Rejected are the versions that failed, newest first; at most 10.
	// +kubebuilder:validation:MaxItems=10
	// +listType=atomic
	// +optional
	Rejected []Rejection `json:"rejected,omitempty"`

	// InFlight are the nodes whose agent rollcall has taken away or is about
	// to, until the next one is available. Written before the pod is deleted.
	// +listType=atomic
	// +optional
	InFlight []InFlight `json:"inFlight,omitempty"`

	// HandledRetry is the last spec.retry that was answered.
	// +optional
	HandledRetry string `json:"handledRetry,omitempty"`

	// Conditions are Ready, Reconciling and Stalled, by the rules of kstatus.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// WaveStatus is the wave in progress.
type WaveStatus struct {
	Name string `json:"name"`
	// Index counts from 1.
	Index int32 `json:"index"`
	Of    int32 `json:"of"`
	// +optional
	StartedAt metav1.Time `json:"startedAt,omitempty"`
}

// NodeCounts counts nodes, not pods.
type NodeCounts struct {
	// Eligible nodes should have an agent.
	Eligible int32 `json:"eligible"`
	// Present is how many of them have a Ready one.
	Present int32 `json:"present"`
	// Absent is eligible minus present.
	Absent int32 `json:"absent"`
	// Candidate is how many run the candidate.
	Candidate int32 `json:"candidate"`
	// Healthy is how many of those are healthy by the policy.
	Healthy int32 `json:"healthy"`
	// Failed is how many of those have failed by the policy.
	Failed int32 `json:"failed"`
	// Unavailable is how many have no available agent because of rollcall.
	Unavailable int32 `json:"unavailable"`
	// Held is how many are kept out by the label rollcall.dev/hold.
	Held int32 `json:"held"`
	// Unreachable is how many are NotReady.
	Unreachable int32 `json:"unreachable"`
}

// NodeProblem is what is wrong on one node.
type NodeProblem struct {
	Node    string `json:"node"`
	Reason  string `json:"reason"`
	Message string `json:"message,omitempty"`
	// +optional
	Since metav1.Time `json:"since,omitempty"`
}

// Version is one digest of a DaemonSet's pod template with its pinned config.
type Version struct {
	Digest string `json:"digest"`
	// Revision is the name of its ControllerRevision, once it is known.
	// +optional
	Revision string `json:"revision,omitempty"`
	// Commit that first declared it.
	// +optional
	Commit string `json:"commit,omitempty"`
}

// Rejection is a version that failed.
type Rejection struct {
	Digest string `json:"digest"`
	// +optional
	Commit  string `json:"commit,omitempty"`
	Reason  string `json:"reason"`
	Message string `json:"message,omitempty"`
	// +optional
	At metav1.Time `json:"at,omitempty"`
}

// InFlight is one node whose agent is being replaced.
type InFlight struct {
	Node    string    `json:"node"`
	NodeUID types.UID `json:"nodeUID"`
	// PodUID is the pod that was, or is to be, deleted.
	PodUID types.UID `json:"podUID"`
	// At is when the intent was recorded.
	// +optional
	At metav1.Time `json:"at,omitempty"`
	// Idle is whether the node had no available agent when the intent was
	// recorded: replacing it cost no budget.
	// +optional
	Idle bool `json:"idle,omitempty"`
	// Straggler is whether the node is given the proven version without having
	// been in a wave of it: it stays in flight until its new agent has been
	// available for readyFor.
	// +optional
	Straggler bool `json:"straggler,omitempty"`
}

// NodeRolloutList is a list of NodeRollouts.
//
// +kubebuilder:object:root=true
type NodeRolloutList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []NodeRollout `json:"items"`
}
