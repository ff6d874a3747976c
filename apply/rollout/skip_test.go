package rollout_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rollcall-dev/rollcall/apply/rollout/sim"
)

// What is skipped is what nothing happens in: a story has the same facts at the
// same times, whether every second of it is lived through or not.
func TestSkippingTimeChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := stories().Draw(t, "story")
		lived, err := facts(p, func(c *sim.Cluster, until int) {
			for c.Now() < until {
				c.Tick()
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		skipped, err := facts(p, func(c *sim.Cluster, until int) {
			for next := c.Next(); next < until; next = c.Next() {
				c.SkipTo(next)
				c.Tick()
			}
			c.SkipTo(until)
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(lived, skipped); diff != "" {
			t.Fatalf("the story is another one (-lived +skipped):\n%s", diff)
		}
	})
}

// facts is what happens in a story, and for an hour after it.
func facts(p plan, pass func(c *sim.Cluster, until int)) ([]string, error) {
	var out []string
	o := p.options
	o.Trace = func(f sim.Fact) {
		out = append(out, fmt.Sprint(f.Tick, f.Event, f.By, f.Node, f.Pod, f.Digest, f.Gated, f.Decision.Phase, f.Decision.Reason, f.Decision.Message))
	}
	c := sim.New(o)
	at := 0
	for _, l := range append(slices.Clone(p.script), line{3600, "calm"}) {
		at += l.after
		pass(c, at)
		if err := c.Do(l.command); err != nil {
			return nil, err
		}
	}
	return out, nil
}
