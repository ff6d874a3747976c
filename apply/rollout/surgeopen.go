package rollout

import (
	"fmt"
	"time"

	"github.com/rollcall-dev/rollcall/health"
)

// When a surge may be opened, and for which nodes on the way back.

// awaitsAgents is whether the next surge has to wait: for an agent that is about to
// become Ready, or to be made, which Kubernetes would take away; or for a node that
// gets no pod now, such as one that is about to go, whose agent it would take too.
// None of these is waited for longer than an agent is that does not become healthy.
func (p *pass) awaitsAgents() bool {
	if p.awaitsTainted() {
		return true
	}
	awaits := false
	hurries := p.hurries()
	for i := range p.in.Fleet {
		n := &p.in.Fleet[i]
		if hurries || n.Present() || !p.reachable(n) || p.inFlight(n) != nil && p.pending(*p.inFlight(n)) != nil {
			continue
		}
		since := n.ReadySince
		if a := n.Agent(); a != nil && a.Created.After(since) {
			since = a.Created
		}
		if v := health.Judge(n, since, p.in.Policy.Health, p.in.Now); v.Status == health.Progressing {
			p.wakeAt(v.Next)
			awaits = true
		}
	}
	return awaits
}

// awaitsTainted is whether the next surge waits for nodes that it would take the agent
// of: each for the deadline since the rollout last got on, and then no more of them
// than maxUnavailable may be without one.
func (p *pass) awaitsTainted() bool {
	served, bare := p.losers()
	until := p.lastStep().Add(p.in.Policy.Health.Deadline)
	why := fmt.Sprintf("the next surge waits for %s that a taint keeps new pods out of: it would take the agents there, and give them no other; it begins when their taints or they themselves are gone, with replace: delete,", counted(served))
	switch {
	case served == 0:
		return false
	case p.in.Now.Before(until):
		p.say(Waiting, ReasonSurgeWaits, fmt.Sprintf("%s or without them at %s", why, timeOfDay(until)))
		p.wakeAt(until)
	case served+bare > p.budget():
		p.say(Held, ReasonSurgeWaits, fmt.Sprintf("%s or when no more than maxUnavailable (%d) are tainted; beside them %d have lost theirs", why, p.budget(), bare))
	default:
		return false
	}
	return true
}

// lastStep is when the rollout last began a wave, or a node of it became healthy.
func (p *pass) lastStep() time.Time {
	last := p.next.WaveStarted
	for i := range p.next.Records {
		is, place := p.standingAt(&p.next.Records[i])
		if is == standingDone && p.verdicts[place].Since.After(last) {
			last = p.verdicts[place].Since
		}
	}
	return last
}

// hurries is whether a way has got on by nothing for the deadline: then nodes wait for a
// surge, and no surge for them. Otherwise none would ever come to its end in a fleet
// that nodes keep joining, or in which an agent that is not Ready for long keeps failing.
func (p *pass) hurries() bool {
	since := p.lastStep()
	if r := p.next.rejection(p.candidate()); r != nil && p.goal != goalForward {
		since = r.At
	}
	return !p.in.Now.Before(since.Add(p.in.Policy.Health.Deadline))
}

// bearable is how many nodes may be left with nothing by the surge that is open until it
// has come to its end, and since when a node is a new one, which has had no agent yet
// and is not counted. The way back is not put off for one.
func (p *pass) bearable() (most int, since time.Time) {
	if p.goal == goalForward {
		if p.hurries() {
			return p.budget(), p.lastStep()
		}
		return 0, p.in.Now
	}
	since = p.in.Now
	for _, f := range p.next.InFlight {
		if f.At.Before(since) {
			since = f.At
		}
	}
	return p.budget(), since
}

// keepsSame is whether the agent of the candidate, which was about to be taken on the
// way back, may stay after all: no surge would give the node another one of it.
func (p *pass) keepsSame(n *health.Node) bool {
	r := p.record(n)
	return p.surges() && n.Present() && p.runsCandidate(n) && r != nil && !r.Touched.IsZero()
}

// surgesInVain is whether the agent of the candidate has to go for another one of it:
// the node is given the proven version in between.
func (p *pass) surgesInVain(r *Record, n *health.Node) bool {
	return p.surges() && p.runsCandidate(n) && p.waits(r)
}

// losers counts the nodes that a surge would take the agent of, and those like them
// that have none.
func (p *pass) losers() (served, bare int) {
	for i := range p.in.Fleet {
		n := &p.in.Fleet[i]
		switch {
		case p.losesAgent(n):
			served++
		case n.Eligible && n.Ready && !n.Schedulable && n.Agent() == nil:
			bare++
		}
	}
	return served, bare
}

// losesAgent is whether the node is served, and a surge would leave it with nothing:
// a taint keeps the second pod out.
func (p *pass) losesAgent(n *health.Node) bool {
	return n.Eligible && n.Present() && !n.Schedulable
}
