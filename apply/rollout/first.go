package rollout

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/rollcall-dev/rollcall/health"
)

// The first version of a DaemonSet goes over the nodes in the same waves as any
// other. Its template keeps the gate until it is proven, so that a node is given
// it by the opening of its gate alone: there is no pulse, and no budget, for
// nothing is taken away. Only nodes that run an earlier first version, one that
// was never proven, lose an agent for it.

// replaceFirst lets the first version start on the nodes of the waves so far. It
// returns false when there is nothing to do.
func (p *pass) replaceFirst() bool {
	var earlier []*Record
	for _, r := range p.batch() {
		if n := p.node(r.Node, r.UID); n.Agent().Gated {
			p.openFirst(r, n)
		} else {
			earlier = append(earlier, r)
		}
	}
	var taken []*health.Node
	for _, r := range p.affordable(earlier) {
		taken = append(taken, p.touch(r))
	}
	p.take(taken)
	for _, n := range taken {
		p.do(deletion(n, n.Agent(), ForReplace))
	}
	return len(p.d.Steps) > 0
}

func (p *pass) openFirst(r *Record, n *health.Node) {
	if r.Touched.IsZero() {
		r.First, r.Down = p.inFlight(n) == nil && !p.broken(n), !n.Ready
	}
	r.Well, r.Breaks = false, 0
	p.open(r, n, n.Agent())
}

// hurt is whether the node lost its agent to a first version that was superseded.
func (p *pass) hurt(n *health.Node) bool {
	return p.firstWaves() && !n.Present() && (p.inFlight(n) != nil || p.broken(n))
}

// preferHurt gives hurt nodes the places in the wave of nodes that are served and
// not yet touched: these wait for the budget that those hold.
func (p *pass) preferHurt() {
	hurt := slices.DeleteFunc(p.pickable(), func(n *health.Node) bool { return !p.hurt(n) })
	waves := p.waves()
	for i := range p.next.Records {
		r := &p.next.Records[i]
		n := p.node(r.Node, r.UID)
		if n == nil || !r.Touched.IsZero() || !n.Present() {
			continue
		}
		if j := slices.IndexFunc(hurt, func(h *health.Node) bool { return waves[r.Wave].takes(h, n) }); j >= 0 {
			r.Node, r.UID = hurt[j].Name, hurt[j].UID
			hurt = slices.Delete(hurt, j, j+1)
		}
	}
	slices.SortFunc(p.next.Records, func(a, b Record) int { return cmp.Compare(a.Node, b.Node) })
}

// takes is whether the node may have the place of the other in the wave.
func (w Wave) takes(n, other *health.Node) bool {
	return w.selector().Matches(labels.Set(n.Labels)) && (!w.EachGroup && !w.OneGroupAtATime || groupOf(n) == groupOf(other))
}

// failed are the nodes on which the first version failed and serves nobody. Where
// it serves it stays after a rejection, for there is nothing better.
func (p *pass) failed() []*health.Node {
	var out []*health.Node
	for i := range p.next.Records {
		r := &p.next.Records[i]
		if n := p.node(r.Node, r.UID); n != nil && r.Failed != "" && p.runsCandidate(n) && !n.Present() {
			out = append(out, n)
		}
	}
	return out
}

// clear deletes agents that serve nobody. Gated ones take their place, which wait
// for a wave: the nodes are not in flight, for nothing was taken from them.
func (p *pass) clear(nodes []*health.Node) {
	for _, n := range nodes {
		p.do(deletion(n, n.Agent(), ForReturn))
	}
}
