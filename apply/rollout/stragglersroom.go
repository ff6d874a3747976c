package rollout

import "github.com/rollcall-dev/rollcall/health"

// How many stragglers go at once.

// rooms are how many more nodes may lose their agent for a return, and for a straggler.
type rooms struct{ back, late room }

func (r *rooms) take(n *health.Node) { r.back.take(n); r.late.take(n) }

func (r *rooms) give(n *health.Node) { r.back.give(n); r.late.give(n) }

// of is the room that the node needs.
func (r *rooms) of(straggler bool) *room {
	if straggler {
		return &r.late
	}
	return &r.back
}

func (p *pass) rooms() rooms {
	return rooms{back: p.beside(p.owed()), late: p.beside(p.missing())}
}

// missing are the nodes that take room from stragglers.
func (p *pass) missing() []*health.Node {
	var out []*health.Node
	for i := range p.in.Fleet {
		if n := &p.in.Fleet[i]; n.Eligible && p.misses(n) {
			out = append(out, n)
		}
	}
	return out
}

func (p *pass) misses(n *health.Node) bool {
	f, a := p.inFlight(n), n.Agent()
	switch {
	case f == nil:
		return p.missesAtRest(n)
	case f.Idle:
		return n.Ready && (a == nil || a.UID == f.PodUID || !p.judgedFailed(n, f.At))
	case f.Straggler:
		return true
	default:
		return n.Ready && n.Schedulable && (!n.Present() || a.UID == f.PodUID)
	}
}

// missesAtRest is whether the proven version served the node and does so no more. What is
// given up within the failure budget holds no budget.
func (p *pass) missesAtRest(n *health.Node) bool {
	a, r := n.Agent(), p.record(n)
	if a == nil || !n.Ready || n.Held || r != nil && r.KeptOut {
		return false
	}
	return !a.Gated && a.Digest == p.rest() && !a.Ready && p.servedBefore(a)
}

// giveStragglers replaces the agents of stragglers, whether they serve or not.
func (p *pass) giveStragglers(nodes []*health.Node, room *rooms) {
	var taken []*health.Node
	for _, n := range nodes {
		f := p.inFlight(n)
		recorded := f != nil && f.PodUID == n.Agent().UID // perhaps not yet deleted
		switch {
		case p.waitsForOthers(n):
			continue
		case recorded && room.late.over(n):
			room.give(n)
			continue
		case recorded && (!f.Idle || !n.Present()):
		case recorded: // it has recovered since, and serves
			taken = append(taken, n)
		case !room.late.has(n):
			continue
		default:
			room.take(n)
			taken = append(taken, n)
		}
		p.do(deletion(n, n.Agent(), ForStraggler))
	}
	p.take(taken)
}

// unserved are those of the nodes that have no available agent.
func unserved(nodes []*health.Node) []*health.Node {
	var out []*health.Node
	for _, n := range nodes {
		if !n.Present() {
			out = append(out, n)
		}
	}
	return out
}
