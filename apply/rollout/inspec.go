package rollout

import (
	"fmt"

	"github.com/rollcall-dev/rollcall/health"
)

// The candidate in the spec. A policy may want pods that appear by themselves in
// the middle of a rollout to get the candidate, and of a DaemonSet that another
// tool writes there is no choice. Then no pulse is opened and no gate closed:
//
//	the first wave begins ... the candidate is written, without the gate
//	a wave's nodes .......... their intents are recorded, their pods deleted
//	any other new pod ....... is of the candidate, and nobody opened it
//	rejected ................ the proven template is written back, and every node
//	                          with a candidate goes back within the budget
//
// The steps are the executor's, as in a pulse; what another tool writes is only
// ever read, so that the way back of such a DaemonSet is that tool's: rollcall
// touches no further node until the template is the proven one again.

// inSpec is whether the candidate goes over the nodes from the DaemonSet's own
// spec. A first version has its gate to wait behind, and so has one that moves: from
// the spec it would move at once.
func (p *pass) inSpec() bool {
	return p.next.Proven != nil && (p.in.Foreign || p.in.Policy.NewPodsCandidate && !p.moving)
}

// holds is the digest that the DaemonSet is to hold now, outside a pulse. A
// candidate is in the spec from its first wave on, until it is rejected.
func (p *pass) holds() string {
	if p.inSpec() && p.next.Candidate != nil && p.next.Waves != nil && p.next.rejection(p.candidate()) == nil {
		return p.candidate()
	}
	return p.rest()
}

// holdsEnough is whether the template may stay as it is until a node is replaced:
// it is the one to be held, or the proven one before the candidate is written.
func (p *pass) holdsEnough() bool {
	live := p.in.Live
	return live.Gated == (p.firstWaves() || p.installHeld) && live.Won == p.won(false) && (live.Digest == p.holds() || p.inSpec() && live.Digest == p.rest())
}

// replaceInSpec deletes the pods of the next nodes, once the DaemonSet makes new
// ones of the candidate. It returns false when there is nothing to do.
func (p *pass) replaceInSpec() bool {
	batch := p.affordable(p.batch())
	if len(batch) == 0 {
		return false
	}
	if p.in.Live.Digest != p.candidate() {
		p.writeCandidate(batch[0])
		return true
	}
	var taken []*health.Node
	for _, r := range batch {
		n := p.node(r.Node, r.UID)
		if f := p.inFlight(n); f == nil || f.PodUID != n.Agent().UID {
			taken = append(taken, p.touch(r))
		}
		p.do(deletion(n, n.Agent(), ForReplace))
	}
	p.take(taken)
	return true
}

// writeCandidate puts the candidate into the spec, unless nodes that were given the
// proven version wait for their pods of it: those come from the template as it is.
func (p *pass) writeCandidate(first *Record) {
	if until := p.awaitedPods(); p.in.Now.Before(until) {
		p.wakeAt(until)
		return
	}
	a := p.node(first.Node, first.UID).Agent()
	p.do(Step{Action: WriteTemplate, Digest: p.candidate(), Pod: a.Name, PodUID: a.UID})
}

// startUngated lets the time of a touched node begin when its pod of the candidate
// is there: nobody had to open a gate. A pod that came after it, since somebody
// deleted that one, has its own time.
func (p *pass) startUngated(r *Record, n *health.Node) {
	a := n.Agent()
	if !p.inSpec() || !p.runsCandidate(n) || r.Self || r.Ran && !a.Created.After(r.Touched) {
		return
	}
	if f := p.inFlight(n); f != nil && f.PodUID == a.UID {
		return
	}
	r.Touched, r.Ran, r.Well, r.Breaks = p.in.Now, true, false, 0
}

// takenInSpec is whether the agent of the node went for a candidate in the spec, or may
// have gone though it is still seen: the next one is of the candidate.
func (p *pass) takenInSpec(r *Record, n *health.Node) bool {
	if !p.inSpec() || p.next.Candidate == nil || r.Touched.IsZero() {
		return false
	}
	if seen := r.Touched.Add(cacheLag); p.in.Now.Before(seen) {
		p.wakeAt(seen)
		return true
	}
	a := n.Agent()
	return a == nil || a.Digest == p.candidate()
}

// keptInSpec says of nodes that failed within the failure budget that they are given
// nothing else while the candidate is in the spec; empty when there are none.
func (p *pass) keptInSpec() string {
	failed := 0
	for i := range p.next.Records {
		r := &p.next.Records[i]
		if n := p.node(r.Node, r.UID); n != nil && r.Failed != "" && p.down(n) {
			failed++
		}
	}
	if failed == 0 || !p.inSpec() || p.awaitsSpec() {
		return ""
	}
	return fmt.Sprintf(", or maxUnavailable has to be larger: %d of them failed within the failureBudget and get the candidate again, which is in the DaemonSet", failed)
}

// judgeUnasked judges the candidate where it came by itself. That is no evidence for
// it, since no wave has the node, but a failure is evidence against it: the node is
// recorded, and in no wave either.
func (p *pass) judgeUnasked() {
	if !p.inSpec() {
		return
	}
	var failed []Record
	for i := range p.in.Fleet {
		n := &p.in.Fleet[i]
		if !p.unasked(n) || !p.tells(n) {
			continue
		}
		since := n.Agent().Created
		if n.Ready && n.ReadySince.After(since) {
			since = n.ReadySince
		}
		v := health.Judge(n, since, p.in.Policy.Health, p.in.Now)
		*p.verdict(n) = v
		p.wakeAt(v.Next)
		if v.Status == health.Failed {
			failed = append(failed, Record{Node: n.Name, UID: n.UID, Wave: p.next.Wave, Self: true, Touched: p.in.Now, Ran: true, Failed: v.Reason, FailedMessage: v.Message})
		}
	}
	p.next.Records = mergeRecords(p.next.Records, failed)
}

// unasked is whether the node's candidate came by itself, and nothing else explains
// what the node shows.
func (p *pass) unasked(n *health.Node) bool {
	return n.Eligible && !n.Held && !n.Leaving && p.runsCandidate(n) && p.record(n) == nil && p.inFlight(n) == nil && !p.isOwed(n)
}

// tells is whether what the node shows can be the doing of an agent that came by
// itself: a node that was NotReady before that is not.
func (p *pass) tells(n *health.Node) bool {
	switch {
	case p.barred(n):
		return false
	case n.Ready:
		return true
	default:
		return p.in.Policy.Health.Node && n.ReadySince.After(n.Agent().Created)
	}
}

// foreignStrategy is whether another tool has the DaemonSet updated by Kubernetes
// itself, which then asks nobody.
func (p *pass) foreignStrategy() bool { return p.in.Foreign && !p.in.Live.OnDelete }

// sayForeign says what a DaemonSet that another tool writes waits for, and whether
// it does.
func (p *pass) sayForeign() bool {
	c := p.next.Candidate
	switch {
	case p.foreignStrategy():
		p.say(Held, ReasonStrategy, fmt.Sprintf("spec.updateStrategy.type of the DaemonSet is not OnDelete, so that Kubernetes replaces its pods without asking; %d of %d eligible nodes run the candidate: "+
			"set it to OnDelete in the tool that applies the DaemonSet; nothing is deleted until then", p.d.Counts.Candidate, p.eligible))
	case !p.in.Foreign || c == nil || p.in.Paused || p.next.rejection(c.Digest) == nil:
		return false
	default:
		r := p.next.rejection(c.Digest)
		p.say(Rejected, r.Reason, fmt.Sprintf("%s: %s; no further node is touched, and %d of %d eligible nodes run it: revert the DaemonSet to %s in the tool that applies it, and they go back at once; or apply a fix there, or retry the digest",
			short(r.Version), r.Message, p.d.Counts.Candidate, p.eligible, short(*p.next.Proven)))
	}
	return true
}

// awaitsSpec is whether the candidate is not in the spec yet: what is deleted comes
// back proven.
func (p *pass) awaitsSpec() bool {
	return !p.in.Foreign && p.next.Waves == nil && p.in.Live.Digest == p.rest()
}
