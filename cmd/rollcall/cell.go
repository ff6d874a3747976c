package main

import (
	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/health"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// cell is what one node shows in the grid. The set is closed; its order is that
// of the legend and of bars.
type cell int

const (
	cellReady    cell = iota // the candidate, Ready
	cellRemoved              // its agent is removed, as was asked for
	cellStarting             // the candidate, or its node is being replaced
	cellWaiting              // its first agent, which waits for its wave
	cellFailed               // evidence against the candidate, or an agent that is not Ready
	cellAbsent               // no agent
	cellDown                 // the node is NotReady
	cellOther                // another version, or an agent where there should be none
	cellHeld                 // kept out by the label rollcall.dev/hold
	cellProven               // the proven version, Ready
)

// cellKinds is how many kinds of cells there are.
const cellKinds = int(cellProven) + 1

// look is how a cell is drawn and explained.
type look struct {
	symbol string
	ink    ink
	legend string
}

func (c cell) look() look {
	switch c {
	case cellReady:
		return look{"■", green, "candidate Ready"}
	case cellRemoved:
		return look{"○", green, "removed"}
	case cellStarting:
		return look{"▣", yellow, "being replaced"}
	case cellWaiting:
		return look{"◇", dim, "waits for its wave"}
	case cellFailed:
		return look{"✗", red, "failed or not Ready"}
	case cellAbsent:
		return look{"·", red, "no agent"}
	case cellDown:
		return look{"!", magenta, "node NotReady"}
	case cellOther:
		return look{"?", yellow, "unknown version or unwanted"}
	case cellHeld:
		return look{"=", blue, "held out"}
	case cellProven:
		return look{"□", dim, "proven"}
	default:
		return look{"?", plain, "unknown"}
	}
}

// judge is what decides about a node's cell beside the node itself.
type judge struct {
	proven, candidate string
	inFlight, failing map[string]bool
}

func newJudge(n *v1alpha1.NodeRollout) judge {
	j := judge{inFlight: map[string]bool{}, failing: map[string]bool{}}
	if v := n.Status.Proven; v != nil {
		j.proven = v.Digest
	}
	if v := n.Status.Candidate; v != nil {
		j.candidate = v.Digest
	}
	for _, f := range n.Status.InFlight {
		j.inFlight[f.Node] = true
	}
	for _, f := range n.Status.Failing {
		j.failing[f.Node] = true
	}
	return j
}

// cell judges one node; false when the DaemonSet has nothing to do with it.
func (j judge) cell(n *health.Node) (cell, bool) {
	a := n.Agent()
	switch {
	case !n.Eligible && a == nil:
		return 0, false
	case !n.Eligible:
		return cellOther, true
	case !n.Ready:
		return cellDown, true
	case j.inFlight[n.Name] && !n.Present():
		return cellStarting, true
	case a == nil:
		return cellAbsent, true
	case !n.Present():
		return j.notReady(n.Name, a), true
	case n.Held:
		return cellHeld, true
	default:
		return j.version(n.Name, a), true
	}
}

// notReady tells a node that is to have no agent, a candidate on its way, or one whose way has not begun, from an
// agent that fails.
func (j judge) notReady(node string, a *health.Agent) cell {
	if a.Gated && rollout.Removes(j.candidate) && !j.inFlight[node] {
		return cellRemoved
	}
	if a.Gated && j.proven == "" {
		return cellWaiting
	}
	if a.Gated || j.candidate != "" && a.Digest == j.candidate && a.Restarts == 0 && a.Trouble.Reason == "" {
		return cellStarting
	}
	return cellFailed
}

// version is the cell of a node whose agent is Ready. A node on the candidate
// that is listed as failing has given evidence against it.
func (j judge) version(node string, a *health.Agent) cell {
	switch {
	case a.Digest == "":
		return cellOther
	case a.Digest == j.proven:
		return cellProven
	case j.failing[node]:
		return cellFailed
	default:
		return cellReady
	}
}
