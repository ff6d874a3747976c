package rollout_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/apply/rollout/sim"
)

// TestCrashesDoNotChangeTheEnd holds P8: the same commits with the same faults
// end the same, whenever the process dies.
func TestCrashesDoNotChangeTheEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, crashes := drawCommits(t), drawCrashes(t)
		if err := compareEnds(p, crashes, remembersAll); err != nil {
			t.Fatalf("%v\ncrashes %v", err, crashes)
		}
	})
}

// drawCommits draws a story of commits only. Every soak is longer than a fault
// needs to show, and one failure is enough: what is seen does not hang on
// seconds.
func drawCommits(t *rapid.T) plan {
	p := plan{options: drawOptions(t)}
	p.options.Proven = "v1"
	for i := range p.options.Policy.Waves {
		p.options.Policy.Waves[i].Soak, p.options.Policy.Waves[i].Approval = time.Minute, false
	}
	p.options.Policy.FailureBudget, p.options.Policy.Health.Node, p.options.Policy.HoldOnFailure = 0, true, false
	// Under RollingUpdate Kubernetes itself moves what another tool writes.
	p.options.RollingUpdate = p.options.RollingUpdate && !p.options.Foreign
	if p.options.Foreign {
		// What it stopped at stays as it is, and how many nodes are sick by it.
		p.options.Policy.MaxSick = nil
	}
	for range rapid.IntRange(1, 3).Draw(t, "commits") {
		digest := drawDigest(t)
		p.script = append(p.script, line{command: "commit " + digest})
		// Which another tool has to take back, and whose nodes are dead until then.
		p.options.Foreign = p.options.Foreign && !strings.Contains(digest, "killer")
	}
	return p
}

func drawCrashes(t *rapid.T) []line {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) line {
		n := func(label string, low, high int) int { return rapid.IntRange(low, high).Draw(t, label) }
		return line{n("after", 0, 100), fmt.Sprintf("crash %d %d", n("calls", 0, 9), n("pause", 1, 10))}
	}), 1, 8).Draw(t, "crashes")
}

// memory makes the rule of one run, which may keep something in the process;
// forget is called when the process dies.
type memory func() (decide func(rollout.Input) rollout.Decision, forget func())

// remembersAll is the real rule: all that it knows is recorded.
func remembersAll() (func(rollout.Input) rollout.Decision, func()) {
	return rollout.Decide, func() {}
}

func compareEnds(p plan, crashes []line, m memory) error {
	calm, err := ends(p, nil, m)
	if err != nil {
		return err
	}
	rough, err := ends(p, crashes, m)
	if err != nil {
		return err
	}
	if diff := cmp.Diff(calm, rough); diff != "" {
		return fmt.Errorf("P8: crashes change the end (-without +with):\n%s", diff)
	}
	return nil
}

// ends are the states after each commit has come to its end: what is proven, what
// is rejected, and what each node runs.
func ends(p plan, crashes []line, m memory) ([]string, error) {
	o := p.options
	var forget func()
	o.Decide, forget = m()
	o.Trace = func(f sim.Fact) {
		if f.Event == sim.Died {
			forget()
		}
	}
	c := sim.New(o)
	var out []string
	for _, l := range p.script {
		if err := play(c, append([]line{l}, crashes...)); err != nil {
			return nil, err
		}
		out = append(out, summary(c, o.Foreign))
	}
	return out, nil
}

// play lets the lines happen and their consequences end. Machines that were
// killed are started again: that they died is not in the hands of rollcall.
func play(c *sim.Cluster, script []line) error {
	for _, l := range script {
		for range l.after {
			c.Tick()
		}
		if err := c.Do(l.command); err != nil {
			return err
		}
	}
	for range 3 {
		if !c.Settle(60, 9000) {
			return fmt.Errorf("P8: still busy: %s %s", c.Last().Phase, c.Last().Message)
		}
		for _, n := range c.Fleet() {
			if err := c.Do("up " + n.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

func summary(c *sim.Cluster, foreign bool) string {
	s, d := c.State(), c.Last()
	var rejected []string
	for _, r := range s.Rejected {
		rejected = append(rejected, r.Digest)
	}
	slices.Sort(rejected)
	end := fmt.Sprintf("%s, proven %s, rejected %v", d.Phase, rest(s), rejected)
	if d.Phase == rollout.Held || foreign && d.Phase == rollout.Rejected {
		return end // how many nodes it stopped at is a matter of seconds
	}
	var versions []string
	for _, n := range c.Fleet() {
		if a := n.Agent(); a != nil {
			versions = append(versions, a.Digest)
		}
	}
	slices.Sort(versions) // which of two equal nodes is the canary may differ
	return fmt.Sprintf("%s, on %v", end, versions)
}
