package rollout

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/rollcall-dev/rollcall/health"
)

// MaxFailing is how many nodes are listed by name; the API shows as many.
const MaxFailing = 20

// report counts the fleet, lists what is wrong, and names the phase if no rule
// did.
func (p *pass) report() {
	p.count()
	p.listFailing()
	if p.next.Candidate != nil && (p.next.Proven != nil || p.firstWaves()) {
		waves := p.waves()
		p.d.Wave, p.d.Waves = waves[p.next.Wave], len(waves)
	}
	if p.d.Phase == "" {
		p.sayDefault()
	}
	p.sayMoved()
	p.sayRemoval()
}

func (p *pass) count() {
	c := &p.d.Counts
	for i := range p.in.Fleet {
		n := &p.in.Fleet[i]
		if n.Held {
			c.Held++
		}
		if !n.Eligible {
			continue
		}
		if p.isVacant(i) { // it shall have none
			c.Candidate++
			if p.verdicts[i].Status == health.Healthy {
				c.Healthy++
			}
			continue
		}
		c.Eligible++
		if n.Present() {
			c.Present++
		}
		if !n.Ready {
			c.Unreachable++
		}
		if p.candidate() != "" && p.runsCandidate(n) {
			c.Candidate++
		}
		if p.verdicts[i].Status == health.Healthy {
			c.Healthy++
		}
	}
	c.Failed = p.failedCount()
	c.Absent = c.Eligible - c.Present
	c.Unavailable = p.unavailable() - p.besideOld()
}

func (p *pass) failedCount() int {
	count := 0
	for _, r := range p.next.Records {
		if r.Failed != "" && !r.KeptOut {
			count++
		}
	}
	return count
}

func (p *pass) listFailing() {
	for _, r := range p.next.Records {
		if len(p.d.Failing) == MaxFailing {
			return
		}
		if r.Failed != "" {
			p.d.Failing = append(p.d.Failing, health.Problem{Node: r.Node, Reason: r.Failed, Message: r.FailedMessage, Since: r.Touched})
		}
	}
	for i := range p.in.Fleet {
		if len(p.d.Failing) == MaxFailing {
			return
		}
		n := &p.in.Fleet[i]
		if x, wrong := health.RollCall(n); wrong && !p.isVacant(i) && !p.accounted(n, x) {
			p.d.Failing = append(p.d.Failing, p.inPlay(n, x))
		}
	}
}

// accounted is whether the rollout itself is why the roll call names the node, or names
// it already; the record of an earlier node of that name is not about this one.
func (p *pass) accounted(n *health.Node, x health.Problem) bool {
	if r := p.record(n); r != nil && r.Failed != "" || p.explained(n) {
		return true
	}
	return x.Reason == health.ReasonDuplicate && p.inFlight(n) != nil
}

// inPlay is the problem, or that rollcall itself is at work on the node, which
// explains why there is no pod, an old one or one that is gated.
func (p *pass) inPlay(n *health.Node, x health.Problem) health.Problem {
	f := p.inFlight(n)
	if f == nil || x.Reason == health.ReasonNodeNotReady || x.Reason == health.ReasonTainted || p.overdue(*f) {
		return x
	}
	if a := n.Agent(); a == nil || a.Gated {
		x.Message, x.Since = "its agent is being replaced", f.At
	}
	return x
}

// sayDefault names the phase from the goal: in the middle of a pulse no rule of
// the policy has been asked.
func (p *pass) sayDefault() {
	switch p.goal {
	case goalStop:
		p.sayStopped()
	case goalWait:
		if !p.sayRejected() {
			p.sayBlock(p.in.Unknown)
		}
	case goalForward:
		p.sayForward()
	case goalInstall:
		p.sayInstalling()
	case goalBack:
		p.sayGoingBack()
	case goalRest:
		p.sayRest()
	}
}

func (p *pass) sayGoingBack() {
	switch {
	case p.next.Proven != nil && p.stays == nil && p.stillTouched():
		p.say(Returning, ReasonReturning, "touched nodes go back to "+short(*p.next.Proven))
	case p.sayRejected() && p.stays != nil:
		p.d.Message += "; " + p.stays.Message
	}
}

func (p *pass) sayInstalling() {
	switch {
	case p.sayRejected():
	case p.installHeld:
		p.sayBlock(p.hold())
	default:
		p.say(Replacing, ReasonInstalling, "first install")
	}
}

func (p *pass) sayForward() {
	if p.removes() {
		p.sayRemoving()
		return
	}
	c := p.d.Counts
	reason, wave := ReasonReplacing, "wave "+p.waveName()
	if p.firstWaves() {
		reason, wave = ReasonInstalling, "first install, "+wave
	}
	p.say(Replacing, reason, fmt.Sprintf("%s: %d of %d eligible nodes run the candidate, %d healthy, %d unavailable of at most %d%s",
		wave, c.Candidate, c.Eligible, c.Healthy, c.Unavailable, p.budget(), p.sayLost()))
}

// sayLost says of nodes that had the candidate and lost it that they put off the others:
// for ever, if that happens often enough. Empty when there are none.
func (p *pass) sayLost() string {
	lost := 0
	for i := range p.next.Records {
		r := &p.next.Records[i]
		if n := p.node(r.Node, r.UID); n != nil && r.Ran && r.Touched.Before(p.in.Now) && r.Failed == "" && !p.runsCandidate(n) {
			lost++
		}
	}
	if lost == 0 {
		return ""
	}
	return fmt.Sprintf("; %s had it and lost it, first in line for it now: see what deletes agents if that goes on, or raise maxUnavailable", counted(lost))
}

// outdated counts eligible nodes with an agent that is not of the rest version, by
// why that stays so.
type outdated struct {
	held, failed, away, other int
	// first is one of them by name.
	first string
}

func (o outdated) sum() int { return o.held + o.failed + o.away + o.other }

func (o outdated) String() string {
	var parts []string
	for _, p := range []struct {
		count int
		why   string
	}{
		{o.held, "held out by label"}, {o.failed, "failed it and are not tried again"}, {o.away, "not to be reached (NotReady or tainted)"}, {o.other, "about to be given the proven one"},
	} {
		if p.count > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.count, p.why))
		}
	}
	return strings.Join(parts, ", ") + " (first " + o.first + ")"
}

func (p *pass) outdated() (out outdated) {
	for i := range p.in.Fleet {
		n := &p.in.Fleet[i]
		if a := n.Agent(); !n.Eligible || a == nil || a.Gated || a.Digest == p.rest() {
			continue
		}
		out.first = cmp.Or(out.first, n.Name)
		switch r := p.record(n); {
		case n.Held:
			out.held++
		case r != nil && r.KeptOut:
			out.failed++
		case !p.reachable(n):
			out.away++
		default:
			out.other++
		}
	}
	return out
}

func (p *pass) stillTouched() bool {
	return p.flying() > 0 || len(p.strangers()) > 0
}

// sayRejected explains the rejection of the candidate, if it is rejected.
func (p *pass) sayRejected() bool {
	r := p.next.rejection(p.candidate())
	if r == nil {
		return false
	}
	back := "there is no proven version to return to"
	if p.next.Proven != nil {
		back = "touched nodes run " + short(*p.next.Proven) + " again"
		if away := p.d.Counts.Candidate + len(p.next.InFlight); away > 0 {
			back += fmt.Sprintf(" but for %d without an available agent", away)
		}
	}
	p.say(Rejected, r.Reason, fmt.Sprintf("%s: %s; %s; push a fix or retry the digest", short(r.Version), r.Message, back))
	return true
}

func (p *pass) sayStopped() {
	if p.sayForeign() {
		return
	}
	if b := p.tripped(); p.in.Paused && b != nil && p.next.Candidate != nil {
		p.say(Held, b.Reason, b.Message+"; it is paused besides")
		return
	}
	if p.in.Paused {
		p.say(Held, ReasonPaused, fmt.Sprintf("paused with %d of %d eligible nodes on the candidate; resume to go on", p.d.Counts.Candidate, p.eligible))
		return
	}
	r := p.next.rejection(p.candidate())
	p.say(Held, r.Reason, fmt.Sprintf("%s: %s; onFailure is hold: %s it until a fix is pushed, it is reverted or retried", short(r.Version), r.Message, those(int(p.d.Counts.Candidate), "still runs", "still run")))
}

func (p *pass) sayRest() {
	c, late := p.d.Counts, p.outdated()
	switch {
	case p.next.Proven == nil:
		p.say(Waiting, ReasonProven, "nothing is declared yet")
	case c.Absent > 0:
		others := ""
		if late.sum() > 0 {
			others = fmt.Sprintf("; %d run another version: %s", late.sum(), late)
		}
		p.say(Proven, ReasonAgentsAbsent, fmt.Sprintf("%s is proven; %d of %d eligible nodes have no Ready agent%s", short(*p.next.Proven), c.Absent, c.Eligible, others))
	case late.sum() > 0:
		p.say(Proven, ReasonNodesOutdated, fmt.Sprintf("%s is proven; of %d eligible nodes %d run another version: %s", short(*p.next.Proven), c.Eligible, late.sum(), late))
	default:
		p.say(Proven, ReasonProven, fmt.Sprintf("%s runs on all %d eligible nodes", short(*p.next.Proven), c.Eligible))
	}
}
