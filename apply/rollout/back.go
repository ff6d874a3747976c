package rollout

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/rollcall-dev/rollcall/health"
)

// maxRelabels bounds the label writes of one decision.
const maxRelabels = 20

// goBack gives the proven version to every node that runs another one.
func (p *pass) goBack() {
	if p.next.Proven == nil {
		p.clear(p.failed())
		return
	}
	p.turnRound()
	strangers, stay := p.holdBack(p.strangers())
	p.giveProven(strangers)
	p.withdrawProven()
	p.sayBack(strangers)
	if len(strangers) == 0 && p.flying() == 0 {
		p.atRest()
		p.stay(stay)
	}
}

// giveProven replaces agents by the proven version. Nodes on which a candidate has been
// and that are not served come first and do not wait: a proven agent can only help. The
// others of these go as the budget allows beside those that the candidate broke, and
// stragglers as it allows beside all that have no agent.
func (p *pass) giveProven(nodes []*health.Node) {
	returns, stragglers := p.sorted(nodes)
	p.giveUnserved(returns)
	room := p.rooms()
	if served, _ := p.losers(); p.surges() && served == 0 { // a way back waits for no taint
		p.giveStragglers(unserved(stragglers), &room)
		p.surgeBack(nodes, room)
		return
	}
	p.giveServed(returns, &room)
	p.giveStragglers(stragglers, &room)
}

// giveServed replaces the agents that serve, of nodes on which a candidate has been.
func (p *pass) giveServed(nodes []*health.Node, room *rooms) {
	var taken []*health.Node
	for _, n := range nodes {
		a, f := n.Agent(), p.inFlight(n)
		recorded := f != nil && f.PodUID == a.UID && !f.Idle // perhaps not yet deleted
		switch {
		case !n.Present(), p.yields(n):
			continue
		case recorded && room.back.over(n):
			room.give(n) // it has recovered since, and its loss is beyond the budget now
			continue
		case recorded:
		case !room.back.has(n):
			continue
		default:
			room.take(n)
			taken = append(taken, n)
		}
		p.do(deletion(n, a, ForReturn))
	}
	p.take(taken)
}

// giveUnserved replaces the agents that serve nobody.
func (p *pass) giveUnserved(nodes []*health.Node) {
	var taken []*health.Node
	for _, n := range nodes {
		a, f := n.Agent(), p.inFlight(n)
		if n.Present() {
			continue
		}
		if f == nil || f.PodUID != a.UID {
			taken = append(taken, n)
		}
		p.do(deletion(n, a, ForReturn))
	}
	p.take(taken)
}

// strangers are the nodes whose agent is not of the proven version and can be
// replaced. A NotReady node is left alone unless it was touched: then the agent
// may be what keeps it down. One that a taint keeps the next agent out of keeps the one
// that serves it.
func (p *pass) strangers() []*health.Node {
	var out []*health.Node
	for i := range p.in.Fleet {
		n := &p.in.Fleet[i]
		if a := n.Agent(); a != nil && !a.Gated && a.Digest != p.rest() && n.Eligible && !n.Held && p.reversible(n) {
			out = append(out, n)
		}
	}
	return out
}

func (p *pass) reversible(n *health.Node) bool {
	r := p.record(n)
	if r == nil {
		return p.reachable(n)
	}
	return !r.KeptOut && (p.reachable(n) || !r.Touched.IsZero() && !n.Present())
}

// record returns the node's record, or nil.
func (p *pass) record(n *health.Node) *Record {
	all := p.next.Records
	for i := p.recorded(n.Name); i < len(all) && all[i].Node == n.Name; i++ {
		if all[i].UID == n.UID {
			return &all[i]
		}
	}
	return nil
}

// recorded is where the records of nodes of that name begin.
func (p *pass) recorded(name string) int {
	return p.atRecord.find(name, len(p.next.Records), func(i int) string { return p.next.Records[i].Node })
}

// withdrawProven forgets intents to replace a pod that is proven after all: the
// rollout turned round before the delete.
func (p *pass) withdrawProven() {
	p.withdraw(func(_ *health.Node, old *health.Agent) bool { return old.Digest == p.rest() })
}

// flying counts the nodes in flight that are about to arrive. One that is
// NotReady, or that a taint keeps from getting a pod, has to come back by itself
// first; one whose next agent failed stays as it is, and so does one whose
// proven agent was recorded but not deleted.
func (p *pass) flying() int {
	count := 0
	for _, f := range p.next.InFlight {
		n := p.node(f.Node, f.NodeUID)
		if n == nil || !n.Ready || !n.Schedulable {
			continue
		}
		if old := p.pending(f); old != nil {
			if old.Digest != p.rest() {
				count++
			}
			continue
		}
		if p.arrives(n, f.At) {
			count++
		}
	}
	return count
}

// arrives is whether the node's next agent may still become available. A first
// version that failed waits for a gate that is not opened again, and one on a node that is
// in no wave for a wave that takes it.
func (p *pass) arrives(n *health.Node, since time.Time) bool {
	if r := p.record(n); (r == nil || r.Failed != "") && p.firstWaves() && p.waitsForFirst(n) {
		return false
	}
	v := health.Judge(n, since, p.in.Policy.Health, p.in.Now)
	p.wakeAt(v.Next)
	return v.Status != health.Failed
}

func (p *pass) sayBack(strangers []*health.Node) {
	left, flying := len(strangers), p.flying()
	switch {
	case left == 0 && flying == 0:
	case flying == 0 && len(p.d.Steps) == 0 && p.sayYielding(strangers):
	case flying == 0 && len(p.d.Steps) == 0:
		p.say(Held, ReasonBudgetSpent, fmt.Sprintf("%s for %s because %s is used up by nodes without an available agent; they have to recover or leave", those(left, "waits", "wait"), short(*p.next.Proven), p.budgetWords()))
	case p.goal == goalBack || len(p.next.Records) > 0:
		p.say(Returning, ReasonReturning, fmt.Sprintf("%s another version than %s, %d waiting for an agent of it", those(left, "runs", "run"), short(*p.next.Proven), flying))
	default:
		p.say(Returning, ReasonStragglers, fmt.Sprintf("%s another version than the proven %s, %d waiting for an agent of it", those(left, "runs", "run"), short(*p.next.Proven), flying))
	}
}

// atRest forgets a rollout that is over, and has Kubernetes know of its end.
func (p *pass) atRest() {
	if p.goal == goalRest && len(p.next.InFlight) == 0 {
		p.owe()
		p.forgetWaves()
	}
	if !p.in.Foreign {
		p.nameRevisions()
	}
}

// nameRevisions tells Kubernetes which revision
// the pods really are: they were made from the gated template, which is the
// same version to us and another revision to Kubernetes. One write gives the
// revision the name by which most pods know it; the others are written one by one,
// or all of them where the revision cannot be named.
func (p *pass) nameRevisions() {
	revision := p.in.Live.Revision
	if revision == "" {
		return
	}
	if usual := p.usualRevision(); usual != revision && !p.in.Live.Unnamed {
		p.do(Step{Action: NameRevision, Revision: usual})
		return
	}
	for i := range p.in.Fleet {
		a := p.in.Fleet[i].Agent()
		if a == nil || a.Gated || a.Digest != p.rest() || a.Revision == revision {
			continue
		}
		if len(p.d.Steps) == maxRelabels {
			return
		}
		p.do(Step{Action: Relabel, Node: p.in.Fleet[i].Name, Pod: a.Name, PodUID: a.UID, Revision: revision})
	}
}

// usualRevision is what most agents of the rest version carry for the revision
// that they are of; that of the live template unless it is more than carry that.
func (p *pass) usualRevision() string {
	usual := p.in.Live.Revision
	carry := map[string]int{}
	for i := range p.in.Fleet {
		if a := p.in.Fleet[i].Agent(); a != nil && !a.Gated && a.Digest == p.rest() {
			carry[a.Revision]++
		}
	}
	for _, revision := range slices.Sorted(maps.Keys(carry)) {
		if carry[revision] > carry[usual] {
			usual = revision
		}
	}
	return usual
}
