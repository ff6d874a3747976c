package rollout_test

import (
	"testing"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/apply/rollout/sim"
)

// forgetsBare takes every node that a surge finds without an agent for one that it has
// taken it from.
func forgetsBare(in rollout.Input) rollout.Decision {
	in.State.Bare = nil
	return rollout.Decide(in)
}

// TestASurgeRemembersWhoWasBare has a node whose agent is not Ready all along: that ends
// no surge. A rule that forgets it opens and ends one after the other.
func TestASurgeRemembersWhoWasBare(t *testing.T) {
	p, err := parsePlan(`fleet nodes=4 proven=v1 readyAfter=2
policy maxUnavailable=1 readyFor=2s deadline=25s surge=true
wave name=canary upTo=1
wave name=rest upTo=3
wave name=all upTo=100%
+0 unready n04 4000
+40 commit v2
+60 evict n09`)
	if err != nil {
		t.Fatal(err)
	}
	writes := func(decide rule) int {
		count := 0
		if err := tell(p, decide, func(f sim.Fact) {
			if f.Event == sim.Wrote && f.Tick < 100 {
				count++
			}
		}); err != nil {
			t.Log(err)
		}
		return count
	}
	right, wrong := writes(rollout.Decide), writes(forgetsBare)
	t.Logf("%d writes, %d by the rule that forgets", right, wrong)
	if right > 8 || wrong <= right {
		t.Errorf("%d writes of the DaemonSet, and %d by a rule that forgets who was bare", right, wrong)
	}
}
