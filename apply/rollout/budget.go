package rollout

import "k8s.io/apimachinery/pkg/types"

// unavailable are the nodes without an available agent because of rollcall: in
// flight, or touched and not (or no longer) available. Nodes that were sick
// before and stay so are not rollcall's doing.
func (p *pass) unavailable() map[types.UID]bool {
	out := map[types.UID]bool{}
	for _, f := range p.next.InFlight {
		out[f.NodeUID] = true
	}
	for _, r := range p.next.Records {
		if n := p.nodes[r.UID]; n != nil && !r.Touched.IsZero() && !r.Excused && !p.available(n) {
			out[r.UID] = true
		}
	}
	return out
}

// free is how many more nodes may lose their agent now.
func (p *pass) free() int {
	return max(Resolve(p.in.Policy.MaxUnavailable, p.eligible)-len(p.unavailable()), 0)
}
