package rollout

import (
	"cmp"
	"slices"
	"time"

	"github.com/rollcall-dev/rollcall/health"
)

// A surge gives nodes their next agent before it takes the old one away. Nobody may
// make a second pod for a node but the DaemonSet controller, which does so for all of
// them at once:
//
//	intents recorded ......... the target is written, gated, with the strategy that
//	                           surges: each node gets a gated pod beside its own
//	the nodes in flight ...... have the gates of theirs opened; when the new pod is
//	                           available, Kubernetes deletes the old one
//	all of them have theirs .. OnDelete and the rest template: Kubernetes deletes the
//	                           pods that are still gated, the others stay
//
// It can be ended at any moment: of two pods on a node the older one stays. What a
// surge costs is one gated pod for each node while it is open, and that a node whose
// only pod goes meanwhile has a gated one for the next. So it is closed at once when a
// node that it is not for loses an available agent, or joins, and is opened only when
// no agent is about to become Ready. Nodes without an available agent when it is opened
// have none, or a gated one, until it is closed: they are known by State.Bare.

// surges is whether nodes are given another agent by a surge.
func (p *pass) surges() bool {
	return p.in.Policy.Surge && !p.firstWaves() && !p.inSpec()
}

// surgesTo is the digest that an open surge gives the nodes in flight: the candidate
// or, on the way back, the proven one; empty when none is open that may go on.
func (p *pass) surgesTo() string {
	live, back := p.in.Live, p.goal == goalBack || p.goal == goalRest
	switch {
	case !live.Surging || !live.Gated || p.next.Proven == nil || p.inSpec():
		return ""
	case p.surgesForward():
		return live.Digest
	case (p.goal == goalForward || back) && live.Digest == p.rest():
		return live.Digest
	default:
		return ""
	}
}

// openSurge writes the gated target for the nodes that have just been taken.
func (p *pass) openSurge(target string) {
	p.next.Bare = nil
	for i := range p.in.Fleet {
		if n := &p.in.Fleet[i]; n.Eligible && (!n.Present() || !n.Schedulable) && p.inFlight(n) == nil {
			p.next.Bare = append(p.next.Bare, Owed{Node: n.Name, UID: n.UID, Served: n.Present()})
		}
	}
	p.do(Step{Action: WriteTemplate, Digest: target, Gated: true, Surge: true})
}

// runSurge takes the next step of an open surge.
func (p *pass) runSurge(target string) {
	limit := p.surgeLimit()
	switch {
	case !p.in.Live.Observed && p.in.Now.Before(limit):
		p.wakeAt(limit)
	case !p.in.Live.Observed:
		p.closeSurge()
	case p.bares():
		p.putOff()
		p.closeSurge()
	case p.openSurged(target), p.awaitsSurged(target):
	case target == p.candidate() && p.fails(): // what failed beside an old agent goes with the surge, the others go back
		p.keepOld()
		p.closeSurge()
	case p.surgesMore(target):
	default:
		p.staysServed(target)
		p.closeSurge()
	}
}

// fails is whether a node in flight has failed the candidate, or is left with a pod
// that was not let start.
func (p *pass) fails() bool {
	return slices.ContainsFunc(p.next.InFlight, func(f InFlight) bool {
		n := p.node(f.Node, f.NodeUID)
		if n == nil {
			return false
		}
		if a := n.Agent(); a != nil && a.Gated {
			return true // its gate cannot be opened
		}
		return p.failedOn(n)
	})
}

// failedOn is whether the candidate failed on the node.
func (p *pass) failedOn(n *health.Node) bool {
	r := p.record(n)
	return r != nil && r.Failed != ""
}

func (p *pass) closeSurge() {
	p.next.Bare = nil
	p.do(Step{Action: WriteTemplate, Digest: p.rest()})
}

// surgeCreates is how many gated pods the DaemonSet controller is given a second for.
const surgeCreates = 100

// surgeEnd is until when a node in flight waits for its second pod.
func (p *pass) surgeEnd(f InFlight) time.Time {
	return f.At.Add(pulseSlack + time.Duration(p.eligible/surgeCreates)*time.Second)
}

// surgeLimit is until when a surge waits for the second pods of all nodes in flight.
func (p *pass) surgeLimit() (limit time.Time) {
	for _, f := range p.next.InFlight {
		if end := p.surgeEnd(f); end.After(limit) {
			limit = end
		}
	}
	return limit
}

// bares is whether more nodes than can be borne are left with a gated pod alone that the
// surge is not for, and were served or not there when it was opened, or are about to
// lose their agent, and were not when it was opened.
func (p *pass) bares() bool {
	count := 0
	most, since := p.bearable()
	for i := range p.in.Fleet {
		if n := &p.in.Fleet[i]; !n.Created.After(since) && p.isLeftBare(n) {
			count++
		}
	}
	return count > most
}

// isLeftBare is whether the node is one of those.
func (p *pass) isLeftBare(n *health.Node) bool {
	b, a := p.bare(n), n.Agent()
	if p.losesAgent(n) {
		return b == nil || !b.Served
	}
	alone := n.Eligible && n.Ready && a != nil && a.Gated && p.inFlight(n) == nil
	return alone && (b == nil || b.Served)
}

// bare is what is recorded of the node if no agent was to be lost on it when the surge
// was opened, or nil.
func (p *pass) bare(n *health.Node) *Owed {
	i, found := slices.BinarySearchFunc(p.next.Bare, n, func(o Owed, n *health.Node) int {
		return cmp.Or(cmp.Compare(o.Node, n.Name), cmp.Compare(o.UID, n.UID))
	})
	if !found {
		return nil
	}
	return &p.next.Bare[i]
}

// second is the pod of the target that the node in flight is given, or nil.
func (p *pass) second(n *health.Node, f InFlight, target string) *health.Agent {
	for i := range n.Agents {
		if a := &n.Agents[i]; !a.Terminating && a.UID != f.PodUID && a.Digest == target {
			return a
		}
	}
	return nil
}

// openSurged opens the gates of the second pods of nodes in flight, and says whether
// there were any.
func (p *pass) openSurged(target string) bool {
	for _, f := range p.next.InFlight {
		n := p.node(f.Node, f.NodeUID)
		if n == nil {
			continue
		}
		a, r := p.second(n, f, target), p.record(n)
		switch {
		case a == nil || !a.Gated:
		case target != p.candidate() && !p.openable(&f, a):
		case target != p.candidate(): // the way back asks nobody
			p.do(Step{Action: OpenGate, Node: n.Name, Pod: a.Name, PodUID: a.UID, Why: f.why()})
		case p.mayOpen(n, a):
			p.open(r, n, a)
		}
	}
	return len(p.d.Steps) > 0
}

// awaitsSurged is whether a node in flight has not arrived yet and may still do so.
func (p *pass) awaitsSurged(target string) bool {
	awaits := false
	for _, f := range p.next.InFlight {
		n := p.node(f.Node, f.NodeUID)
		if p.pending(f) == nil || !p.reachable(n) {
			continue
		}
		end := p.surgeEnd(f)
		if a := p.second(n, f, target); a != nil && !a.Gated {
			end = p.judgedBy(n, f, target)
		}
		if p.in.Now.Before(end) {
			p.wakeAt(end)
			awaits = true
		}
	}
	return awaits
}

// judgedBy is until when the second pod, which may start, may take: no longer when it
// has failed.
func (p *pass) judgedBy(n *health.Node, f InFlight, target string) time.Time {
	v := health.Judge(p.withoutOld(n), f.At, p.in.Policy.Health, p.in.Now)
	if v.Status == health.Failed || target == p.candidate() && p.failedOn(n) {
		return time.Time{}
	}
	return p.in.Now.Add(p.in.Policy.Health.Deadline)
}

// surgesForward is whether an open surge is that of the candidate.
func (p *pass) surgesForward() bool {
	return p.goal == goalForward && p.in.Live.Digest == p.candidate() && !p.moving
}

// surgesMore takes further nodes of the wave into a surge that is open, as the budget
// becomes free: their second pods are there already. It says whether the surge stays
// open for them, so that a wave costs one of all.
func (p *pass) surgesMore(target string) bool {
	if target != p.candidate() || p.hold() != nil || p.next.WaveStarted.IsZero() {
		return false
	}
	p.queue = p.lineUp()
	next := slices.DeleteFunc(p.batch(), func(r *Record) bool { return p.inFlight(p.node(r.Node, r.UID)) != nil })
	waiting, landing := len(next) > 0, slices.ContainsFunc(p.next.InFlight, p.landing)
	var taken []*health.Node
	for _, r := range p.affordable(next) {
		taken = append(taken, p.touch(r))
	}
	p.take(taken)
	return p.openSurged(target) || p.awaitsSurged(target) || waiting && landing
}

// landing is whether the node in flight has its second pod alone by now, which is about
// to be available.
func (p *pass) landing(f InFlight) bool {
	n := p.node(f.Node, f.NodeUID)
	return n != nil && n.Ready && n.Schedulable && p.pending(f) == nil && p.arrives(n, f.At)
}

// withoutOld is the node as its new agent makes it, once that may start beside the
// one that has to go.
func (p *pass) withoutOld(n *health.Node) *health.Node {
	f := p.inFlight(n)
	if f == nil || len(n.Agents) < 2 || n.Pod(f.PodUID) == nil || !slices.ContainsFunc(n.Agents, func(a health.Agent) bool {
		return a.UID != f.PodUID && !a.Gated && !a.Terminating
	}) {
		return n
	}
	out := *n
	out.Agents = slices.DeleteFunc(slices.Clone(n.Agents), func(a health.Agent) bool { return a.UID == f.PodUID || a.Gated })
	return &out
}

// besideOld counts the nodes in flight that a surge has not taken from what serves them.
func (p *pass) besideOld() int {
	if !p.surges() {
		return 0
	}
	count := 0
	for _, f := range p.next.InFlight {
		if n := p.node(f.Node, f.NodeUID); n != nil && n.Present() {
			count++
		}
	}
	return count
}
