package rollout

import "github.com/rollcall-dev/rollcall/health"

// unavailable counts the nodes without an available agent because of rollcall.
func (p *pass) unavailable() int {
	count := 0
	for i := range p.in.Fleet {
		if p.down(&p.in.Fleet[i]) {
			count++
		}
	}
	return count
}

// down is whether the node is without an available agent because of rollcall: in
// flight, or touched and not (or no longer) available. What was sick before and
// stays so is not rollcall's doing, nor is that there was no agent yet.
func (p *pass) down(n *health.Node) bool {
	switch {
	case p.inFlight(n) != nil:
		return true
	case p.available(n):
		return false
	case !n.Present() && p.isOwed(n):
		return true
	default:
		r := p.record(n)
		return r != nil && n.Eligible && !r.Touched.IsZero() && !r.Excused && !r.First
	}
}

// broken is whether the node, which is not served, was so until a candidate ran
// on it.
func (p *pass) broken(n *health.Node) bool {
	r := p.record(n)
	return r != nil && r.Ran && !r.SickBefore && !r.First || p.isOwed(n)
}

// isOwed is whether the node is among those owed an agent.
func (p *pass) isOwed(n *health.Node) bool { return p.owing(n) != nil }

// owing is what is owed to the node, or nil.
func (p *pass) owing(n *health.Node) *Owed {
	all := p.next.Owed
	for i := p.atOwed.find(n.Name, len(all), func(i int) string { return all[i].Node }); i < len(all) && all[i].Node == n.Name; i++ {
		if all[i].UID == n.UID {
			return &all[i]
		}
	}
	return nil
}

// owed are the nodes that lost an available agent on the way back and have
// none again. A node that is NotReady by now, or tainted, is not held up by
// rollcall, and a way back that waited for it would leave the others on a bad
// version.
func (p *pass) owed() []*health.Node {
	var out []*health.Node
	for _, f := range p.next.InFlight {
		n := p.node(f.Node, f.NodeUID)
		if f.Idle || n == nil || !n.Ready || !n.Schedulable {
			continue
		}
		if !n.Present() || n.Agent().UID == f.PodUID {
			out = append(out, n)
		}
	}
	return out
}

// budget is maxUnavailable in nodes.
func (p *pass) budget() int {
	return Resolve(p.in.Policy.MaxUnavailable, p.eligible)
}

// downNodes are the nodes without an available agent because of rollcall.
func (p *pass) downNodes() []*health.Node {
	var out []*health.Node
	for i := range p.in.Fleet {
		if n := &p.in.Fleet[i]; p.down(n) {
			out = append(out, n)
		}
	}
	return out
}
