package rollout

import (
	"fmt"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/rollcall-dev/rollcall/health"
)

// quota is how many more nodes the wave may take now.
func (p *pass) quota(w Wave) quota {
	var eligible, members []*health.Node
	for i := range p.in.Fleet {
		if n := &p.in.Fleet[i]; n.Eligible || n.Won {
			eligible = append(eligible, n)
		}
	}
	for _, r := range p.next.Records {
		if n := p.node(r.Node, r.UID); n != nil && !r.Self {
			members = append(members, n)
		}
	}
	return newQuota(w, eligible, members)
}

// matching are those of the nodes that are selected.
func matching(nodes []*health.Node, s labels.Selector) []*health.Node {
	if s.Empty() {
		return nodes
	}
	var out []*health.Node
	for _, n := range nodes {
		if s.Matches(labels.Set(n.Labels)) {
			out = append(out, n)
		}
	}
	return out
}

// passesEmpty is whether the wave may be left out though no node was picked for
// it: it may be empty, it asks for no more than the waves before it have, or all
// that it could still take are held out on purpose, or come last.
func (p *pass) passesEmpty(w Wave) bool {
	switch {
	case w.AllowEmpty, !p.quota(w).open():
		return true
	default:
		return w.Select == "" && p.members() > 0 && p.unreached() == p.ownUnreached()
	}
}

// ownUnreached is 1 if the node that rollcall itself runs on is in no wave yet and
// comes last, and 0 if not.
func (p *pass) ownUnreached() int {
	for i := range p.in.Fleet {
		if n := &p.in.Fleet[i]; n.Eligible && !n.Held && p.own(n) && p.record(n) == nil {
			return 1
		}
	}
	return 0
}

// sayEmpty says which nodes the wave would need that has none.
func (p *pass) sayEmpty(w Wave) {
	if w.Select == "" && p.members() > 0 {
		p.say(Held, ReasonUnreachable, fmt.Sprintf("wave %s: none of the %d nodes that are left for it can be reached (NotReady, tainted or without a pod); one has to come back, or all have to leave or be held out by label", w.Name, p.unreached()-p.ownUnreached()))
		return
	}
	needed := "one that is Ready, uncordoned, not held out and has an agent is needed"
	if p.in.OwnNode != "" {
		needed += ", other than " + p.in.OwnNode + ", where rollcall itself runs"
	}
	if w.Select == "" {
		p.say(Held, ReasonNoCanary, fmt.Sprintf("none of %d eligible nodes can be a canary: %s", p.eligible, needed))
		return
	}
	matched, left := p.selected(w)
	switch {
	case matched == 0:
		p.say(Held, ReasonNoCanary, fmt.Sprintf("wave %s: its selector %s matches none of %d eligible nodes: label one, or set the wave's allowEmpty to pass it without any", w.Name, w.Select, p.eligible))
	case left == 0:
		p.say(Held, ReasonNoCanary, fmt.Sprintf("wave %s: all %d nodes that its selector %s matches are in waves before it: label another one, or set the wave's allowEmpty to pass it without any", w.Name, matched, w.Select))
	default:
		p.say(Held, ReasonNoCanary, fmt.Sprintf("wave %s: none of the %d nodes left that its selector %s matches can be picked: %s, or set the wave's allowEmpty to pass it without any", w.Name, left, w.Select, needed))
	}
}

// selected counts the eligible nodes that the wave selects, and those of them that
// are in no wave yet.
func (p *pass) selected(w Wave) (matched, left int) {
	s := w.selector()
	for i := range p.in.Fleet {
		if n := &p.in.Fleet[i]; n.Eligible && s.Matches(labels.Set(n.Labels)) {
			matched++
			if p.record(n) == nil {
				left++
			}
		}
	}
	return matched, left
}
