package rollout

import (
	"slices"

	"github.com/rollcall-dev/rollcall/health"
)

// settle brings the records up to date with the fleet: nodes in flight that
// have arrived, nodes that are gone, nodes that were announced to go.
func (p *pass) settle() {
	if p.next.About != p.candidate() {
		p.owe()
		p.oweStrangers(true)
		p.forgetWaves()
	}
	if p.next.Candidate != nil && p.next.Wave >= len(p.waves()) {
		p.restart() // of what waves there were is not recorded
	}
	p.next.InFlight = slices.DeleteFunc(p.next.InFlight, p.arrived)
	p.next.Records = slices.DeleteFunc(p.next.Records, p.over)
	p.next.Owed = slices.DeleteFunc(p.next.Owed, p.paid)
	for i := range p.next.Records {
		r := &p.next.Records[i]
		switch n := p.node(r.Node, r.UID); {
		case n != nil:
			r.Leaving = n.Leaving
		case r.Failed == "":
			r.Failed, r.FailedMessage = health.ReasonNodeVanished, "the node is gone without notice since its agent was replaced"
		}
	}
}

// oweStrangers takes nodes that run another version than the proven one for such on
// which an earlier candidate ran, when nothing is recorded of any: that was lost. One
// that runs this candidate is such a node even if it cannot be reached. At rest there
// was no other candidate: who runs neither is a straggler.
func (p *pass) oweStrangers(others bool) {
	if p.next.About != "" || p.next.Proven == nil && !p.firstWaves() {
		return
	}
	var lost []Owed
	for i := range p.in.Fleet {
		n := &p.in.Fleet[i]
		if p.record(n) == nil && !p.isOwed(n) && (p.runsCandidate(n) || others && p.runsEarlier(n)) {
			lost = append(lost, Owed{Node: n.Name, UID: n.UID, Lost: p.runsCandidate(n)})
		}
	}
	p.next.Owed = merge(p.next.Owed, lost, func(o Owed) string { return o.Node })
}

// runsEarlier is whether the node can be reached and runs another version than the proven
// one.
func (p *pass) runsEarlier(n *health.Node) bool {
	a := n.Agent()
	return p.next.Proven != nil && a != nil && !a.Gated && a.Digest != p.rest() && p.reachable(n)
}

// forgetWaves drops what is recorded of waves, but for the nodes that are kept
// out.
func (p *pass) forgetWaves() {
	p.next.Waves = nil
	p.next.Records = slices.DeleteFunc(p.next.Records, func(r Record) bool { return !r.KeptOut })
}

// over is whether a record says nothing any more: its node left as announced, or
// is to have no agent, or the candidate never ran on it and it cannot be reached
// now, so that it goes to the tail. Whose agent was taken gets the candidate without
// a gate when that is in the spec, whatever is seen of it yet.
func (p *pass) over(r Record) bool {
	n := p.node(r.Node, r.UID)
	switch {
	case p.halfRecorded(r):
		return true
	case n == nil:
		return !r.Ran || r.Leaving
	case p.staysLeft(&r, n):
		return false
	case !n.Eligible && r.Failed == "" && !p.runsCandidate(n), p.recovered(&r, n):
		return true
	default:
		return !r.Ran && r.Failed == "" && !p.reachable(n) && !p.takenInSpec(&r, n)
	}
}

// recovered is whether the node, which was left with another version since it failed the
// proven one, is served by that after all.
func (p *pass) recovered(r *Record, n *health.Node) bool {
	return r.Self && r.KeptOut && n.Present() && n.Agent().Digest == p.rest()
}

// paid is whether nothing is owed to the node any more: it is gone or given up,
// or has got the version that it shall have.
func (p *pass) paid(o Owed) bool {
	n := p.node(o.Node, o.UID)
	if n == nil || !n.Eligible {
		return true
	}
	switch r := p.record(n); {
	case r != nil && r.KeptOut:
		return true
	case o.Lost && p.next.Candidate != nil && !slices.ContainsFunc(p.next.Records, p.exists):
		return false // it is the first to be taken again
	default:
		return p.hasRest(n) && (n.Present() || !o.Left) // what was taken for good has to serve
	}
}

// hasRest is whether the node has arrived at the version that it shall have.
func (p *pass) hasRest(n *health.Node) bool {
	a := n.Agent()
	arrived := a != nil && !a.Gated && a.Digest == p.rest() && p.inFlight(n) == nil
	return arrived && (n.Present() || !p.firstWaves()) // what is not proven has to serve
}

// halfRecorded is whether the record is of a wave that has not started: the
// process died between the two writes, and did nothing.
func (p *pass) halfRecorded(r Record) bool {
	if p.next.Candidate == nil || p.next.Proven == nil && !p.firstWaves() || r.KeptOut || r.Self {
		return false
	}
	return r.Wave > p.next.Wave || r.Wave == p.next.Wave && p.next.WaveStarted.IsZero()
}

// arrived is whether a node in flight is through: gone, no longer eligible, or
// served by an available agent other than the one that had to go.
func (p *pass) arrived(f InFlight) bool {
	n := p.node(f.Node, f.NodeUID)
	if n == nil || !n.Eligible {
		return true
	}
	if f.Straggler && !p.stands(n) {
		return false
	}
	a := n.Agent()
	return n.Pod(f.PodUID) == nil && a != nil && p.available(n)
}

// available is whether the node is served: a Ready node with a Ready agent, and
// an agent of the candidate has been Ready for long enough.
func (p *pass) available(n *health.Node) bool {
	if !n.Present() {
		return false
	}
	a := n.Agent()
	if c := p.in.State.Candidate; c == nil || a.Digest != c.Digest {
		return true
	}
	return !p.in.Now.Before(a.ReadySince.Add(p.in.Policy.Health.ReadyFor))
}

// reachable nodes can be given another agent now. One whose first agent waits for
// its gate need not be Ready, as long as its kubelet says so.
func (p *pass) reachable(n *health.Node) bool {
	return n.Eligible && n.Schedulable && (n.Ready || !n.Unreported && p.firstWaves() && p.waitsForFirst(n)) && !n.Held
}

// waitsForFirst is whether the node's agent is of the first version and gated.
func (p *pass) waitsForFirst(n *health.Node) bool {
	a := n.Agent()
	return a != nil && a.Gated && a.Digest == p.candidate()
}

// inFlight returns the node's entry, or nil.
func (p *pass) inFlight(n *health.Node) *InFlight {
	for i := p.flight(n.Name); i < len(p.next.InFlight) && p.next.InFlight[i].Node == n.Name; i++ {
		if p.next.InFlight[i].NodeUID == n.UID {
			return &p.next.InFlight[i]
		}
	}
	return nil
}

// flight is where the entries of nodes of that name begin.
func (p *pass) flight(name string) int {
	return p.atFlight.find(name, len(p.next.InFlight), func(i int) string { return p.next.InFlight[i].Node })
}

// take records that the agents of the nodes have to go, before they do. A node's
// earlier entry, if any, is replaced; what the node lost with it, or to a
// candidate, is still owed.
func (p *pass) take(nodes []*health.Node) {
	var added []InFlight
	var lost []Owed
	for _, n := range nodes {
		next := InFlight{Node: n.Name, NodeUID: n.UID, PodUID: n.Agent().UID, At: p.in.Now, Idle: !n.Present() && !p.broken(n), Straggler: p.straggles(n)}
		if f := p.inFlight(n); f != nil {
			if !f.Idle && n.Pod(f.PodUID) == nil && !p.broken(n) {
				lost = append(lost, Owed{Node: n.Name, UID: n.UID})
			}
			next.Idle = next.Idle && f.Idle
			*f = next
			continue
		}
		added = append(added, next)
	}
	p.next.InFlight = merge(p.next.InFlight, added, func(f InFlight) string { return f.Node })
	p.next.Owed = merge(p.next.Owed, lost, func(o Owed) string { return o.Node })
}
