package rollout_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/apply/rollout/sim"
	"github.com/rollcall-dev/rollcall/health"
)

func TestPromisesHoldInAnyStory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := stories().Draw(t, "story")
		if err := tell(p, rollout.Decide); err != nil {
			t.Fatal(err)
		}
	})
}

// tell lets the story happen with a rule and returns the first promise that it
// breaks.
func tell(p plan, decide func(rollout.Input) rollout.Decision, listeners ...func(sim.Fact)) error {
	w := newWitness()
	o := p.options
	o.Decide = decide
	o.Trace = func(f sim.Fact) {
		if w.cluster == nil {
			return // before the story begins
		}
		for _, listen := range append(listeners, w.see) {
			listen(f)
		}
	}
	c := sim.New(o)
	w.cluster, w.foreign, w.inSpec = c, o.Foreign, o.Foreign || o.Policy.NewPodsCandidate
	w.proven[o.Proven], w.stragglers.oldest = true, o.Proven
	for _, l := range p.script {
		for range l.after {
			c.Tick()
			w.seeTick()
			if err := w.err(); err != nil {
				return err
			}
		}
		if err := c.Do(l.command); err != nil {
			return err
		}
	}
	if p.abandoned {
		return w.orRollCall(abandon(c, w))
	}
	return w.orRollCall(calm(c, w))
}

// calm ends all faults and lets time pass: the rollout has to come to an end
// that speaks.
func calm(c *sim.Cluster, w *witness) error {
	if err := c.Do("calm"); err != nil {
		return err
	}
	if w.everForgotten && c.State().Proven == nil {
		// A first version is kept nowhere but in what was lost: Git has to tell it again.
		if err := c.Do("declare"); err != nil {
			return err
		}
	}
	settled := c.Settle(60, 6000)
	d, live := c.Last(), c.Live()
	switch {
	case w.err() != nil:
		return w.err()
	case !settled:
		return fmt.Errorf("liveness: still busy after %ds: %s %s %s %v", c.Now(), d.Phase, d.Reason, d.Message, d.Steps)
	case d.Phase == rollout.Replacing, d.Phase == rollout.Soaking, d.Phase == rollout.Returning:
		return fmt.Errorf("liveness: at rest in the middle: %s %s %s", d.Phase, d.Reason, d.Message)
	case w.foreign:
	case !resting(live, c.State()) && (c.State().Proven != nil || !w.blocked) && !w.mayHold(live, c.State()), !live.OnDelete:
		return fmt.Errorf("P4: at rest the DaemonSet has %+v instead of %s", live, rest(c.State()))
	}
	return cmp.Or(atRest(c, d, w.foreign), seeEnd(c, d))
}

// atRest wants no gated pod, and every node on the proven version after a proof
// or a rejection.
func atRest(c *sim.Cluster, d rollout.Decision, foreign bool) error {
	s := c.State()
	keptOut := map[types.UID]bool{}
	for _, r := range s.Records {
		keptOut[r.UID] = r.KeptOut
	}
	for _, n := range c.Fleet() {
		a := n.Agent()
		switch {
		case a == nil, isMeant(c, d, &n), hasLeft(&n) && (d.Phase == rollout.Held || d.Phase == rollout.Waiting):
		case a.Gated && s.Proven != nil:
			return fmt.Errorf("P4: at rest the pod on %s is gated", n.Name)
		case foreign && d.Phase == rollout.Rejected: // the way back is the other tool's
		case d.Phase == rollout.Rejected && strings.Contains(d.Message, "not given it"): // a straggler that waits, and speaks
		case s.Proven == nil || d.Phase == rollout.Held || !n.Eligible || !n.Ready || !n.Schedulable || keptOut[n.UID]:
		case a.Digest != s.Proven.Digest:
			return fmt.Errorf("P8: at rest in %s %s the node %s runs %s instead of %s", d.Phase, d.Reason, n.Name, a.Digest, s.Proven.Digest)
		}
	}
	return nil
}

// hasLeftFor is whether the node was to have no agent by the version on its way when
// rollcall was asked last, or by a removal, which is all that its pod can be for: a commit
// that nobody has looked at gives it none back.
func hasLeftFor(c *sim.Cluster, n *health.Node) bool {
	if rollout.Removes(n.Agent().Digest) {
		return true
	}
	v := c.State().Candidate
	return v != nil && n.Agent().Digest == v.Digest && c.Rejection(v.Digest) == nil && !wants(v.Digest, n.Groups[0])
}

// abandon scales rollcall to zero: at most a budget of nodes may be left waiting
// for somebody to open their gate.
func abandon(c *sim.Cluster, w *witness) error {
	if err := c.Do("quit"); err != nil {
		return err
	}
	c.Settle(60, 600)
	waiting := 0
	for _, n := range c.Fleet() {
		if a := n.Agent(); n.Eligible && w.emptied[n.UID] && a != nil && a.Gated && !hasLeftFor(c, &n) {
			waiting++
		}
	}
	if budget := slices.Max(append(w.budgets, 0)); waiting > budget {
		return fmt.Errorf("P4: rollcall is gone and %d nodes wait for a gate to open, the budget is %d", waiting, budget)
	}
	return w.err()
}
