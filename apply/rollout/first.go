package rollout

import (
	"cmp"
	"slices"
	"time"

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
	if until := p.awaitedFirst(); p.in.Now.Before(until) {
		p.wakeAt(until)
		earlier = nil
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

// servesEarlier is whether a first version that was superseded serves the node.
func (p *pass) servesEarlier(n *health.Node) bool {
	return p.firstWaves() && n.Present() && !p.runsCandidate(n)
}

// preferUnserved gives hurt nodes, which hold the budget, and then those that wait for
// their first agent the places in the wave of nodes that an earlier version serves and
// that are not yet touched. The last wave has places for all.
func (p *pass) preferUnserved() {
	w := p.waves()[p.next.Wave]
	unserved := p.unserved(w)
	if len(unserved) == 0 {
		return
	}
	for i := range p.next.Records {
		r := &p.next.Records[i]
		n := p.node(r.Node, r.UID)
		if n == nil || r.Wave != p.next.Wave || !r.Touched.IsZero() || !p.servesEarlier(n) {
			continue
		}
		if rest := unserved[w.place(n)]; len(rest) > 0 {
			r.Node, r.UID = rest[0].Name, rest[0].UID
			unserved[w.place(n)] = rest[1:]
		}
	}
	slices.SortFunc(p.next.Records, func(a, b Record) int { return cmp.Compare(a.Node, b.Node) })
}

// unserved are the nodes that are preferred, by place and in their order.
func (p *pass) unserved(w Wave) map[string][]*health.Node {
	ranks := []int{rankHurt, rankWell, rankYoung}
	if p.lastWave() {
		ranks = ranks[:1]
	}
	free, out := matching(p.pickable(), w.selector()), map[string][]*health.Node{}
	for _, rank := range ranks {
		for _, n := range free {
			if p.rank(n, p.next.Wave == 0) == rank {
				out[w.place(n)] = append(out[w.place(n)], n)
			}
		}
	}
	return out
}

// place is in whose stead the wave may take the node: of those of its group, if it
// counts or goes by groups, or of any.
func (w Wave) place(n *health.Node) string {
	if w.EachGroup || w.OneGroupAtATime {
		return groupOf(n)
	}
	return ""
}

// awaitedFirst is until when nodes that are served are not taken, because others may
// be about to get a pod that waits for its first start.
func (p *pass) awaitedFirst() time.Time {
	until := p.next.WaveStarted.Add(pulseSlack)
	for i := range p.in.Fleet {
		if n := &p.in.Fleet[i]; n.Agent() == nil && p.record(n) == nil && p.inFlight(n) == nil && p.reachable(n) {
			return until
		}
	}
	return time.Time{}
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
