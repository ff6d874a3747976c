package rollout_test

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/apply/rollout/sim"
	"github.com/rollcall-dev/rollcall/health"
)

// seeMoved holds P2 against what the DaemonSet controller does of a placement: the
// agents that it takes from nodes because a template does not want to run there any more
// are rollcall's to bound, if they are of a proven version.
func (w *witness) seeMoved(f sim.Fact) {
	if f.Why != sim.ForPlacement || !f.Served || !w.proven[f.Digest] || w.moved || w.flipped || w.foreign {
		return
	}
	for _, n := range w.cluster.Fleet() {
		if n.UID == f.NodeUID && !wants(f.Digest, n.Groups[0]) {
			return // it came there on the way to another version
		}
	}
	if w.sweep != f.Tick {
		w.sweep, w.swept = f.Tick, map[types.UID]bool{}
	}
	w.swept[f.NodeUID] = true
	if most := share(w.cluster.Policy().MaxUnavailable, slices.Max(append(w.eligible, 1))); len(w.swept) > most {
		w.accuse("P2", "the template takes the agents of %d nodes at once (last %s), the budget is %d", len(w.swept), f.Node, most)
	}
}

// seeMove wants a person's word before more nodes are lost or won than the budget has.
func (w *witness) seeMove(in *rollout.Input, d rollout.Decision) {
	for _, n := range in.Fleet {
		if !n.Eligible && in.Live.Won == "" {
			delete(w.down, n.UID) // it shall have none
			delete(w.taken, n.UID)
		}
	}
	c := d.Next.Candidate
	if c == nil || in.State.Proven == nil || in.Foreign || in.State.Waves != nil && in.State.About == c.Digest {
		return
	}
	lost, won, eligible := 0, 0, 0
	for _, n := range in.Fleet {
		lost, won, eligible = lost+one(n.Lost), won+one(n.Won), eligible+one(n.Eligible)
	}
	budget := share(in.Policy.MaxUnavailable, eligible)
	approved := in.Approved != nil && in.Approved.Digest == c.Digest
	if d.Next.Waves != nil && max(lost, won) > budget && !approved {
		w.accuse("P1", "%s begins, which loses %d nodes and wins %d, without approval", c.Digest, lost, won)
	}
}

func one(is bool) int {
	if is {
		return 1
	}
	return 0
}

// hasLeft is whether a gated pod stands where the agent of a node was that the
// candidate loses.
func hasLeft(n *health.Node) bool {
	a := n.Agent()
	return n.Lost && a != nil && a.Gated
}

// losesAtOnce writes the candidate with its own placement.
func losesAtOnce(in rollout.Input) rollout.Decision {
	d := rollout.Decide(in)
	for i := range d.Steps {
		if d.Steps[i].Gated {
			d.Steps[i].Moved, d.Steps[i].Won = false, ""
		}
	}
	return d
}

// movesUnasked has nobody approve a change of placement.
func movesUnasked(in rollout.Input) rollout.Decision {
	if in.Want != nil && in.State.Waves == nil && slices.ContainsFunc(in.Fleet, func(n health.Node) bool { return n.Lost || n.Won }) {
		in.Approved = &rollout.Approval{Digest: in.Want.Digest}
	}
	return rollout.Decide(in)
}

// winsUngated lets the nodes that are won have the candidate before their wave.
func winsUngated(in rollout.Input) rollout.Decision {
	d := rollout.Decide(in)
	for i := range d.Steps {
		if d.Steps[i].Won != "" {
			d.Steps[i].Gated = false
		}
	}
	return d
}

// seeRelabelled learns that a node is of another group from now on: a version for some
// groups only may run on another one in its stead.
func (w *witness) seeRelabelled(command string) {
	words := strings.Fields(command)
	if words[0] != "move" {
		return
	}
	w.moved = true
	for digest, r := range w.reach {
		if strings.Contains(digest, "/") {
			delete(r.nodes, w.uid(words[1]))
		}
	}
}

// wants is whether a version wants to run on the nodes of a group.
func wants(digest, group string) bool {
	version, _, _ := strings.Cut(strings.TrimPrefix(digest, rollout.RemovalOf("")), ":")
	_, groups, limited := strings.Cut(version, "/")
	return !limited || strings.Contains(groups, group)
}
