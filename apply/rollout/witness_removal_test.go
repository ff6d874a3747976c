package rollout_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/apply/rollout/sim"
	"github.com/rollcall-dev/rollcall/health"
)

// TestPromisesHoldInAnyRemoval tells stories in which Git drops the DaemonSet, and often
// declares it again in the middle.
func TestPromisesHoldInAnyRemoval(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := removals().Draw(t, "story")
		if err := tell(p, rollout.Decide); err != nil {
			t.Fatal(err)
		}
	})
}

// removals draws any story that begins with one.
func removals() *rapid.Generator[plan] {
	return rapid.Custom(func(t *rapid.T) plan {
		p := plan{options: drawOptions(t), abandoned: rapid.IntRange(0, 5).Draw(t, "abandoned") == 5}
		p.options.Foreign = false
		if p.options.Proven == "" {
			p.options.Proven = "v1"
		}
		for range max(0, rapid.IntRange(-2, 2).Draw(t, "needy")) {
			p.tell(t, 0, fmt.Sprintf("need n%02d", rapid.IntRange(1, p.options.Nodes).Draw(t, "needs")))
		}
		if rapid.IntRange(0, 3).Draw(t, "supersedes") == 3 {
			p.tell(t, 0, "commit "+drawDigest(t))
		}
		p.tell(t, rapid.IntRange(0, 30).Draw(t, "removedAfter"), "remove")
		for range rapid.IntRange(0, 10).Draw(t, "lines") {
			command := drawCommand(t, p.options)
			if rapid.IntRange(0, 4).Draw(t, "turns") == 4 {
				command = rapid.SampledFrom([]string{"revert", "remove", "commit v2", "commit v3:bad"}).Draw(t, "turn")
			}
			p.tell(t, rapid.IntRange(0, 40).Draw(t, "after"), command)
		}
		return p
	})
}

// TestBrokenRemovalsAreCaught breaks one rule of removals at a time.
func TestBrokenRemovalsAreCaught(t *testing.T) {
	for what, broken := range map[string]struct {
		promise string
		rule    rule
	}{
		"P1: a removal takes every agent that there is":          {"P", removesAll},
		"P3: a node that needs its agent tells nothing":          {"P3", hidesNeed},
		"P4: a removal leaves its template":                      {"P4", leavesGate},
		"P10: a node that is to have an agent back is not named": {"P10", namesNoVacant},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			wantCaught(t, removals(), 3000, broken.promise, broken.rule)
		})
	}
}

// removesAll deletes every agent in the first pulse.
func removesAll(in rollout.Input) rollout.Decision {
	d := rollout.Decide(in)
	deletes := slices.ContainsFunc(d.Steps, func(s rollout.Step) bool { return s.Why == rollout.ForReplace })
	if !deletes || d.Next.Candidate == nil || !rollout.Removes(d.Next.Candidate.Digest) {
		return d
	}
	for i := range in.Fleet {
		if n := &in.Fleet[i]; n.Present() && n.Agent().Digest == d.Next.Proven.Digest && !slices.ContainsFunc(d.Steps, func(s rollout.Step) bool { return s.Node == n.Name }) {
			d.Steps = append(d.Steps, rollout.Step{Action: rollout.DeletePod, Node: n.Name, Pod: n.Agent().Name, PodUID: n.Agent().UID, Why: rollout.ForReplace})
		}
	}
	return d
}

// hidesNeed shows a removal only nodes that are Ready.
func hidesNeed(in rollout.Input) rollout.Decision {
	in.Fleet = slices.Clone(in.Fleet)
	for i := range in.Fleet {
		if n := &in.Fleet[i]; isLeft(&in, n) {
			n.Ready = true
		}
	}
	return rollout.Decide(in)
}

// namesNoVacant leaves nodes without a running agent out of the roll call.
func namesNoVacant(in rollout.Input) rollout.Decision {
	d := rollout.Decide(in)
	d.Failing = slices.DeleteFunc(d.Failing, func(p health.Problem) bool { return isLeft(&in, nodeOf(&in, p.Node)) })
	return d
}

// isLeft is whether a removal took the agent of the node, and a gated pod is all that it
// has.
func isLeft(in *rollout.Input, n *health.Node) bool {
	if n == nil {
		return false
	}
	recorded := slices.ContainsFunc(in.State.Records, func(r rollout.Record) bool { return r.UID == n.UID && r.Left })
	return recorded && removing(in.State) && n.Agent() != nil && n.Agent().Gated && rollout.Removes(n.Agent().Digest) &&
		!slices.ContainsFunc(n.Agents, func(a health.Agent) bool { return !a.Gated })
}

// removing is whether the state is about a removal.
func removing(s rollout.State) bool {
	return s.Candidate != nil && rollout.Removes(s.Candidate.Digest)
}

// asMeant is what was known to a decision with an agent of the removal where there is to
// be none: it is as good as a Ready agent of any other candidate, as long as its node is
// Ready.
func asMeant(in *rollout.Input) *rollout.Input {
	out := *in
	out.Fleet = slices.Clone(in.Fleet)
	for i := range out.Fleet {
		n := &out.Fleet[i]
		if !isLeft(in, n) {
			continue
		}
		n.Agents = slices.Clone(n.Agents)
		a := n.Agent()
		a.Gated, a.Ready, a.ReadySince = false, true, a.Created
	}
	return &out
}

// seeVacated learns of nodes that have been without their agents, as is to be, for long
// enough: rollcall holds nothing back from them any more.
func (w *witness) seeVacated() {
	s := w.cluster.State()
	if !removing(s) || len(w.down)+len(w.taken) == 0 {
		return
	}
	now := begin().Add(time.Duration(w.cluster.Now()) * time.Second)
	for _, n := range w.cluster.Fleet() {
		if a := n.Agent(); a != nil && a.Gated && rollout.Removes(a.Digest) && n.Ready && !now.Before(a.Created.Add(w.cluster.Policy().Health.ReadyFor)) {
			delete(w.down, n.UID)
			delete(w.taken, n.UID)
		}
	}
}

// seeRemoval holds P1: a removal has the agents of no more nodes than the waves started so
// far have. One that is about to go and comes back is not among them.
func (w *witness) seeRemoval(s rollout.State) {
	if !removing(s) {
		return
	}
	for _, r := range s.Records {
		if r.Left {
			w.reached(w.reach[s.Candidate.Digest], r.UID, s.Candidate.Digest)
		}
	}
}

// isMeant is whether a removal has taken the agent of the node, and has come to its end, or
// it or the way back is held.
func isMeant(c *sim.Cluster, d rollout.Decision, n *health.Node) bool {
	return isLeft(&rollout.Input{State: c.State()}, n) && (d.Phase == rollout.Held || d.Phase == rollout.Waiting || d.Reason == rollout.ReasonRemoved)
}

// seeEnd wants no more agents to be left by a removal than may go at once with the
// DaemonSet, and none of a node that is held out.
func seeEnd(c *sim.Cluster, d rollout.Decision) error {
	if d.Reason != rollout.ReasonRemoved {
		return nil
	}
	left, eligible := 0, 0
	for _, n := range c.Fleet() {
		eligible += one(n.Eligible)
		a := n.Agent()
		if !n.Eligible || !n.Ready || a == nil || a.Gated {
			continue
		}
		if left++; n.Held {
			return fmt.Errorf("P1: the DaemonSet may go, and %s is held out and has its agent", n.Name)
		}
	}
	if most := share(c.Policy().MaxUnavailable, eligible); left > most {
		return fmt.Errorf("P2: the DaemonSet may go with the agents of %d nodes, the budget is %d", left, most)
	}
	return nil
}
