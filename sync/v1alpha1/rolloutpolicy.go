package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// RolloutPolicy says how a change of a DaemonSet moves over the nodes.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=rpol,path=rolloutpolicies,categories=rollcall
// +kubebuilder:printcolumn:name="First-Wave",type=string,JSONPath=`.spec.waves[0].name`
// +kubebuilder:printcolumn:name="Max-Unavailable",type=string,JSONPath=`.spec.maxUnavailable`
// +kubebuilder:printcolumn:name="On-Failure",type=string,JSONPath=`.spec.onFailure`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type RolloutPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec RolloutPolicySpec `json:"spec"`
}

// RolloutPolicySpec is the policy. Its zero value is not valid: waves are
// required.
//
// +kubebuilder:validation:XValidation:rule="(has(self.groupBy) && self.groupBy.size() > 0) || self.waves.all(w, !(has(w.eachGroup) && w.eachGroup) && !(has(w.oneGroupAtATime) && w.oneGroupAtATime))",message="eachGroup and oneGroupAtATime need the groups of groupBy"
// +kubebuilder:validation:XValidation:rule="(has(self.groupBy) && self.groupBy.size() > 0) || !has(self.maxUnavailablePerGroup)",message="maxUnavailablePerGroup needs the groups of groupBy"
// +kubebuilder:validation:XValidation:rule="!(has(self.replace) && self.replace == 'surge' && has(self.newPods) && self.newPods == 'candidate')",message="replace: surge keeps new pods on the proven version: newPods must be proven"
type RolloutPolicySpec struct {
	// Replace says how a node's agent is replaced: delete takes the old one and
	// then starts the new one; surge starts the new one beside it, and Kubernetes
	// takes the old one when the new one is Ready, for the DaemonSet's
	// minReadySeconds. Then maxUnavailable is how many nodes may have two at once.
	// While a wave is under way each node has one more pod, gated and not
	// scheduled. Agents with a hostPort cannot surge. A DaemonSet whose own
	// updateStrategy has maxUnavailable 0 and a maxSurge is replaced by surge
	// whatever is said here, on maxSurge nodes at a time.
	// +kubebuilder:default=delete
	// +optional
	Replace Replace `json:"replace,omitempty"`
	// NewPods says what a pod gets that appears by itself in the middle of a
	// rollout, since another one was evicted or a node joined: the proven version,
	// or the candidate. With candidate the candidate is written to the DaemonSet
	// when its first wave begins, without rollcall's gate: pods that nobody asked
	// for run it on nodes of later waves, and the blast radius is kept only by
	// what rollcall itself replaces. A failure of such a pod is evidence against
	// the candidate. A DaemonSet that another tool applies (spec.policy of its
	// NodeRollout) needs candidate.
	// +kubebuilder:default=proven
	// +optional
	NewPods NewPods `json:"newPods,omitempty"`

	// FirstInstall says how a DaemonSet that does not exist yet comes to the
	// nodes: in the waves, or on all of them at once. In waves its pods stay
	// unscheduled until their nodes' turn, and it is no commit's canary that takes
	// an agent away: maxUnavailable does not limit it. A DaemonSet that makes
	// nodes Ready, such as a network plugin, may begin on one that is not. Windows
	// and freezes hold either.
	// +kubebuilder:default=waves
	// +optional
	FirstInstall FirstInstall `json:"firstInstall,omitempty"`

	// GroupBy are node label keys; every wave takes its nodes evenly over the
	// groups that their values form.
	// +kubebuilder:validation:MaxItems=4
	// +kubebuilder:validation:items:MaxLength=317
	// +listType=atomic
	// +optional
	GroupBy []string `json:"groupBy,omitempty"`

	// Waves in order. UpTo is cumulative and must grow within counts and within
	// percentages, but for waves with select or eachGroup; the last must be 100%.
	// A rollout keeps the waves that it started with: an edit holds for the next
	// one, but for soak and allowEmpty of a wave of the same name.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=20
	// +kubebuilder:validation:XValidation:rule="self[self.size()-1].upTo == '100%'",message="the last wave must be upTo: 100%"
	// +kubebuilder:validation:XValidation:rule="self.all(w, self.exists_one(o, o.name == w.name))",message="wave names must be unique"
	// +kubebuilder:validation:XValidation:rule="self.all(w, has(w.select) || (has(w.eachGroup) && w.eachGroup) || self.exists_one(o, o.upTo == w.upTo && !has(o.select) && !(has(o.eachGroup) && o.eachGroup)))",message="no two waves may have the same upTo, but for those with select or eachGroup"
	// +kubebuilder:validation:XValidation:rule="!has(self[self.size()-1].select) && !(has(self[self.size()-1].allowEmpty) && self[self.size()-1].allowEmpty)",message="the last wave takes every node that is left: it must have neither select nor allowEmpty"
	// +kubebuilder:validation:XValidation:rule="self.map(w, !has(w.select) && !(has(w.eachGroup) && w.eachGroup) && type(w.upTo) == string && w.upTo.matches('^[0-9]{1,3}%$'), int(w.upTo.replace('%', ''))).isSorted()",message="upTo is cumulative: the percentages of waves must grow"
	// +kubebuilder:validation:XValidation:rule="self.map(w, !has(w.select) && !(has(w.eachGroup) && w.eachGroup) && type(w.upTo) == int, int(w.upTo)).isSorted()",message="upTo is cumulative: the counts of waves must grow"
	// +listType=atomic
	Waves []Wave `json:"waves"`

	// MaxUnavailable is how many nodes may be without an available agent
	// because of rollcall at any instant: a count, or a percentage of the
	// eligible nodes (rounded down, at least 1). The DaemonSet's own
	// updateStrategy.rollingUpdate.maxUnavailable in Git wins.
	// +kubebuilder:default=1
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? int(self) >= 1 && int(self) <= 100000 : string(self).matches('^([1-9][0-9]?|100)%$')",message="maxUnavailable must be a count from 1 to 100000 or a percentage from 1% to 100%"
	// +optional
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`

	// MaxUnavailablePerGroup is how many nodes of one group may be without an
	// available agent because of rollcall at any instant, beside MaxUnavailable
	// for all of them: a count, or a percentage of the group's eligible nodes
	// (rounded down, at least 1). A group is the nodes that have the same values
	// for all labels of groupBy. Without it groups are not bounded.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? int(self) >= 1 && int(self) <= 100000 : string(self).matches('^([1-9][0-9]?|100)%$')",message="maxUnavailablePerGroup must be a count from 1 to 100000 or a percentage from 1% to 100%"
	// +optional
	MaxUnavailablePerGroup *intstr.IntOrString `json:"maxUnavailablePerGroup,omitempty"`

	// Health is what a replaced node must show.
	// +kubebuilder:default={}
	// +optional
	Health HealthSpec `json:"health,omitempty"`

	// Windows are the times at which nodes may be given the candidate; at any
	// time without them. Nodes that have begun end outside of them too, soaks go
	// on, and what failed goes back at any time.
	// +kubebuilder:validation:MaxItems=20
	// +listType=atomic
	// +optional
	Windows []Window `json:"windows,omitempty"`

	// Freezes are times at which no node is given the candidate. A freeze beats a
	// window.
	// +kubebuilder:validation:MaxItems=50
	// +listType=atomic
	// +optional
	Freezes []Freeze `json:"freezes,omitempty"`

	// Breaker stops everything but returns while too much of the fleet is sick,
	// whatever the cause. There is none by default.
	// +optional
	Breaker *Breaker `json:"breaker,omitempty"`

	// OnFailure says what happens to touched nodes when the candidate is
	// rejected: return gives them the proven template again, hold leaves them
	// for a person to look at.
	// +kubebuilder:default=return
	// +optional
	OnFailure OnFailure `json:"onFailure,omitempty"`
}

// Wave is a set of nodes that change together.
type Wave struct {
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`

	// UpTo is how many nodes run the candidate when the wave is complete: a
	// count, or a percentage of the eligible nodes at the start of the wave
	// (rounded down, at least 1). With select it may become fewer.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? int(self) >= 1 && int(self) <= 100000 : string(self).matches('^([1-9][0-9]?|100)%$')",message="upTo must be a count from 1 to 100000 or a percentage from 1% to 100%"
	UpTo intstr.IntOrString `json:"upTo"`

	// EachGroup makes upTo count in each group of groupBy: upTo: 1 is one node of
	// each, 10% a tenth of each (rounded down, at least 1). A group without a node
	// that can be picked is left out.
	// +optional
	EachGroup bool `json:"eachGroup,omitempty"`

	// Select limits the wave to nodes whose labels match. The others come in a
	// later wave, at the latest in the last one, which must not have it.
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && self.matchLabels.size() > 0) || (has(self.matchExpressions) && self.matchExpressions.size() > 0)",message="select must have matchLabels or matchExpressions: without them it selects nothing in particular"
	// +optional
	Select *metav1.LabelSelector `json:"select,omitempty"`

	// AllowEmpty passes the wave when there is no node for it. Without it the
	// rollout is held until there is one.
	// +optional
	AllowEmpty bool `json:"allowEmpty,omitempty"`

	// OneGroupAtATime gives the candidate to the wave's nodes of one group of
	// groupBy after the other: the next group begins when all of the one before
	// are healthy and have soaked. The order of the groups is another one for each
	// version. The first install of a DaemonSet gives it to all groups together.
	// +optional
	OneGroupAtATime bool `json:"oneGroupAtATime,omitempty"`

	// Approval keeps the wave from beginning until a NodeRollout's spec.approved
	// names the version, and this wave or none. Soaks of the waves before go on.
	// +optional
	Approval bool `json:"approval,omitempty"`

	// Soak is how long every node of the wave must stay healthy, after it has
	// become healthy, before the next wave begins; with oneGroupAtATime every node
	// of a group, before the next group begins. At most 168h.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,9})?(ms|s|m|h))+$') && duration(self) <= duration('168h')",message="soak must be a duration between 0s and 168h, such as 5m"
	// +optional
	Soak metav1.Duration `json:"soak,omitempty"`
}

// Window opens by a schedule.
type Window struct {
	// Schedule is when it opens: five fields of cron, such as "0 9 * * MON-THU".
	// An opening that the clock skips when summer time begins does not take
	// place.
	// +kubebuilder:validation:MaxLength=100
	// +kubebuilder:validation:XValidation:rule="self.matches('^ *[^ @=]+( +[^ =]+){4} *$')",message="schedule must have the five fields of cron: minute, hour, day of month, month, day of week"
	Schedule string `json:"schedule"`

	// Duration is how long it stays open. From 1m to 168h.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,9})?(ms|s|m|h))+$') && duration(self) >= duration('1m') && duration(self) <= duration('168h')",message="duration must be a duration between 1m and 168h, such as 8h"
	Duration metav1.Duration `json:"duration"`

	// TimeZone of the schedule, by its name in the IANA database.
	// +kubebuilder:default="UTC"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +optional
	TimeZone string `json:"timeZone,omitempty"`
}

// Freeze is one span of time.
//
// +kubebuilder:validation:XValidation:rule="self.start < self.end",message="end must be later than start"
type Freeze struct {
	Start metav1.Time `json:"start"`
	// End does not belong to it.
	End metav1.Time `json:"end"`
	// Reason is shown to whoever waits.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=200
	Reason string `json:"reason"`
}

// Breaker is the limit.
type Breaker struct {
	// MaxSickNodes is how many nodes may be NotReady, or without an available
	// agent of any DaemonSet that rollcall rolls out, before no node is given a
	// candidate and no wave passes: a count, or a percentage of the nodes that
	// should have such an agent (rounded down, at least 1). Nodes that rollcall
	// itself is at work on count too, so that it should be more than
	// maxUnavailable.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? int(self) >= 1 && int(self) <= 100000 : string(self).matches('^([1-9][0-9]?|100)%$')",message="maxSickNodes must be a count from 1 to 100000 or a percentage from 1% to 100%"
	MaxSickNodes intstr.IntOrString `json:"maxSickNodes"`
}

// HealthSpec is what a node must show after its agent was replaced.
type HealthSpec struct {
	// ReadyFor is how long the agent must have been Ready without a break to
	// count as available. At most 1h.
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,9})?(ms|s|m|h))+$') && duration(self) <= duration('1h')",message="readyFor must be a duration between 0s and 1h, such as 30s"
	// +optional
	ReadyFor metav1.Duration `json:"readyFor,omitempty"`

	// Deadline is how long one node may take from its own replacement until
	// its agent is healthy; after it the node has failed. From 1s to 24h.
	// +kubebuilder:default="10m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,9})?(ms|s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="deadline must be a duration between 1s and 24h, such as 10m"
	// +optional
	Deadline metav1.Duration `json:"deadline,omitempty"`

	// MaxRestarts is how often the containers of one replaced agent may restart
	// before the node has failed.
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	// +optional
	MaxRestarts int32 `json:"maxRestarts,omitempty"`

	// FailureBudget is how many touched nodes may fail before the candidate is
	// rejected.
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	// +optional
	FailureBudget int32 `json:"failureBudget,omitempty"`

	// Node makes a node that turns NotReady after its agent was replaced
	// evidence against the candidate.
	// +kubebuilder:default=true
	// +optional
	Node *bool `json:"node,omitempty"`
}

// Replace is how one node's agent is replaced.
// +kubebuilder:validation:Enum=delete;surge
type Replace string

// The values of Replace.
const (
	ReplaceDelete Replace = "delete"
	ReplaceSurge  Replace = "surge"
)

// NewPods is which version pods are of that appear by themselves.
// +kubebuilder:validation:Enum=proven;candidate
type NewPods string

// The values of NewPods.
const (
	NewPodsProven    NewPods = "proven"
	NewPodsCandidate NewPods = "candidate"
)

// FirstInstall is how the first version of a DaemonSet comes to the nodes.
// +kubebuilder:validation:Enum=waves;all
type FirstInstall string

// The values of FirstInstall.
const (
	FirstInstallWaves FirstInstall = "waves"
	FirstInstallAll   FirstInstall = "all"
)

// OnFailure is what happens to touched nodes after a rejection.
// +kubebuilder:validation:Enum=return;hold
type OnFailure string

// The values of OnFailure.
const (
	OnFailureReturn OnFailure = "return"
	OnFailureHold   OnFailure = "hold"
)

// RolloutPolicyList is a list of RolloutPolicies.
//
// +kubebuilder:object:root=true
type RolloutPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []RolloutPolicy `json:"items"`
}
