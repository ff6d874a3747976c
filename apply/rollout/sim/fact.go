package sim

import (
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply/rollout"
)

// Event is what a fact is about. The set is closed.
type Event string

// The events.
const (
	// Ran: a pod's containers started for the first time.
	Ran Event = "Ran"
	// BecameReady: a pod turned Ready, for the first time or again.
	BecameReady Event = "BecameReady"
	// Deleted: a pod was told to go.
	Deleted Event = "Deleted"
	// Opened: a pod's gate was removed.
	Opened Event = "Opened"
	// Wrote: somebody wrote the DaemonSet's template.
	Wrote Event = "Wrote"
	// Recorded: a leader has written the state of a decision.
	Recorded Event = "Recorded"
	// Decided: a leader has made a decision.
	Decided Event = "Decided"
	// Asked: a command was given.
	Asked Event = "Asked"
	// Died: a leader's process is no more, and another one takes its place.
	Died Event = "Died"
	// NodeLeft: a node is gone.
	NodeLeft Event = "NodeLeft"
)

// Actor is who did it. The set is closed.
type Actor string

// The actors.
const (
	Rollcall   Actor = "rollcall"
	Controller Actor = "controller"
	Kubelet    Actor = "kubelet"
	Adversary  Actor = "adversary"
)

// Fact is one thing that happened.
type Fact struct {
	Tick    int
	Event   Event
	By      Actor
	Node    string
	NodeUID types.UID
	Pod     types.UID
	Digest  string
	Gated   bool
	// Served is whether the node had an available agent until this deletion.
	Served bool
	Why    rollout.Why
	// Command is what was asked.
	Command string
	// Decision is what was decided or recorded, from Input.
	Decision rollout.Decision
	Input    *rollout.Input
}
