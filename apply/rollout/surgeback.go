package rollout

import (
	"slices"

	"github.com/rollcall-dev/rollcall/health"
)

// How nodes go back by a surge, and which of its nodes it leaves alone when it is closed.

// surgeBack gives the proven version to nodes that are served by another one, within
// the budget and in the same way.
func (p *pass) surgeBack(nodes []*health.Node, room rooms) {
	if len(p.d.Steps) > 0 {
		return
	}
	taken := p.takeBack(nodes, room)
	_, until := p.late()
	switch {
	case len(taken) == 0:
	case p.in.Now.Before(until):
		p.wakeAt(until)
	case !p.awaitsAgents():
		p.take(taken)
		p.openSurge(p.rest())
	}
}

// takeBack are the nodes that can go back now: those recorded for it already, and of
// the others as many as the budget leaves.
func (p *pass) takeBack(nodes []*health.Node, room rooms) []*health.Node {
	var taken []*health.Node
	for _, n := range nodes {
		f := p.inFlight(n)
		recorded := f != nil && f.PodUID == n.Agent().UID
		straggler := p.straggles(n)
		if !n.Present() || p.yields(n) || straggler && p.waitsForOthers(n) || !recorded && !room.of(straggler).has(n) {
			continue
		}
		if !recorded {
			room.take(n)
		}
		taken = append(taken, n)
	}
	return taken
}

// putOff forgets the nodes in flight that still have the agent that had to go: that they
// begin anew is not their doing.
func (p *pass) putOff() {
	p.next.InFlight = slices.DeleteFunc(p.next.InFlight, func(f InFlight) bool {
		n := p.node(f.Node, f.NodeUID)
		if n == nil || p.pending(f) == nil || !n.Present() {
			return false
		}
		if r := p.record(n); r != nil {
			r.Tries = max(r.Tries-1, 0)
		}
		return true
	})
}

// keepOld forgets the nodes in flight that failed the candidate and are served by the
// agent that they had: they keep it.
func (p *pass) keepOld() {
	p.next.InFlight = slices.DeleteFunc(p.next.InFlight, func(f InFlight) bool {
		n := p.node(f.Node, f.NodeUID)
		return n != nil && p.pending(f) != nil && n.Present() && p.failedOn(n)
	})
}

// staysServed leaves the nodes on the way back alone on which the proven version failed
// beside an agent that serves them: it would fail there as often as it is tried.
func (p *pass) staysServed(target string) {
	if target != p.rest() {
		return
	}
	var kept []Record
	p.next.InFlight = slices.DeleteFunc(p.next.InFlight, func(f InFlight) bool {
		v, failed := p.failedBack(f, target)
		if !failed {
			return false
		}
		n := p.node(f.Node, f.NodeUID)
		switch r := p.record(n); {
		case r == nil:
			kept = append(kept, Record{Node: n.Name, UID: n.UID, Self: true, KeptOut: true, Touched: p.in.Now, Failed: v.Reason, FailedMessage: v.Message})
		case r.Failed != "":
			r.KeptOut = true
		case p.goal == goalForward:
			return false // it fails no candidate
		default:
			r.KeptOut, r.Failed, r.FailedMessage = true, v.Reason, v.Message
		}
		return true
	})
	p.next.Records = mergeRecords(p.next.Records, kept)
}

// failedBack is how the target failed on a node in flight that another agent serves.
func (p *pass) failedBack(f InFlight, target string) (v health.Verdict, failed bool) {
	n := p.node(f.Node, f.NodeUID)
	if n == nil || p.pending(f) == nil || !n.Present() {
		return v, false
	}
	if a := p.second(n, f, target); a == nil || a.Gated {
		return v, false
	}
	v = health.Judge(p.withoutOld(n), f.At, p.in.Policy.Health, p.in.Now)
	return v, v.Status == health.Failed
}
