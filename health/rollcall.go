package health

import (
	"fmt"
	"time"
)

// Reasons of roll-call problems that no verdict has.
const (
	ReasonTainted       = "Tainted"
	ReasonUnschedulable = "Unschedulable"
	ReasonNoPod         = "NoPod"
	ReasonGated         = "Gated"
	ReasonTerminating   = "Terminating"
	ReasonNotReady      = "NotReady"
	ReasonDuplicate     = "Duplicate"
	ReasonUnwanted      = "Unwanted"
)

// Problem is what is wrong with one node's agent at rest.
type Problem struct {
	Node    string
	Reason  string
	Message string
	// Since is the later of the cause's own time and the node's Ready, so that
	// a new node's agent is timed from the node's Ready. It is zero where nothing
	// in the cluster tells since when: whoever watches has to remember.
	Since time.Time
}

// RollCall says what is wrong on the node, and whether anything is: no Ready
// agent where there should be one, two of them, or one that should not be.
func RollCall(n *Node) (Problem, bool) {
	live := n.living()
	switch {
	case !n.Eligible && n.Virtual && live > 0:
		return onVirtual(n)
	case !n.Eligible && live > 0:
		return problem(n, ReasonUnwanted, "has an agent but is not eligible", n.Agent().Created), true
	case !n.Eligible:
		return Problem{}, false
	case live > 1:
		return problem(n, ReasonDuplicate, fmt.Sprintf("has %d agents", live), n.Agents[len(n.Agents)-1].Created), true
	case n.Present():
		return Problem{}, false
	default:
		return absence(n), true
	}
}

// living counts the agents that are to stay. One that waits beside another for its
// gate runs nowhere.
func (n *Node) living() int {
	count := 0
	for i := range n.Agents {
		if a := &n.Agents[i]; !a.Terminating && (!a.Gated || a == n.Agent()) {
			count++
		}
	}
	return count
}

// onVirtual is about a virtual node that the DaemonSet does not ask for. Tolerating
// every taint makes pods for those too, which wait for ever; only one that was put
// there is worth a word.
func onVirtual(n *Node) (Problem, bool) {
	for i := range n.Agents {
		if a := &n.Agents[i]; !a.Terminating && !a.Unbound {
			return problem(n, ReasonUnwanted, "has an agent but is a virtual node: it counts when the DaemonSet names such nodes in its nodeSelector, affinity or tolerations", a.Created), true
		}
	}
	return Problem{}, false
}

// absence names the first cause that explains a missing agent, from the node
// outwards in: a dead node explains a pod that is not Ready, a taint explains
// a pod that is not there.
func absence(n *Node) Problem {
	a := n.Agent()
	switch {
	case !n.Ready:
		return problem(n, ReasonNodeNotReady, "the node is NotReady", n.ReadySince)
	case a == nil && len(n.Agents) > 0:
		return problem(n, ReasonTerminating, "the old pod is still Terminating", n.Agents[0].Deleted)
	case a == nil && !n.Schedulable:
		return Problem{Node: n.Name, Reason: ReasonTainted, Message: "the taint " + n.Taint + " keeps the agent out"}
	case a == nil:
		return Problem{Node: n.Name, Reason: ReasonNoPod, Message: "no pod was made for it: look for quota or admission errors in the DaemonSet's events"}
	case a.Gated:
		return problem(n, ReasonGated, "the pod waits for rollcall to open its gate", a.Created)
	case a.Trouble.Reason == ReasonGated:
		return problem(n, ReasonGated, a.Trouble.Message, a.Created)
	case a.Trouble.Reason == ReasonUnschedulable:
		return problem(n, ReasonUnschedulable, a.Trouble.Message, a.Created)
	case fatal(a.Trouble.Reason):
		return problem(n, ReasonCannotStart, a.Trouble.Reason+": "+a.Trouble.Message, a.ReadySince)
	default:
		return problem(n, ReasonNotReady, "the agent is not Ready"+trouble(a), a.ReadySince)
	}
}

func problem(n *Node, reason, message string, since time.Time) Problem {
	if since.Before(n.ReadySince) {
		since = n.ReadySince
	}
	return Problem{Node: n.Name, Reason: reason, Message: message, Since: since}
}
