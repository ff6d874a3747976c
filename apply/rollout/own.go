package rollout

import "github.com/rollcall-dev/rollcall/health"

// own is whether rollcall itself runs on the node and other nodes may go before it.
// One that has lost the proven version already is no other than they are.
func (p *pass) own(n *health.Node) bool {
	if n.Name != p.in.OwnNode || p.next.Proven == nil {
		return false
	}
	if a := n.Agent(); a != nil && !a.Gated && a.Digest != p.rest() {
		return false
	}
	for i := range p.in.Fleet {
		if o := &p.in.Fleet[i]; o.UID != n.UID && o.Eligible && !o.Held {
			return true
		}
	}
	return false
}

// withoutOwn leaves out the node that rollcall itself runs on.
func (p *pass) withoutOwn(nodes []*health.Node) []*health.Node {
	var out []*health.Node
	for _, n := range nodes {
		if !p.own(n) {
			out = append(out, n)
		}
	}
	return out
}

// ownWaits is whether the record is of the node that rollcall itself runs on, and
// another node of the waves so far is not done.
func (p *pass) ownWaits(r *Record) bool {
	n := p.node(r.Node, r.UID)
	return n != nil && p.queue.others && p.own(n)
}
