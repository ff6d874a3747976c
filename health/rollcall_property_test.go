package health

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
)

// TestRollCallOfAnyNode draws nodes in any state, likely or not, and holds what
// RollCall says against a witness who only counts pods.
func TestRollCallOfAnyNode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if err := answered(drawNode(t), RollCall); err != nil {
			t.Fatal(err)
		}
	})
}

// TestBrokenRollCallsAreCaught breaks one rule of RollCall at a time.
func TestBrokenRollCallsAreCaught(t *testing.T) {
	keep := func(p Problem, wrong bool, listed bool) (Problem, bool) {
		if !listed {
			return Problem{}, false
		}
		return p, wrong
	}
	for sentence, broken := range map[string]func(*Node) (Problem, bool){
		"a pod that waits for its gate is an agent": func(n *Node) (Problem, bool) {
			p, wrong := RollCall(n)
			return keep(p, wrong, p.Reason != ReasonGated)
		},
		"two agents are as good as one": func(n *Node) (Problem, bool) {
			p, wrong := RollCall(n)
			return keep(p, wrong, p.Reason != ReasonDuplicate)
		},
		"an agent on its way out is an agent": func(n *Node) (Problem, bool) {
			p, wrong := RollCall(n)
			return keep(p, wrong, p.Reason != ReasonTerminating)
		},
		"nobody looks where no agent should be": func(n *Node) (Problem, bool) {
			p, wrong := RollCall(n)
			return keep(p, wrong, n.Eligible)
		},
		"nobody looks at virtual nodes": func(n *Node) (Problem, bool) {
			p, wrong := RollCall(n)
			return keep(p, wrong, n.Eligible || !n.Virtual)
		},
		"a node that is down counts by its pod": func(n *Node) (Problem, bool) {
			up := *n
			up.Ready = true
			return RollCall(&up)
		},
		"a second agent that waits beside the first is one too many": func(n *Node) (Problem, bool) {
			opened := *n
			opened.Agents = slices.Clone(n.Agents)
			for i := range opened.Agents {
				opened.Agents[i].Gated = opened.Agents[i].Gated && &n.Agents[i] == n.Agent()
			}
			return RollCall(&opened)
		},
		"a new node's agent is timed from its own beginning": func(n *Node) (Problem, bool) {
			p, wrong := RollCall(n)
			if a := n.Agent(); wrong && a != nil && !p.Since.IsZero() {
				p.Since = a.Created
			}
			return p, wrong
		},
		"the cause is always that there is no pod": func(n *Node) (Problem, bool) {
			p, wrong := RollCall(n)
			if wrong {
				p.Reason = ReasonNoPod
			}
			return p, wrong
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			nodes := rapid.Custom(drawNode)
			for seed := range 10000 {
				if answered(nodes.Example(seed), broken) != nil {
					return
				}
			}
			t.Error("10000 nodes did not catch it")
		})
	}
}

// answered is what is wrong with a roll call's answer about the node; nil when it
// is right.
func answered(n *Node, rollCall func(*Node) (Problem, bool)) error {
	var stay, run []Agent // that are not on their way out; and of those the ones without a gate
	for _, a := range n.Agents {
		if !a.Terminating {
			stay = append(stay, a)
			if !a.Gated {
				run = append(run, a)
			}
		}
	}
	well := len(stay) == 0 || n.Virtual && !slices.ContainsFunc(stay, func(a Agent) bool { return !a.Unbound })
	if n.Eligible {
		well = n.Ready && len(run) == 1 && run[0].Ready && stay[0].UID == run[0].UID
	}
	p, wrong := rollCall(n)
	switch {
	case wrong == well:
		return fmt.Errorf("P10: listed is %t for %+v", wrong, *n)
	case !wrong && p != Problem{}:
		return fmt.Errorf("P10: nothing is wrong and yet %+v", p)
	case !wrong:
		return nil
	case p.Node != n.Name || p.Message == "":
		return fmt.Errorf("P10: the answer is not about the node, or says nothing: %+v", p)
	case !holds(p, n, stay, run):
		return fmt.Errorf("P10: %s is not so for %+v", p.Reason, *n)
	}
	return errors.Join(timed(p, n), trueOfPods(p, stay))
}

// holds is whether what the reason claims is so.
func holds(p Problem, n *Node, stay, run []Agent) bool {
	switch p.Reason {
	case ReasonUnwanted:
		return !n.Eligible && len(stay) > 0
	case ReasonDuplicate:
		return n.Eligible && len(stay) > 1 && len(run) > 0
	case ReasonNodeNotReady:
		return n.Eligible && !n.Ready
	case ReasonTerminating:
		return n.Eligible && len(stay) == 0 && len(n.Agents) > 0
	case ReasonTainted:
		return n.Eligible && len(n.Agents) == 0 && !n.Schedulable && strings.Contains(p.Message, n.Taint)
	case ReasonNoPod:
		return n.Eligible && len(n.Agents) == 0 && n.Schedulable
	default:
		return n.Eligible && n.Ready && len(stay) > 0
	}
}

// trueOfPods is about the reasons that one pod gives.
func trueOfPods(p Problem, stay []Agent) error {
	if len(stay) == 0 {
		return nil
	}
	a, so := stay[0], true
	switch p.Reason {
	case ReasonGated:
		so = a.Gated || a.Trouble.Reason == ReasonGated
	case ReasonUnschedulable:
		so = !a.Gated && a.Trouble.Reason == ReasonUnschedulable
	case ReasonCannotStart:
		so = !a.Ready && strings.Contains(p.Message, a.Trouble.Reason)
	case ReasonNotReady:
		so = !a.Ready && strings.Contains(p.Message, a.Trouble.Message)
	}
	if !so {
		return fmt.Errorf("P10: %s is not so for the pod %+v: %s", p.Reason, a, p.Message)
	}
	return nil
}

// timed wants the time at which it began, if the cluster knows one: no pod of the
// node tells a time before the node was Ready, and none is still to come.
func timed(p Problem, n *Node) error {
	untold := p.Reason == ReasonTainted || p.Reason == ReasonNoPod
	known := []time.Time{n.ReadySince}
	for _, a := range n.Agents {
		known = append(known, a.Created, a.ReadySince, a.Deleted)
	}
	switch {
	case untold != p.Since.IsZero():
		return fmt.Errorf("P10: %s since %s", p.Reason, p.Since)
	case untold:
		return nil
	case p.Since.Before(n.ReadySince):
		return fmt.Errorf("P10: %s since %s, before the node was Ready at %s", p.Reason, p.Since, n.ReadySince)
	case p.Since.After(now) || !slices.ContainsFunc(known, p.Since.Equal):
		return fmt.Errorf("P10: %s since %s, when nothing happened", p.Reason, p.Since)
	}
	return nil
}

func drawNode(t *rapid.T) *Node {
	often := func(label string) bool { return rapid.IntRange(0, 3).Draw(t, label) > 0 }
	n := &Node{
		Name: "n1", UID: "node-1", Eligible: often("eligible"), Ready: often("ready"), ReadySince: drawTime(t, "readySince", 100),
		Schedulable: often("schedulable"), Virtual: !often("virtual"),
	}
	if !n.Schedulable {
		n.Taint = "gpu=yes:NoSchedule"
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "agents") {
		n.Agents = append(n.Agents, drawAgent(t, i))
	}
	slices.SortStableFunc(n.Agents, func(a, b Agent) int { return a.Created.Compare(b.Created) })
	return n
}

func drawAgent(t *rapid.T, i int) Agent {
	a := Agent{Name: fmt.Sprint("agent-", i), UID: types.UID(fmt.Sprint("pod-", i)), Created: drawTime(t, "created", 100)}
	a.Unbound = rapid.IntRange(0, 3).Draw(t, "unbound") == 3
	a.ReadySince = a.Created.Add(time.Duration(rapid.Int64Range(0, int64(now.Sub(a.Created))).Draw(t, "later")))
	switch rapid.IntRange(0, 5).Draw(t, "state") {
	case 0:
		a.Gated = true
	case 1:
		a.Terminating, a.Deleted = true, a.ReadySince
		a.Ready = rapid.Bool().Draw(t, "ready")
	case 2:
		reason := rapid.SampledFrom([]string{"", "CrashLoopBackOff", "ErrImagePull", ReasonUnschedulable, ReasonGated, "ImagePullBackOff"}).Draw(t, "trouble")
		if reason != "" {
			a.Trouble = Trouble{Reason: reason, Message: "because of " + reason}
		}
	default:
		a.Ready = true
	}
	return a
}

// drawTime draws a time that is up to so many minutes ago.
func drawTime(t *rapid.T, label string, minutes int) time.Time {
	return ago(time.Duration(rapid.IntRange(0, minutes).Draw(t, label)) * time.Minute)
}
