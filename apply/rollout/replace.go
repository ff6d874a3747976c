package rollout

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/rollcall-dev/rollcall/health"
)

// maxTries is how often a node is replaced without ever becoming healthy on the
// candidate. What falls back that often is not the candidate's doing: its old
// pod outlasts every pulse, or somebody deletes the new one.
const maxTries = 3

// replace records the next nodes and opens a pulse for them. It returns false
// when there is nothing to replace.
func (p *pass) replace() bool {
	if p.firstWaves() {
		return p.replaceFirst()
	}
	if p.inSpec() {
		return p.replaceInSpec()
	}
	batch := p.batch()
	waiting, most := len(batch), p.atOnce(batch)
	entering := p.entering()
	if batch = p.affordable(batch); len(batch)+len(entering) == 0 {
		return false
	}
	if _, until := p.late(); p.in.Now.Before(until) {
		p.wakeAt(until)
		return false
	}
	if until := cmp.Or(p.awaitedPods(), p.gathers(batch, waiting, most)); p.in.Now.Before(until) {
		p.wakeAt(until)
		return true
	}
	if p.surges() && p.awaitsAgents() {
		return true
	}
	taken := make([]*health.Node, 0, len(batch))
	for _, r := range batch {
		taken = append(taken, p.touch(r))
	}
	p.take(taken)
	if p.surges() {
		p.openSurge(p.candidate())
		return true
	}
	p.enter(entering)
	s := Step{Action: WriteTemplate, Digest: p.candidate(), Gated: true, Moved: p.moving, Won: p.won(true)}
	if len(batch) > 0 {
		first := p.node(batch[0].Node, batch[0].UID).Agent()
		s.Pod, s.PodUID = first.Name, first.UID
	}
	p.do(s)
	return true
}

// touch records that the agent of the node has to go, and returns the node.
func (p *pass) touch(r *Record) *health.Node {
	n := p.node(r.Node, r.UID)
	a := n.Agent()
	f := p.inFlight(n)
	if r.Touched.IsZero() {
		r.SickBefore = !p.firstWaves() && p.sick(n) && (f == nil || f.Idle) && !(p.inSpec() && p.isOwed(n)) // no first version excuses the next
	}
	if f == nil || f.PodUID != a.UID {
		r.Tries++
	}
	r.Touched, r.Found, r.Well, r.Breaks = p.in.Now, false, false, 0
	r.Left = r.Left && !p.removes()
	*p.verdict(n) = health.Verdict{}
	return n
}

// sick is whether the node's agent is not available and not about to be: it
// would fail by the rule that the candidate is held to.
func (p *pass) sick(n *health.Node) bool {
	return !n.Present() && health.Judge(n, n.Agent().Created, p.in.Policy.Health, p.in.Now).Status == health.Failed
}

// affordable are the nodes that may be replaced now: those recorded for it already,
// and of the others as many as the budget leaves. One that lost its agent
// otherwise costs nothing, but no more than the budget's nodes wait for their gates
// at any time: without rollcall they would do so for ever.
func (p *pass) affordable(batch []*Record) []*Record {
	if len(batch) == 0 {
		return nil
	}
	room, seats := p.beside(p.downNodes()), p.budget()-p.seated()
	return slices.DeleteFunc(batch, func(r *Record) bool {
		n := p.node(r.Node, r.UID)
		f, down := p.inFlight(n), p.down(n)
		switch {
		case f != nil && seated(*f, n):
			return room.over(n) && n.Present() && p.pending(*f) != nil // it has recovered
		case seats <= 0, !down && !room.has(n):
			return true
		case !down:
			room.take(n)
		}
		seats--
		return false
	})
}

// seated counts the nodes that wait for their gates, or would if a pulse went on.
func (p *pass) seated() int {
	count := 0
	for _, f := range p.next.InFlight {
		if n := p.node(f.Node, f.NodeUID); n == nil || seated(f, n) {
			count++
		}
	}
	return count
}

// seated is whether the node in flight has no other pod yet that could serve it.
func seated(f InFlight, n *health.Node) bool {
	a := n.Agent()
	return a == nil || a.Gated || a.UID == f.PodUID
}

// awaitedPods is until when a pulse has to wait for nodes that are to get their
// pods from the template as it is.
func (p *pass) awaitedPods() (until time.Time) {
	for _, f := range p.next.InFlight {
		n := p.node(f.Node, f.NodeUID)
		if end := p.pulseEnd(f); n != nil && p.reachable(n) && n.Agent() == nil && end.After(until) {
			until = end
		}
	}
	return until
}

// batch are the nodes of the waves so far that wait for the candidate: those of
// a superseded candidate first, then sick ones (they cost least), then by wave.
func (p *pass) batch() []*Record {
	var out [3][]*Record
	for i := range p.next.Records {
		if r := &p.next.Records[i]; p.waits(r) && p.isNext(r) && !p.givenUp(r) && !(p.tailWaits && r.tail()) && !p.waitsForOthers(p.node(r.Node, r.UID)) {
			u := p.urgency(r)
			out[u] = append(out[u], r)
		}
	}
	for _, same := range out {
		slices.SortStableFunc(same, func(a, b *Record) int { return cmp.Compare(a.Wave, b.Wave) })
	}
	return slices.Concat(out[:]...)
}

// givenUp is whether the node was tried often enough. A try that is recorded
// and not begun is still to be made.
func (p *pass) givenUp(r *Record) bool {
	if r.Tries < maxTries {
		return false
	}
	f := p.inFlight(p.node(r.Node, r.UID))
	return f == nil || p.pending(*f) == nil
}

// waits is whether the node's agent has to be replaced: it is of another
// version, was recorded but not deleted yet, or is a candidate that failed
// before it was tried again.
func (p *pass) waits(r *Record) bool {
	if r.Failed != "" || r.Excused {
		return false
	}
	n := p.node(r.Node, r.UID)
	if n == nil || !p.reachable(n) {
		return false
	}
	a := n.Agent()
	if a == nil || a.Gated {
		return p.firstWaves() && p.waitsForFirst(n)
	}
	return p.isToGo(r, n, a) || p.goesAgain(n)
}

// goesAgain is whether the agent of the candidate is recorded to go, for another one.
func (p *pass) goesAgain(n *health.Node) bool {
	f := p.inFlight(n)
	return f != nil && f.PodUID == n.Agent().UID && !p.keepsSame(n)
}

// isPodless is whether the node was to get a pod.
func (p *pass) isPodless(r *Record, n *health.Node) bool {
	return n.Agent() == nil && (p.inFlight(n) != nil || n.Won && !r.Touched.IsZero())
}

// isToGo is whether the agent is not what the node is to have.
func (p *pass) isToGo(r *Record, n *health.Node, a *health.Agent) bool {
	return n.Lost && p.moving || a.Digest != p.candidate() || r.Touched.IsZero()
}

// urgency is the node's place in a batch: 0, 1 or 2.
func (p *pass) urgency(r *Record) int {
	n := p.node(r.Node, r.UID)
	switch {
	case n.Agent().Digest != p.rest():
		return 0
	case !n.Present():
		return 1
	default:
		return 2
	}
}

// blocked counts why nodes of the waves so far are not done.
type blocked struct {
	tried, waiting, podless, ending, away int
	// moving nodes are on their way, with a deadline.
	moving int
	// keeping are those that wait for what others do.
	keeping keeping
}

func (p *pass) countBlocked() (b blocked) {
	for i := range p.next.Records {
		r := &p.next.Records[i]
		if p.standing(r) == standingBlocked && (!p.waits(r) || p.isNext(r)) {
			b.add(p, r)
		}
	}
	return b
}

func (b *blocked) add(p *pass, r *Record) {
	n := p.node(r.Node, r.UID)
	switch {
	case p.waits(r):
		b.addWaiting(p, r, n)
	case p.isOutside(r, n):
		b.addOutside(p, r, n)
	case !p.reachable(n) && !r.Down:
		b.away++
	case n.Agent() == nil && p.inFlight(n) != nil && len(n.Agents) > 0:
		b.ending++
	case p.isPodless(r, n):
		b.podless++
	default:
		b.moving++
	}
}

func (b *blocked) addWaiting(p *pass, r *Record, n *health.Node) {
	switch {
	case p.givenUp(r):
		b.tried++
	case p.kept(n):
		p.keep(&b.keeping, n)
	default:
		b.waiting++
	}
}

// sayBlocked explains a wave in which nothing moves and nothing is awaited.
func (p *pass) sayBlocked() {
	b := p.countBlocked()
	late, until := p.late()
	wave := "wave " + p.waveName()
	switch {
	case b.moving > 0, p.flying() > 0:
	case late > 0 && p.in.Now.Before(until):
		p.say(Held, ReasonPulseTimedOut, fmt.Sprintf("%s: %s the old pods for %s after these were to be replaced: the DaemonSet controller does not take up the template (is kube-controller-manager running, is there a quota on controllerrevisions?), or nobody may delete their pods; the proven template is back until the next try at %s", wave, those(late, "has kept", "have kept"), p.in.Policy.Grace+pulseSlack, timeOfDay(until)))
		p.wakeAt(until)
	case b.ending > 0:
		p.say(Held, ReasonTerminating, fmt.Sprintf("%s: the old pods of %s are Terminating for more than %s: they get the next one when these are gone; look at their finalizers and at the kubelets of their nodes", wave, counted(b.ending), p.in.Policy.Health.Deadline))
	case b.podless > 0:
		p.say(Held, ReasonNoPod, fmt.Sprintf("%s: %s had no pod for %s, of neither version: look for quota or admission errors in the DaemonSet's events", wave, those(b.podless, "has", "have"), p.in.Policy.Health.Deadline))
	case b.tried > 0:
		p.say(Held, ReasonNeverReplaced, fmt.Sprintf("%s: %s replaced %d times, each time to end with the proven version again: pods of the candidate are refused (see the DaemonSet's events) or their gates cannot be opened, the old pods outlast their grace period by more than %s, or somebody deletes the new ones; see to that and retry the digest, or label the nodes to hold them out", wave, those(b.tried, "was", "were"), maxTries, pulseSlack))
	case b.waiting == 0 && b.keeping.kept():
		p.sayKept(b.keeping, wave)
	case b.waiting > 0:
		p.say(Held, ReasonBudgetSpent, fmt.Sprintf("%s: %s because %s is used up by touched nodes without an available agent; they have to recover or leave%s", wave, those(b.waiting, "waits", "wait"), p.budgetWords(), p.keptInSpec()))
	default:
		p.say(Held, ReasonUnreachable, fmt.Sprintf("%s: %s cannot be reached (NotReady or tainted): each has to come back or leave", wave, counted(b.away)))
	}
}
