package rollout_test

import (
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/apply/rollout/sim"
)

// seeGroupLoss holds P2 in the group of the node that lost its agent.
func (w *witness) seeGroupLoss(f sim.Fact) {
	limit := w.cluster.Policy().MaxUnavailablePerGroup
	if limit == (intstr.IntOrString{}) || w.moved {
		return
	}
	counts, group := map[string]int{}, ""
	for _, n := range w.cluster.Fleet() {
		if n.UID == f.NodeUID {
			group = n.Groups[0]
		}
		if w.isLost(f, &n) {
			counts[n.Groups[0]]++
		}
	}
	most := 0
	for _, allowed := range w.groups {
		most = max(most, allowed[group])
	}
	if counts[group] > most {
		w.accuse("P2", "%d nodes of group %s are without an agent because of rollcall (last %s, for %s), at most %d may be", counts[group], group, f.Node, f.Why, most)
	}
}

// groupBudgets is what each group is allowed.
func groupBudgets(in *rollout.Input) map[string]int {
	out := sizes(in.Fleet, rollout.Wave{EachGroup: true})
	for g, size := range out {
		out[g] = share(in.Policy.MaxUnavailablePerGroup, size)
	}
	return out
}
