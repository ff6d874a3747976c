package rollout

import (
	"time"

	"github.com/rollcall-dev/rollcall/health"
)

// Input is everything that a decision depends on.
type Input struct {
	// Name is the DaemonSet's, as NAMESPACE/NAME.
	Name   string
	Policy Policy
	State  State
	// Want is the version that Git declares; nil when it declares none, which asks
	// for the proven one.
	Want *Version
	// Unknown is why it is not known what Git declares; nil when it is. While it is
	// not, Want is nobody's word and what was asked for last stands: nothing begins,
	// no wave passes, and nothing goes back but what the nodes themselves rejected.
	Unknown *Block
	// Paused stops every replacement, forward and back.
	Paused bool
	// Retry is the rejected digest that a person wants tried again.
	Retry string
	// Approved is what a person lets begin; nil for nothing.
	Approved *Approval
	// Block holds the way forward, but not the way back; nil when it is free.
	Block *Block
	// Busy are the nodes that rollouts of other DaemonSets are at work on, sorted by
	// name.
	Busy []Busy
	// After is what this DaemonSet comes after, node by node.
	After []Predecessor
	// Sick is how much of the whole fleet is, for the policy's breaker.
	Sick Sick
	// OwnNode is the name of the node that rollcall itself runs on; empty when that
	// is not known. It comes last: what breaks it, rollcall may not be there to undo.
	OwnNode string
	// Foreign is whether another tool writes the DaemonSet. Want is its template then,
	// and nothing of it is ever written.
	Foreign bool
	Live    Live
	// Fleet are the nodes that exist, sorted by name.
	Fleet []health.Node
	Now   time.Time
}

// Approval lets waves of one version begin.
type Approval struct {
	Digest string
	// Wave is the name of the one that may; empty for all of them.
	Wave string
}

// Block is why nothing moves forward.
type Block struct {
	Reason  string
	Message string
	// Until is when it ends by itself; zero if somebody has to act.
	Until time.Time
}

// Live is the DaemonSet as the API server has it now.
type Live struct {
	// Digest of its template without rollcall's gate; empty when that is
	// neither the proven nor the candidate one.
	Digest string
	// Gated is whether the template carries rollcall's gate.
	Gated bool
	// Won are the nodes that the template takes in beside those where the proven version
	// runs, by name, sorted and joined by commas; empty for one as it is declared.
	Won string
	// OnDelete is whether updateStrategy is OnDelete.
	OnDelete bool
	// Surging is whether updateStrategy is the one of a surge: RollingUpdate with
	// maxSurge 100% and maxUnavailable 0.
	Surging bool
	// Observed is whether the DaemonSet controller has seen this template.
	Observed bool
	// Revision is the controller-revision-hash of the template; empty while
	// its ControllerRevision is not known.
	Revision string
	// Unnamed is whether that revision cannot be given another one.
	Unnamed bool
}
