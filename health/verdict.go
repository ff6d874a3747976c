package health

import (
	"fmt"
	"time"
)

// Status is what is known of a touched node.
type Status string

// The statuses. The set is closed.
const (
	// Healthy: Ready without a break for at least Rule.ReadyFor.
	Healthy Status = "Healthy"
	// Progressing: neither proven nor disproven yet.
	Progressing Status = "Progressing"
	// Failed: evidence against the candidate.
	Failed Status = "Failed"
)

// Reasons of verdicts and of roll-call problems. They are constants, fit for a
// metric label.
const (
	ReasonHealthy          = "Healthy"
	ReasonBecomingReady    = "BecomingReady"
	ReasonReadyTooShort    = "ReadyTooShort"
	ReasonRestarted        = "Restarted"
	ReasonCannotStart      = "CannotStart"
	ReasonAgentFailed      = "AgentFailed"
	ReasonDeadlineExceeded = "DeadlineExceeded"
	ReasonNodeNotReady     = "NodeNotReady"
	ReasonNodeVanished     = "NodeVanished"
	ReasonUnstable         = "Unstable"
)

// Rule is what a touched node must show.
type Rule struct {
	// ReadyFor is how long an agent must be Ready without a break.
	ReadyFor time.Duration
	// Deadline runs from the node's own replacement, and anew when an agent that
	// was healthy is no longer Ready.
	Deadline time.Duration
	// MaxRestarts of one agent.
	MaxRestarts int32
	// Node makes a NotReady node evidence.
	Node bool
}

// Verdict is what one node says about the candidate.
type Verdict struct {
	Status  Status
	Reason  string
	Message string
	// Since is when the node became healthy, for a healthy one.
	Since time.Time
	// Next is when the verdict can change without an event; zero if it cannot.
	Next time.Time
}

// Judge says what a node shows now that has had no healthy agent since touched,
// when its agent was replaced. A gated pod has no deadline: what it waits for is
// rollcall, which may have been away.
//
//	node NotReady ......................... Failed  NodeNotReady
//	agent gone, past the deadline ......... Failed  DeadlineExceeded
//	phase Failed .......................... Failed  AgentFailed
//	restarts over the limit ............... Failed  Restarted
//	fatal waiting reason .................. Failed  CannotStart
//	gated ................................. Progressing
//	not Ready, past the deadline .......... Failed  DeadlineExceeded
//	not Ready, or none .................... Progressing
//	node NotReady, which is no evidence ... as if the agent were not Ready
//	Ready for less than ReadyFor .......... Progressing
//	otherwise ............................. Healthy since ReadySince + ReadyFor
func Judge(n *Node, touched time.Time, r Rule, now time.Time) Verdict {
	deadline := touched.Add(r.Deadline)
	a := n.Agent()
	if v, failed := judgeFailure(n, a, r); failed {
		return v
	}
	if a != nil && a.Gated {
		return Verdict{Status: Progressing, Reason: ReasonBecomingReady, Message: "the agent waits for its gate to be opened"}
	}
	if a == nil || !a.Ready || !n.Ready {
		if !now.Before(deadline) {
			return Verdict{Status: Failed, Reason: ReasonDeadlineExceeded,
				Message: fmt.Sprintf("no Ready agent for %s (deadline %s)%s", round(now.Sub(touched)), r.Deadline, trouble(a))}
		}
		return Verdict{Status: Progressing, Reason: ReasonBecomingReady, Message: "the agent is not Ready yet" + trouble(a), Next: deadline}
	}
	healthy := a.ReadySince.Add(r.ReadyFor)
	if now.Before(healthy) {
		return Verdict{Status: Progressing, Reason: ReasonReadyTooShort,
			Message: fmt.Sprintf("Ready for %s of %s", round(now.Sub(a.ReadySince)), r.ReadyFor), Next: healthy}
	}
	return Verdict{Status: Healthy, Reason: ReasonHealthy, Since: healthy}
}

func judgeFailure(n *Node, a *Agent, r Rule) (Verdict, bool) {
	fail := func(reason, message string) (Verdict, bool) {
		return Verdict{Status: Failed, Reason: reason, Message: message}, true
	}
	switch {
	case r.Node && !n.Ready:
		return fail(ReasonNodeNotReady, "the node is NotReady since its agent was replaced")
	case a == nil || a.Gated:
		return Verdict{}, false
	case a.Failed:
		return fail(ReasonAgentFailed, "the pod's phase is Failed"+trouble(a))
	case a.Restarts > r.MaxRestarts:
		return fail(ReasonRestarted, fmt.Sprintf("%d restarts, at most %d allowed%s", a.Restarts, r.MaxRestarts, trouble(a)))
	case !a.Ready && fatal(a.Trouble.Reason):
		return fail(ReasonCannotStart, a.Trouble.Reason+": "+a.Trouble.Message)
	default:
		return Verdict{}, false
	}
}

// fatal are the waiting reasons after which the kubelet only repeats itself.
// A pull error without back-off is not among them: one retry is normal.
func fatal(reason string) bool {
	switch reason {
	case "CrashLoopBackOff", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull",
		"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PreCreateHookError":
		return true
	default:
		return false
	}
}

func trouble(a *Agent) string {
	switch {
	case a == nil:
		return ": it has no pod"
	case a.Trouble.Reason == "":
		return ""
	case a.Trouble.Message == "":
		return ": " + a.Trouble.Reason
	default:
		return ": " + a.Trouble.Reason + ": " + a.Trouble.Message
	}
}

func round(d time.Duration) time.Duration {
	return d.Round(time.Second)
}
