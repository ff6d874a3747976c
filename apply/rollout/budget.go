package rollout

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/health"
)

// unavailable are the nodes without an available agent because of rollcall: in
// flight, or touched and not (or no longer) available. Nodes that were sick
// before and stay so are not rollcall's doing, nor are those that had none yet.
func (p *pass) unavailable() map[types.UID]bool {
	out := map[types.UID]bool{}
	for _, f := range p.next.InFlight {
		out[f.NodeUID] = true
	}
	for _, r := range p.next.Records {
		if n := p.nodes[r.UID]; n != nil && n.Eligible && !r.Touched.IsZero() && !r.Excused && !r.First && !p.available(n) {
			out[r.UID] = true
		}
	}
	for _, o := range p.next.Owed {
		if n := p.nodes[o.UID]; n != nil && !n.Present() {
			out[o.UID] = true
		}
	}
	return out
}

// broken is whether the node, which is not served, was so until a candidate ran
// on it.
func (p *pass) broken(n *health.Node) bool {
	r := p.record(n)
	return r != nil && r.Ran && !r.SickBefore && !r.First || slices.ContainsFunc(p.next.Owed, func(o Owed) bool { return o.UID == n.UID })
}

// owed counts the nodes that lost an available agent on the way back and have
// none again. A node that is NotReady by now, or tainted, is not held up by
// rollcall, and a way back that waited for it would leave the others on a bad
// version.
func (p *pass) owed() int {
	count := 0
	for _, f := range p.next.InFlight {
		n := p.nodes[f.NodeUID]
		if f.Idle || n == nil || !n.Ready || !n.Schedulable {
			continue
		}
		if !n.Present() || n.Agent().UID == f.PodUID {
			count++
		}
	}
	return count
}

// budget is maxUnavailable in nodes.
func (p *pass) budget() int {
	return Resolve(p.in.Policy.MaxUnavailable, p.eligible)
}

// free is how many more nodes may lose their agent now.
func (p *pass) free() int {
	return max(p.budget()-len(p.unavailable()), 0)
}
