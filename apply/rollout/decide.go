package rollout

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/health"
)

// goal is the direction of a decision. The set is closed.
type goal int

const (
	goalRest goal = iota // every node shall run the proven version, and Git agrees
	goalBack             // the candidate is rejected: touched nodes go back
	goalForward
	goalInstall // nothing is proven yet, and every node gets the candidate at once
	goalStop    // paused, or held for a person after a rejection
	goalWait    // it is not known what Git declares, and nothing of before is on its way
)

// pass is one decision being made.
type pass struct {
	in   Input
	next State
	goal goal
	// about is the candidate that the records to be written are about.
	about string
	// verdicts of touched nodes, in the order of the fleet; empty for the others.
	verdicts []health.Verdict
	eligible int
	// waving is whether a first version has begun in waves, and installHeld whether
	// one for all nodes at once has not begun, and may not.
	waving, installHeld bool
	// moving is whether nodes are lost or won by the version on its way.
	moving bool
	// vacant are the nodes that a removal took the agent from, by their place in the fleet;
	// nil when there are none.
	vacant []bool
	// seen is the fleet as it is while vacant nodes look otherwise.
	seen []health.Node
	// tailWaits is whether nothing is begun on late nodes.
	tailWaits bool
	queue     queue
	// stays is why stragglers are not given the proven version; nil while they are.
	stays *Block
	// Where the fleet, and what is recorded of it, was last searched.
	atNode, atRecord, atFlight, atOwed, atBusy finger
	atBehind                                   []finger

	d Decision
}

// Decide says what to record and what to do next. The order of its rules is part
// of the contract: what must not be left half-way comes first (strategy,
// generation, an open pulse, gated pods), then the policy.
func Decide(in Input) Decision {
	p := newPass(in)
	p.settle()
	p.chooseGoal()
	p.installHeld = p.holdsInstall()
	p.gatherEvidence()
	p.dropVacant()
	if !p.finishStarted() {
		p.advance()
	}
	p.report()
	p.next.About = cmp.Or(p.about, p.candidate())
	p.d.Next = p.next
	return p.d
}

func newPass(in Input) *pass {
	p := &pass{in: in, next: in.State.clone(), verdicts: make([]health.Verdict, len(in.Fleet)), atBehind: make([]finger, len(in.After)), moving: isMoving(&in)}
	p.limitPolicy()
	p.seeVacant()
	p.placeNodes()
	runs := false
	for i := range in.Fleet {
		if p.in.Fleet[i].Eligible {
			p.eligible++
		}
		a := in.Fleet[i].Agent()
		runs = runs || a != nil && !a.Gated
	}
	p.waving = in.State.Waves != nil || in.Live.Gated && runs
	return p
}

// node returns the node that a record is of, or nil when it is gone.
func (p *pass) node(name string, uid types.UID) *health.Node {
	if i := p.place(name); i < len(p.in.Fleet) && p.in.Fleet[i].UID == uid {
		return &p.in.Fleet[i]
	}
	return nil
}

// place is where the node of that name is in the fleet.
func (p *pass) place(name string) int {
	return p.atNode.find(name, len(p.in.Fleet), func(i int) string { return p.in.Fleet[i].Name })
}

// verdict is that of a node of the fleet, to be read and written.
func (p *pass) verdict(n *health.Node) *health.Verdict {
	return &p.verdicts[p.place(n.Name)]
}

// takeWanted makes what Git asks for the candidate, unless it is proven.
func (p *pass) takeWanted() {
	want := p.in.Want
	switch {
	case p.in.Unknown != nil: // what was asked for last stands
	case want == nil && p.next.Proven == nil: // what was declared first is all there is
	case want == nil || p.next.Proven != nil && want.Digest == p.next.Proven.Digest:
		p.next.Candidate = nil
		p.next.Wave, p.next.WaveStarted = 0, time.Time{}
	case p.next.Candidate == nil || p.next.Candidate.Digest != want.Digest:
		p.next.Candidate = &Version{Digest: want.Digest, Commit: want.Commit}
		p.restart()
		p.oweStrangers(false)
	}
}

// chooseGoal compares what Git asks for with what is recorded.
func (p *pass) chooseGoal() {
	p.takeWanted()
	p.answerRetry()
	c := p.next.Candidate
	switch {
	case p.in.Unknown != nil && (c == nil || p.next.Proven == nil && !p.firstWaves()):
		p.goal = goalWait
	case c == nil:
		p.goal = goalRest
	case p.next.Proven == nil && !p.firstWaves():
		p.goal = goalInstall
	case p.next.rejection(c.Digest) == nil:
		p.goal = goalForward
	case p.staysRejected():
		p.goal = goalStop
	default:
		p.goal = goalBack
	}
	if p.stopped() {
		p.goal = goalStop
	}
}

// stopped is whether nothing is replaced, in either direction.
func (p *pass) stopped() bool { return p.in.Paused || p.foreignStrategy() }

// staysRejected is whether touched nodes stay as they are after a rejection: for a
// person to look at, or until another tool reverts the template.
func (p *pass) staysRejected() bool { return p.in.Policy.HoldOnFailure || p.in.Foreign }

// answerRetry forgets the rejection of the digest that a person wants tried
// again, once for each time it is asked.
func (p *pass) answerRetry() {
	if p.in.Retry == p.next.HandledRetry {
		return
	}
	p.next.HandledRetry = p.in.Retry
	if p.next.rejection(p.in.Retry) == nil {
		if p.in.Retry == p.candidate() {
			for i := range p.next.Records {
				p.next.Records[i].Tries = 0
			}
		}
		return
	}
	kept := p.next.Rejected[:0]
	for _, r := range p.next.Rejected {
		if r.Digest != p.in.Retry {
			kept = append(kept, r)
		}
	}
	p.next.Rejected = kept
	if c := p.next.Candidate; c != nil && c.Digest == p.in.Retry {
		p.restart()
	}
}

// restart begins the waves anew.
func (p *pass) restart() {
	p.owe()
	waving := p.firstWaves() && p.waving
	p.next.Waves, p.next.Wave, p.next.WaveStarted, p.next.Records = nil, 0, time.Time{}, nil
	if waving {
		p.next.Waves = []Wave{}
	}
}

// ran is whether the candidate has run on the node, or will, for it was in the spec as
// the node's agent went.
func (p *pass) ran(r Record) bool { return r.Ran || p.inSpec() && !r.Touched.IsZero() }

// owe remembers of waves that are about to be forgotten on which nodes their
// candidate ran, or will when it was in the spec as their agents went.
func (p *pass) owe() {
	for _, r := range p.next.Records {
		o := Owed{Node: r.Node, UID: r.UID}
		o.Left = r.Left
		if (p.ran(r) && !r.First && !r.SickBefore || r.Left) && !r.KeptOut && !p.paid(o) {
			p.next.Owed = append(p.next.Owed, o)
		}
	}
	slices.SortFunc(p.next.Owed, func(a, b Owed) int { return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.UID, b.UID)) })
	p.next.Owed = slices.Compact(p.next.Owed)
}

// rest is the digest that the DaemonSet holds outside a pulse: the proven one,
// or the candidate while nothing is proven. Empty when there is neither.
func (p *pass) rest() string {
	switch {
	case p.next.Proven != nil:
		return p.next.Proven.Digest
	case p.next.Candidate != nil:
		return p.next.Candidate.Digest
	default:
		return ""
	}
}

// firstWaves is whether the first version goes over the nodes in waves. The rest
// state is the candidate with its gate then: each pod waits for its wave. What has
// begun so goes on so, whatever the policy says by now.
func (p *pass) firstWaves() bool {
	return p.next.Proven == nil && p.next.Candidate != nil && (p.waving || !p.in.Policy.InstallAll)
}

// candidate is the digest on its way, or empty.
func (p *pass) candidate() string {
	if p.next.Candidate == nil {
		return ""
	}
	return p.next.Candidate.Digest
}

// wakeAt asks to be woken at t, if nothing earlier is asked for.
func (p *pass) wakeAt(t time.Time) {
	if t.IsZero() {
		return
	}
	if p.d.Wake.IsZero() || t.Before(p.d.Wake) {
		p.d.Wake = t
	}
}

func (p *pass) say(phase Phase, reason, message string) {
	p.d.Phase, p.d.Reason, p.d.Message = phase, reason, message
}

func (p *pass) do(s ...Step) {
	p.d.Steps = append(p.d.Steps, s...)
}
