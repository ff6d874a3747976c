package rollout

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/health"
)

// Phase is where a rollout stands; the values are those of the API.
type Phase string

// The phases. The set is closed.
const (
	Proven    Phase = "Proven"
	Waiting   Phase = "Waiting"
	Replacing Phase = "Replacing"
	Soaking   Phase = "Soaking"
	Returning Phase = "Returning"
	Rejected  Phase = "Rejected"
	Held      Phase = "Held"
)

// Reasons of phases. A rejected rollout has the reason of its failed nodes.
const (
	ReasonProven          = "Proven"
	ReasonAgentsAbsent    = "AgentsAbsent"
	ReasonNodesOutdated   = "NodesOutdated"
	ReasonInstalling      = "Installing"
	ReasonReplacing       = "Replacing"
	ReasonSoaking         = "Soaking"
	ReasonReturning       = "Returning"
	ReasonStragglers      = "Stragglers"
	ReasonPaused          = "Paused"
	ReasonNoCanary        = "NoCanary"
	ReasonApproval        = "ApprovalRequired"
	ReasonNoEvidence      = "NoEvidence"
	ReasonNeverReplaced   = "NeverReplaced"
	ReasonPulseTimedOut   = "PulseTimedOut"
	ReasonNoPod           = health.ReasonNoPod
	ReasonTerminating     = health.ReasonTerminating
	ReasonBudgetSpent     = "BudgetSpent"
	ReasonUnreachable     = "Unreachable"
	ReasonNoEligibleNodes = "NoEligibleNodes"
	ReasonFrozen          = "Frozen"
	ReasonWindowClosed    = "WindowClosed"
	ReasonNeverOpens      = "NeverOpens"
	ReasonStrategy        = "StrategyNotOnDelete"
	// ReasonNodeBusy waits for the rollouts of other DaemonSets.
	ReasonNodeBusy = "NodeBusy"
	// ReasonSurgeWaits waits for nodes that a surge would leave without an agent.
	ReasonSurgeWaits = "SurgeWaits"
	// ReasonWaitsForDependency waits for a DaemonSet that this one comes after.
	ReasonWaitsForDependency = "WaitsForDependency"
	// ReasonBreakerOpen holds while too much of the fleet is sick.
	ReasonBreakerOpen = "BreakerOpen"
	// ReasonStragglersWait holds nodes with an older version while the proven one fails.
	ReasonStragglersWait = "StragglersWait"
)

// Decision is what to record, then what to do.
type Decision struct {
	// Next is to be recorded, guarded against other writers, before any step.
	Next  State
	Steps []Step
	Phase Phase
	// Reason is a constant; Message has counts and says what releases a hold.
	Reason  string
	Message string
	Counts  Counts
	// Wave is the one in progress, the zero one when there is none, and Waves is of
	// how many.
	Wave  Wave
	Waves int
	// Awaits is the name of the wave that waits for approval; empty for none.
	Awaits string
	// Waits is whether it may be another decision when something changes of what is
	// known of other DaemonSets, without an event about this one.
	Waits bool
	// Failing are failed nodes first, then those of the roll call, by name.
	Failing []health.Problem
	// Wake is when to decide again without an event; zero for never.
	Wake time.Time
}

// Counts counts nodes.
type Counts struct {
	Eligible, Present, Absent, Candidate, Healthy, Failed, Unavailable, Held, Unreachable int
}

// Action is what a step does. The set is closed.
type Action string

// The actions.
const (
	// SetOnDelete sets updateStrategy to OnDelete and nothing else.
	SetOnDelete Action = "SetOnDelete"
	// WriteTemplate writes the template of Step.Digest, with rollcall's gate or
	// without, and with it the update strategy: the one that surges, or OnDelete.
	WriteTemplate Action = "WriteTemplate"
	// DeletePod deletes one pod by UID.
	DeletePod Action = "DeletePod"
	// OpenGate removes rollcall's gate from one pod by UID.
	OpenGate Action = "OpenGate"
	// NameRevision sets the controller-revision-hash label of the live template's
	// ControllerRevision to Step.Revision, by which most pods know it.
	NameRevision Action = "NameRevision"
	// Relabel sets a pod's controller-revision-hash label to Step.Revision.
	Relabel Action = "Relabel"
)

// Why is what a pod is deleted for, or in a surge let start for, since nothing is
// deleted then. The set is closed.
type Why string

// The causes.
const (
	// ForReplace gives the node the candidate.
	ForReplace Why = "Replace"
	// ForReturn gives a touched node the proven template again.
	ForReturn Why = "Return"
	// ForStray removes a gated pod that no wave opened.
	ForStray Why = "Stray"
	// ForStraggler gives a node that was out of reach, held out or late the proven
	// template.
	ForStraggler Why = "Straggler"
)

// Step is one effect. A WriteTemplate that opens a pulse names a pod of it: unless
// the API server would delete that, it must not be written.
type Step struct {
	Action Action
	Digest string
	Gated  bool
	Surge  bool
	// Moved is whether the template is to run where the proven version does and on the
	// nodes named in Won, sorted and joined by commas, instead of where it declares.
	Moved  bool
	Won    string
	Node   string
	Pod    string
	PodUID types.UID
	// PodVersion is the resourceVersion that the pod must still have; empty
	// for any. A pod that serves nobody is deleted beyond the budget, so that
	// the one that has recovered meanwhile must not be.
	PodVersion string
	Why        Why
	Revision   string
}
