package rollout_test

import (
	"fmt"
	"testing"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/apply/rollout/sim"
)

// A fleet of 100 nodes shrinks to 10 in the middle of a wave of 50. Nodes that were
// announced to go are no evidence, what is a tenth of the fleet is counted anew, and
// the rollout ends on the nodes that are left.
func TestFleetShrinksInAWave(t *testing.T) {
	p, err := parsePlan(`
fleet nodes=100 groups=2 proven=v1
policy maxUnavailable=10% readyFor=3s deadline=60s node=true
wave name=canary upTo=1 soak=5s
wave name=half upTo=50% soak=5s
wave name=rest upTo=100%
+0 commit v2
`)
	if err != nil {
		t.Fatal(err)
	}
	const before, after = 100, 10
	p.script = append(p.script, line{40, "hold n000"}) // by then the second wave is on its way
	for i := after + 1; i <= before; i++ {
		p.script = append(p.script, line{0, "announce " + numbered(i)})
	}
	p.script = append(p.script, line{2, "release n000"})
	for i := after + 1; i <= before; i++ {
		p.script = append(p.script, line{0, "leave " + numbered(i)})
	}
	var last rollout.Decision
	waves, most := map[string]bool{}, 0
	see := func(f sim.Fact) {
		if f.Event != sim.Recorded {
			return
		}
		last = f.Decision
		if last.Counts.Eligible == before {
			waves[last.Wave.Name] = true
		} else {
			most = max(most, last.Counts.Unavailable)
		}
	}
	if err := tell(p, rollout.Decide, see); err != nil {
		t.Fatal(err)
	}
	if !waves["half"] || waves["rest"] {
		t.Errorf("before the fleet shrank the waves %v had begun, want canary and half", waves)
	}
	if c := last.Counts; last.Phase != rollout.Proven || c.Eligible != after || last.Next.Proven.Digest != "v2" || len(last.Next.Rejected) > 0 {
		t.Errorf("it ends %s %s with %+v and %+v rejected", last.Phase, last.Message, c, last.Next.Rejected)
	}
	if most > 10 {
		t.Errorf("%d nodes were unavailable at once", most)
	}
}

func numbered(i int) string { return fmt.Sprintf("n%02d", i) }
