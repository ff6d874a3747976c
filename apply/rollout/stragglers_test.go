package rollout_test

import (
	"fmt"
	"regexp"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/health"
)

// restingWithStragglers is a fleet of six nodes at noon: v2 is proven, four have it, and v1 serves the
// last two, which nothing was begun on. Two may be unavailable.
func restingWithStragglers(change ...func(*rollout.Input)) rollout.Input {
	long := noon.Add(-24 * time.Hour)
	in := rollout.Input{
		Now: noon, Want: &rollout.Version{Digest: "v2"},
		Live: rollout.Live{Digest: "v2", OnDelete: true, Observed: true},
		Policy: rollout.Policy{
			Waves:          []rollout.Wave{{Name: "all", UpTo: intstr.FromString("100%")}},
			MaxUnavailable: intstr.FromInt32(2),
			Health:         health.Rule{ReadyFor: 30 * time.Second, Deadline: 10 * time.Minute, Node: true},
		},
		State: rollout.State{Proven: &rollout.Version{Digest: "v2"}},
	}
	for i := range 6 {
		digest := "v2"
		if i >= 4 {
			digest = "" // of a version that nobody remembers
		}
		in.Fleet = append(in.Fleet, health.Node{Name: fmt.Sprintf("n%d", i+1), UID: types.UID(fmt.Sprintf("u%d", i+1)), Created: long, Ready: true, ReadySince: long, Eligible: true, Schedulable: true,
			Agents: []health.Agent{{Name: fmt.Sprintf("a%d", i+1), UID: types.UID(fmt.Sprintf("p%d", i+1)), Digest: digest, Created: long, Ready: true, ReadySince: long}}})
	}
	for _, c := range change {
		c(&in)
	}
	return in
}

func agentOf(node int, change func(n *health.Node, a *health.Agent)) func(*rollout.Input) {
	return func(in *rollout.Input) { change(&in.Fleet[node-1], &in.Fleet[node-1].Agents[0]) }
}

func TestWhatStragglersWaitFor(t *testing.T) {
	crashes := func(_ *health.Node, a *health.Agent) {
		a.Ready, a.ReadySince, a.Restarts, a.Trouble = false, noon.Add(-time.Hour), 3, health.Trouble{Reason: "CrashLoopBackOff"}
	}
	lenient := func(in *rollout.Input) { in.Policy.FailureBudget = 1 }
	dies := func(after time.Duration) func(*health.Node, *health.Agent) {
		return func(n *health.Node, a *health.Agent) {
			n.Ready, n.ReadySince, a.Ready = false, a.Created.Add(after), false
		}
	}
	recovered := func(ago time.Duration) func(*health.Node, *health.Agent) {
		return func(_ *health.Node, a *health.Agent) { a.Restarts, a.ReadySince = 3, noon.Add(-ago) }
	}
	replaced := func(node int, ago time.Duration) func(*rollout.Input) {
		return func(in *rollout.Input) {
			n := &in.Fleet[node-1]
			in.State.InFlight = append(in.State.InFlight, rollout.InFlight{Node: n.Name, NodeUID: n.UID, PodUID: "old", At: noon.Add(-ago), Straggler: true})
			n.Agents[0].Digest, n.Agents[0].Created, n.Agents[0].ReadySince = "v2", noon.Add(-ago), noon.Add(-ago)
		}
	}
	for sentence, c := range map[string]struct {
		in     rollout.Input
		gone   int
		reason string
	}{
		"two go at once, as many as may be unavailable":               {restingWithStragglers(), 2, rollout.ReasonStragglers},
		"none goes while the proven version crash-loops on a node":    {restingWithStragglers(agentOf(1, crashes)), 0, rollout.ReasonStragglersWait},
		"within the failure budget the one that is down takes room":   {restingWithStragglers(lenient, agentOf(1, crashes)), 1, rollout.ReasonStragglers},
		"a node that is held out tells nothing":                       {restingWithStragglers(agentOf(1, func(n *health.Node, a *health.Agent) { n.Held = true; crashes(n, a) })), 2, rollout.ReasonStragglers},
		"an agent that never was Ready on the node tells nothing":     {restingWithStragglers(agentOf(1, func(n *health.Node, a *health.Agent) { crashes(n, a); a.ReadySince = a.Created })), 2, rollout.ReasonStragglers},
		"a node that died soon after it was given the proven version": {restingWithStragglers(agentOf(1, dies(time.Minute))), 0, rollout.ReasonStragglersWait},
		"a node that died long after that tells nothing":              {restingWithStragglers(agentOf(1, dies(time.Hour))), 2, rollout.ReasonStragglers},
		"none goes when all nodes that have the version are dead":     {restingWithStragglers(agentOf(1, dies(time.Hour)), agentOf(2, dies(time.Hour)), agentOf(3, dies(time.Hour)), agentOf(4, dies(time.Hour))), 0, rollout.ReasonStragglersWait},
		"an agent that crashed has to stay up for the deadline":       {restingWithStragglers(agentOf(1, recovered(9*time.Minute))), 0, rollout.ReasonStragglersWait},
		"and has recovered then":                                      {restingWithStragglers(agentOf(1, recovered(11*time.Minute))), 2, rollout.ReasonStragglers},
		"one that is Ready for less than readyFor takes room":         {restingWithStragglers(replaced(5, 20*time.Second)), 1, rollout.ReasonStragglers},
		"and none when it has been for that long":                     {restingWithStragglers(replaced(5, 40*time.Second)), 1, rollout.ReasonStragglers},
		"one that fails holds the others":                             {restingWithStragglers(replaced(5, 20*time.Second), agentOf(5, crashes)), 0, rollout.ReasonStragglersWait},
		"one that fails within the failure budget keeps its room":     {restingWithStragglers(lenient, replaced(5, 20*time.Second), agentOf(5, crashes), func(in *rollout.Input) { in.Policy.MaxUnavailable = intstr.FromInt32(1) }), 0, rollout.ReasonBudgetSpent},
		"agents that serve nobody go within the budget too":           {restingWithStragglers(func(in *rollout.Input) { in.Policy.MaxUnavailable = intstr.FromInt32(1) }, agentOf(5, crashes), agentOf(6, crashes)), 1, rollout.ReasonStragglers},
		"an agent that is not Ready yet on a node that has come back may recover first": {restingWithStragglers(agentOf(5, func(n *health.Node, a *health.Agent) {
			n.ReadySince, a.Ready, a.ReadySince = noon.Add(-time.Second), false, noon.Add(-time.Hour)
		}), agentOf(6, func(n *health.Node, _ *health.Agent) { n.Ready = false })), 0, rollout.ReasonStragglersWait},
		"and is replaced when it has not until the deadline": {restingWithStragglers(agentOf(5, func(n *health.Node, a *health.Agent) {
			n.ReadySince, a.Ready, a.ReadySince = noon.Add(-time.Hour), false, noon.Add(-time.Hour)
		}), agentOf(6, func(n *health.Node, _ *health.Agent) { n.Ready = false })), 1, rollout.ReasonStragglers},
		"one that was taken for a return does not wait": {restingWithStragglers(agentOf(1, crashes), func(in *rollout.Input) {
			in.State.Owed = []rollout.Owed{{Node: "n5", UID: "u5"}}
		}), 1, rollout.ReasonStragglers},
		"a block holds them": {restingWithStragglers(func(in *rollout.Input) { in.Block = &rollout.Block{Reason: "X", Message: "x"} }), 0, "X"},
		"so does a predecessor that has not come to them": {restingWithStragglers(func(in *rollout.Input) {
			in.After = []rollout.Predecessor{{Name: "net/cni", Behind: []string{"n5", "n6"}}}
		}), 0, rollout.ReasonWaitsForDependency},
	} {
		t.Run(sentence, func(t *testing.T) {
			d := rollout.Decide(c.in)
			gone := 0
			for _, s := range d.Steps {
				if s.Action == rollout.DeletePod {
					gone++
				}
			}
			if gone != c.gone || d.Reason != c.reason {
				t.Errorf("%d go and it is %s %s, want %d and %s: %s %v", gone, d.Phase, d.Reason, c.gone, c.reason, d.Message, d.Steps)
			}
			if c.gone == 0 && !regexp.MustCompile(`\d+ nodes?\b`).MatchString(d.Message) {
				t.Errorf("message %q has no count", d.Message)
			}
		})
	}
}
