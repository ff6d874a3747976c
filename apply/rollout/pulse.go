package rollout

import (
	"slices"
	"time"

	"github.com/rollcall-dev/rollcall/health"
)

// pulseSlack is how long a pulse waits beyond the grace period of its pods.
// A pod that terminates for longer keeps its node for a later pulse.
const pulseSlack = 15 * time.Second

// finishStarted takes the steps that no policy may delay, one kind at a time,
// and says whether the DaemonSet has to settle before anything else:
//
//	surge open ..................... open the gates of its nodes, wait for them, close it
//	strategy is not OnDelete ....... set it: nothing else is safe before
//	pulse open, going forward ...... delete its pods, wait for the new ones, close it
//	template is not the rest one ... write the rest one
//	template not observed .......... wait: a delete now would recreate the old pod
//	gated pods ..................... open those in flight, delete the strays; those of
//	                                 a first version wait for their waves, or until
//	                                 it may begin on all nodes at once
func (p *pass) finishStarted() bool {
	live, surging := p.in.Live, p.surgesTo()
	switch {
	case p.in.Foreign:
		return !live.Observed
	case surging != "":
		p.runSurge(surging)
		return true
	case !live.OnDelete && !(live.Surging && p.holds() != ""):
		p.do(Step{Action: SetOnDelete})
	case p.pulseOpen():
		p.runPulse()
		return true
	default:
		return p.settleTemplate()
	}
	return true
}

// settleTemplate has the DaemonSet hold what it is to hold outside a pulse, and no gate
// closed that nobody will open. It says whether that takes a step, or time.
func (p *pass) settleTemplate() bool {
	live, rest := p.in.Live, p.holds()
	waits := p.firstWaves() || p.installHeld
	switch {
	case p.keepsFirst():
	case rest != "" && (!p.holdsEnough() || live.Surging):
		p.do(p.writeRest(rest, waits))
	case !live.Observed:
		return true
	case rest != "":
		p.closeGates()
	}
	return len(p.d.Steps) > 0
}

// keepsFirst is whether the template of an earlier first version stays, since
// something is wrong with the candidate: where it would place its pods, perhaps.
func (p *pass) keepsFirst() bool {
	return (p.installHeld || p.firstWaves() && p.in.Live.Gated) && p.in.Block != nil && p.in.Live.Digest != p.rest()
}

func (p *pass) pulseOpen() bool {
	return p.goal == goalForward && !p.firstWaves() && !p.inSpec() && !p.surges() && !p.in.Live.Surging && p.in.Live.Gated && p.in.Live.Digest == p.candidate()
}

// pulsePause is how long no pulse is opened after one in which a pod was to be
// deleted and was not. Whatever made it fail, the template is the proven one for
// most of the time.
const pulsePause = 45 * time.Second

// runPulse deletes the pods in flight, lets those start that came in their place,
// and closes the pulse when each node has its next pod, or when that takes too long,
// whatever the reason.
func (p *pass) runPulse() {
	waiting, limit := p.awaited()
	inTime := p.in.Now.Before(limit) && !p.hurts(limit)
	switch {
	case inTime && !p.in.Live.Observed: // a delete now would recreate the old pod
		p.wakeAt(limit)
	case inTime && p.deletePending():
		p.openCome()
	case inTime && waiting > 0:
		p.openCome()
		p.wakeAt(limit)
		if soon := limit.Add(-p.in.Policy.Grace); p.in.Now.Before(soon) {
			p.wakeAt(soon)
		}
	default:
		p.do(p.writeRest(p.rest(), false))
	}
}

// awaited counts the nodes that are to get their pods in the pulse, and says until
// when it waits for them.
func (p *pass) awaited() (waiting int, limit time.Time) {
	for _, f := range p.next.InFlight {
		if end := p.pulseEnd(f); end.After(limit) {
			limit = end
		}
		if n := p.node(f.Node, f.NodeUID); n.Agent() == nil && p.reachable(n) && !p.overdue(f) {
			waiting++
		}
	}
	for _, r := range p.awaitedEntries() {
		waiting++
		if end := r.Touched.Add(pulseSlack); end.After(limit) {
			limit = end
		}
	}
	return waiting, limit
}

// hurts is whether a pulse that waits for a long grace period keeps a node without
// an agent that it is not for.
func (p *pass) hurts(limit time.Time) bool {
	if p.in.Now.Before(limit.Add(-p.in.Policy.Grace)) {
		return false
	}
	for i := range p.in.Fleet {
		n := &p.in.Fleet[i]
		if a := n.Agent(); a != nil && a.Gated && p.inFlight(n) == nil {
			return true
		}
	}
	return false
}

// pulseEnd is until when the pulse waits that was opened for the node.
func (p *pass) pulseEnd(f InFlight) time.Time {
	return f.At.Add(p.in.Policy.Grace + pulseSlack)
}

// overdue is whether the pulse of the node had to be over by now.
func (p *pass) overdue(f InFlight) bool { return !p.in.Now.Before(p.pulseEnd(f)) }

// late counts the nodes that a pulse was opened for in vain, and says until when
// no other one is.
func (p *pass) late() (count int, until time.Time) {
	for _, f := range p.next.InFlight {
		if !p.overdue(f) || p.pending(f) == nil || !p.reachable(p.node(f.Node, f.NodeUID)) {
			continue
		}
		count++
		if end := p.pulseEnd(f).Add(pulsePause); end.After(until) {
			until = end
		}
	}
	return count, until
}

// deletePending deletes the recorded pods that are still there. It leaves those
// whose node would get no other one, and those whose agent has recovered since
// it was recorded, so that its loss is beyond the budget now.
func (p *pass) deletePending() bool {
	room := p.beside(p.downNodes())
	for _, f := range p.next.InFlight {
		if n := p.node(f.Node, f.NodeUID); p.pending(f) != nil && n.Present() {
			room.give(n)
		}
	}
	for i := range p.next.InFlight {
		f := &p.next.InFlight[i]
		n, old := p.node(f.Node, f.NodeUID), p.pending(*f)
		switch {
		case old == nil || !p.replaceable(n) || n.Present() && !room.has(n):
			continue
		case n.Present():
			f.Idle = false
			room.take(n)
			if r := p.record(n); r != nil {
				r.SickBefore = false
			}
		}
		p.do(deletion(n, old, ForReplace))
	}
	return len(p.d.Steps) > 0
}

// openCome opens the gates of the pods that have come while others are awaited.
func (p *pass) openCome() {
	for i := range p.in.Fleet {
		n := &p.in.Fleet[i]
		if a := n.Agent(); a != nil && a.Gated && p.mayOpen(n, a) {
			p.open(p.record(n), n, a)
		}
	}
}

// closeGates opens the gates of pods that a pulse made on nodes in flight. Any
// other gated pod is a stray: deleted, it comes back proven.
func (p *pass) closeGates() {
	var back []*health.Node
	for i := range p.in.Fleet {
		n := &p.in.Fleet[i]
		if a := n.Agent(); a != nil && a.Gated && p.closeGate(n, a) && p.comesBack(n) { // one beside another is Kubernetes' to remove
			back = append(back, n)
		}
	}
	p.awaitBack(back)
}

// closeGate says whether the pod is a stray.
func (p *pass) closeGate(n *health.Node, a *health.Agent) (stray bool) {
	r := p.record(n)
	switch {
	case p.mayOpen(n, a), p.mayEnter(n, a):
		p.open(r, n, a)
		return false
	case p.leaves(n, a):
		return false
	case (p.firstWaves() || p.installHeld) && p.waitsForFirst(n):
		return false
	case r != nil && a.Digest == p.candidate() && r.Tries <= 1:
		r.Ran = false // its gate was to be opened, and never was
	}
	p.do(deletion(n, a, ForStray))
	return true
}

// open lets the pod start, unless it stands for none. The node's time begins: until now it could not.
func (p *pass) open(r *Record, n *health.Node, a *health.Agent) {
	if p.removes() {
		p.vacate(r)
		return
	}
	r.Touched, r.Ran = p.in.Now, true
	s := Step{Action: OpenGate, Node: n.Name, Pod: a.Name, PodUID: a.UID}
	if p.surges() {
		s.Why = ForReplace
	}
	p.do(s)
}

// mayOpen is whether the gated pod may start: it is the candidate's, and its
// node is in flight to it. A pause lets started nodes finish, a rejection does
// not. A gate that could not be opened until the deadline never will be: the node
// gets its proven agent instead.
func (p *pass) mayOpen(n *health.Node, a *health.Agent) bool {
	c, f, r := p.next.Candidate, p.inFlight(n), p.record(n)
	if c == nil || f == nil || r == nil {
		return false
	}
	return !n.Lost && a.Digest == c.Digest && a.UID != f.PodUID && !r.Touched.IsZero() && r.Failed == "" && p.next.rejection(c.Digest) == nil && p.openable(f, a)
}

// openable is whether it may still be tried to open the gate of the node's next pod,
// which in a surge waited for the node's turn.
func (p *pass) openable(f *InFlight, a *health.Agent) bool {
	since := a.Created
	if f.At.After(since) {
		since = f.At
	}
	return p.in.Now.Before(since.Add(p.in.Policy.Health.Deadline + p.in.Policy.Grace + pulseSlack))
}

// Fresh is for how long after its observation a decision may be carried out.
const Fresh = 10 * time.Second

// cacheLag is for how long a view of the pods may be older than the record. It is
// longer than any decision is fresh.
const cacheLag = 30 * time.Second

// withdraw forgets intents that never came to a delete: the pod is still there,
// and was not just deleted by somebody whose view is newer. A node that a candidate
// has left without an available agent keeps its own.
func (p *pass) withdraw(when func(n *health.Node, old *health.Agent) bool) {
	p.next.InFlight = slices.DeleteFunc(p.next.InFlight, func(f InFlight) bool {
		n, old := p.node(f.Node, f.NodeUID), p.pending(f)
		if old == nil || !when(n, old) || !settled(f, n) && p.broken(n) {
			return false
		}
		p.wakeAt(f.At.Add(cacheLag))
		over := !p.in.Now.Before(f.At.Add(cacheLag))
		if r := p.record(n); over && r != nil {
			r.Tries = max(r.Tries-1, 0) // it was none
		}
		return over
	})
}

// anything is what withdraw forgets when nothing may be replaced at all.
func anything(*health.Node, *health.Agent) bool { return true }

// settled is whether the node has what rollcall took from it, if it did.
func settled(f InFlight, n *health.Node) bool {
	return f.Idle || n.Present()
}

// pending returns the pod that is to go and has not been deleted yet, or nil.
func (p *pass) pending(f InFlight) *health.Agent {
	n := p.node(f.Node, f.NodeUID)
	if n == nil {
		return nil
	}
	if old := n.Pod(f.PodUID); old != nil && !old.Terminating {
		return old
	}
	return nil
}

// replaceable nodes get another agent when they lose theirs, and nobody else is at
// work on them.
func (p *pass) replaceable(n *health.Node) bool { return p.reachable(n) && !p.kept(n) }

func deletion(n *health.Node, a *health.Agent, why Why) Step {
	s := Step{Action: DeletePod, Node: n.Name, Pod: a.Name, PodUID: a.UID, Why: why}
	if !n.Present() {
		s.PodVersion = a.Version
	}
	return s
}
