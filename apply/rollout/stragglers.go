package rollout

import (
	"cmp"
	"fmt"
	"time"

	"github.com/rollcall-dev/rollcall/health"
)

// Stragglers run a version older than the proven one, and no candidate has touched
// them: they were held out by label, could not be reached, or joined late. To give them
// the proven version is no way back but a step forward, with a version that they never
// had. So it is held by all that holds a candidate, and by evidence against that version:
//
//	a straggler is begun ....... while what fails on the proven version is within failureBudget
//	                             and maxUnavailable has room
//	it takes room .............. until its new agent has been available for readyFor, or for
//	                             good when that fails
//	a node without an agent .... takes room too where the proven version served it before

// straggles is whether the node, which is to be given the proven version, is one.
func (p *pass) straggles(n *health.Node) bool {
	if f := p.inFlight(n); f != nil {
		return f.Straggler
	}
	if r := p.record(n); r != nil && !r.Touched.IsZero() {
		return false
	}
	return !p.isOwed(n) && (p.candidate() == "" || !p.runsCandidate(n))
}

// turnRound makes stragglers of the nodes whose agents were about to go for a candidate
// that is wanted no more and never ran there: what they get now is the proven version,
// which they never had.
func (p *pass) turnRound() {
	for i := range p.next.InFlight {
		f := &p.next.InFlight[i]
		old, n := p.pending(*f), p.node(f.Node, f.NodeUID)
		if old == nil || old.Gated || old.Digest == p.rest() || p.isOwed(n) {
			continue
		}
		if r := p.record(n); r == nil || !p.ran(*r) {
			f.Straggler = true
		}
	}
}

// sorted parts the nodes on which a candidate has been from the stragglers.
func (p *pass) sorted(nodes []*health.Node) (returns, stragglers []*health.Node) {
	for _, n := range nodes {
		if p.straggles(n) {
			stragglers = append(stragglers, n)
		} else {
			returns = append(returns, n)
		}
	}
	return returns, stragglers
}

// holdBack leaves out the stragglers while they have to wait, and says why.
func (p *pass) holdBack(strangers []*health.Node) (others []*health.Node, why *Block) {
	returns, stragglers := p.sorted(strangers)
	if len(stragglers) == 0 {
		return strangers, nil
	}
	b := cmp.Or(p.hold(), p.provenFails())
	if b != nil {
		p.withdraw(func(n *health.Node, _ *health.Agent) bool { return p.straggles(n) })
		return returns, p.notGiven(stragglers, b)
	}
	settled, recovering, until := p.settled(stragglers)
	if len(recovering) > 0 {
		why = p.notGiven(recovering, &Block{Reason: ReasonStragglersWait, Until: until,
			Message: fmt.Sprintf("their agents are not Ready, and may be again until %s: what is to come is judged by what was", timeOfDay(until))})
	}
	return append(returns, settled...), why
}

func (p *pass) notGiven(nodes []*health.Node, b *Block) *Block {
	return &Block{Reason: b.Reason, Until: b.Until, Message: fmt.Sprintf("%s another version than the proven %s, not given it now (first %s): %s",
		those(len(nodes), "runs", "run"), short(*p.next.Proven), nodes[0].Name, b.Message)}
}

// settled parts the stragglers that are served, or are sick, from those whose agents may
// recover, as they do on nodes that have just come back: whether what they are given
// breaks them could not be told. It says until when the first of these may.
func (p *pass) settled(stragglers []*health.Node) (out, recovering []*health.Node, until time.Time) {
	for _, n := range stragglers {
		since := n.Agent().ReadySince
		if n.ReadySince.After(since) {
			since = n.ReadySince
		}
		v := health.Judge(n, since, p.in.Policy.Health, p.in.Now)
		if n.Present() || v.Status == health.Failed || v.Next.IsZero() {
			out = append(out, n)
			continue
		}
		p.wakeAt(v.Next)
		recovering = append(recovering, n)
		if until.IsZero() || v.Next.Before(until) {
			until = v.Next
		}
	}
	return out, recovering, until
}

// provenFails is why the proven version goes to no further node: it fails where it ran,
// or none of the nodes that have it shows that it works.
func (p *pass) provenFails() *Block {
	t := p.tally()
	switch most, have := p.in.Policy.FailureBudget, t.failed+t.well+t.other; {
	case t.failed > most:
		return &Block{Reason: ReasonStragglersWait, Message: fmt.Sprintf("it fails on %d of %d nodes that have it (first %s), and failureBudget allows %d: push a fix, or repair those nodes", t.failed, have, t.first, most)}
	case t.well == 0 && have > 0:
		return &Block{Reason: ReasonStragglersWait, Message: fmt.Sprintf("none of the %d nodes that have it has an agent that has been available for readyFor (%s): one of them has to, or push a fix", have, p.in.Policy.Health.ReadyFor)}
	default:
		return nil
	}
}

// tally counts the nodes that have the proven version, or on which it failed.
type tally struct {
	failed, well, other int
	// first is the first on which it failed, by name.
	first string
}

func (p *pass) tally() (t tally) {
	for i := range p.in.Fleet {
		n := &p.in.Fleet[i]
		switch a := n.Agent(); {
		case !n.Eligible || n.Held:
		case p.failsProven(n):
			t.failed++
			t.first = cmp.Or(t.first, n.Name)
		case a == nil || a.Gated || a.Digest != p.rest():
		case p.stands(n):
			t.well++
		default:
			t.other++
		}
	}
	return t
}

// failsProven is whether the proven version has failed on the node, where it served or
// took the place of one that did.
func (p *pass) failsProven(n *health.Node) bool {
	a, f := n.Agent(), p.inFlight(n)
	switch {
	case f != nil && f.Idle, !n.Ready && n.Leaving, a != nil && a.Gated:
		return false
	case a != nil && a.Digest != p.rest():
		r := p.record(n)
		return r != nil && r.KeptOut // within the failure budget, or in a surge beside the agent that serves
	case f != nil:
		return p.judgedFailed(n, f.At)
	default:
		return a != nil && p.failsAtRest(n, a)
	}
}

// failsAtRest is that of a node on which rollcall is not at work.
func (p *pass) failsAtRest(n *health.Node, a *health.Agent) bool {
	rule := p.in.Policy.Health
	switch {
	case !n.Ready:
		return rule.Node && !n.ReadySince.Before(a.Created) && n.ReadySince.Before(a.Created.Add(rule.Deadline))
	case n.Present():
		return a.Restarts > rule.MaxRestarts && p.before(a.ReadySince.Add(rule.Deadline))
	default:
		return p.servedBefore(a) && p.judgedFailed(n, a.ReadySince)
	}
}

// servedBefore is whether the agent, which is not Ready, was healthy once: it lost that
// later than any that was not could have.
func (p *pass) servedBefore(a *health.Agent) bool {
	return a.ReadySince.After(a.Created.Add(p.in.Policy.Health.ReadyFor))
}

func (p *pass) judgedFailed(n *health.Node, since time.Time) bool {
	v := health.Judge(n, since, p.in.Policy.Health, p.in.Now)
	p.wakeAt(v.Next)
	return v.Status == health.Failed
}

// before is whether it is not that late yet, and asks for a decision when it is.
func (p *pass) before(t time.Time) bool {
	if p.in.Now.Before(t) {
		p.wakeAt(t)
		return true
	}
	return false
}

// stands is whether the node has had an available agent for readyFor.
func (p *pass) stands(n *health.Node) bool {
	return n.Present() && !p.before(n.Agent().ReadySince.Add(p.in.Policy.Health.ReadyFor))
}

// lostStraggler is whether the node was served until it was given the proven version: it
// holds the budget of what comes after that, and gets it first.
func (p *pass) lostStraggler(n *health.Node) bool {
	f := p.inFlight(n)
	return f != nil && f.Straggler && !f.Idle && !n.Present()
}

// stay says what stragglers wait for that nothing is begun on. A rejection is said before
// that, with it.
func (p *pass) stay(why *Block) {
	p.stays = why
	if why == nil {
		return
	}
	if p.goal == goalRest {
		p.sayBlock(why)
	}
	p.wakeAt(why.Until)
}

// why is what the node in flight is given the proven version for.
func (f InFlight) why() Why {
	if f.Straggler {
		return ForStraggler
	}
	return ForReturn
}
