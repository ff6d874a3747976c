package rollout

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/rollcall-dev/rollcall/health"
)

// canaryAge is how old a node should be to be a canary: on a new one other things
// than the candidate may still be on their way. A fleet without older ones has
// young canaries.
const canaryAge = 10 * time.Minute

// pick chooses the nodes of the wave among those that are in no wave yet, evenly
// over their groups; the last wave takes them all. Nodes that already lost the
// proven version to a superseded candidate come first, so that the radius does not
// grow, and before them those that have lost an agent to a superseded first version
// or, as stragglers, to the proven one, and hold budget. Nodes that such a version serves come after those that have nothing
// to lose; the first wave with any nodes wants canaries.
func (p *pass) pick(i int) []*health.Node {
	w, last := p.waves()[i], i == len(p.waves())-1
	canaries := i == 0 || !last && p.members() == 0
	var ranked [ranks][]*health.Node
	nodes := p.pickable()
	if !last {
		nodes = p.withoutOwn(nodes)
	}
	for _, n := range p.candidates(nodes, w) {
		if r := p.rank(n, canaries && !(last && n.Lost)); r != rankNever {
			ranked[r] = append(ranked[r], n)
		}
	}
	if p.tellNothing(ranked[:rankLost]) {
		return nil
	}
	if last {
		return slices.Concat(ranked[:]...) // all of them, in whatever order
	}
	var ordered []*health.Node
	for _, same := range ranked {
		ordered = append(ordered, p.freeFirst(same)...)
	}
	return p.quota(w).take(ordered)
}

// candidates are those of the nodes that the wave selects, and those that a lost record
// had in a wave, whatever their labels are now: others in their place would be more
// nodes. Where the candidate comes to nodes by itself, they may have been in none.
func (p *pass) candidates(nodes []*health.Node, w Wave) []*health.Node {
	s := w.selector()
	if s.Empty() {
		return nodes
	}
	if p.inSpec() {
		return matching(nodes, s)
	}
	return slices.DeleteFunc(slices.Clone(nodes), func(n *health.Node) bool {
		return !s.Matches(labels.Set(n.Labels)) && !(p.lost(n) && p.runsCandidate(n))
	})
}

// The places of nodes in a choice, first ones first.
const (
	rankHurt = iota
	rankTouched
	rankWell
	rankYoung
	rankServed
	rankSick
	rankLost
	ranks
	rankNever
)

// lost is whether the candidate ran on the node when what was recorded of it was lost.
func (p *pass) lost(n *health.Node) bool {
	o := p.owing(n)
	return o != nil && o.Lost
}

// touchedBefore is whether the node runs what is not proven already.
func (p *pass) touchedBefore(n *health.Node) bool {
	return n.Agent().Digest != p.rest() || p.firstWaves() && p.runsCandidate(n)
}

func (p *pass) rank(n *health.Node, canaries bool) int {
	if p.isMoved(n) {
		return p.rankMoved(n, canaries)
	}
	earlier := p.servesEarlier(n)
	switch {
	case p.hurt(n), p.lost(n), p.lostStraggler(n):
		return rankHurt
	case p.touchedBefore(n) && !earlier:
		return rankTouched
	case canaries && (n.Cordoned || n.Leaving):
		return rankNever
	case earlier:
		return rankServed
	default:
		return p.rankUntouched(n, canaries)
	}
}

// rankWon is that of a node that is to be taken in.
func (p *pass) rankWon(n *health.Node, canaries bool) int {
	switch {
	case canaries && (n.Cordoned || n.Leaving):
		return rankNever
	case canaries && p.in.Now.Before(n.Created.Add(canaryAge)):
		return rankYoung
	default:
		return rankWell
	}
}

// rankUntouched is that of a node that the proven version serves, or should, or that
// waits for its first agent.
func (p *pass) rankUntouched(n *health.Node, canaries bool) int {
	switch {
	case !n.Present() && !(n.Ready && p.waitsForFirst(n)):
		return rankSick
	case canaries && p.in.Now.Before(n.Created.Add(canaryAge)):
		return rankYoung
	default:
		return rankWell
	}
}

// pickable are the nodes that are in no wave yet and have a running agent, or one
// that waits for the first wave of all. They can be reached, or run the candidate since
// a time of which nothing is recorded.
func (p *pass) pickable() []*health.Node {
	var out []*health.Node
	for i := range p.in.Fleet {
		n := &p.in.Fleet[i]
		if p.enterable(n) {
			out = append(out, n)
		} else if a := n.Agent(); a != nil && (!a.Gated || p.firstWaves() && p.waitsForFirst(n)) && p.record(n) == nil && (p.reachable(n) || p.isCutOff(n)) {
			out = append(out, n)
		}
	}
	return out
}

// isCutOff is whether the candidate ran on the node before what was recorded of that was
// forgotten, and the node cannot be reached now: the candidate may be why.
func (p *pass) isCutOff(n *health.Node) bool {
	return p.lost(n) && n.Eligible && !p.reachable(n) && p.runsCandidate(n)
}
