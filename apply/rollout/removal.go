package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/health"
)

// Taking a DaemonSet away is a rollout as well: of a version whose pods never start. It
// goes over the nodes in the same pulses, waves, budget and soaks as any other, and the
// DaemonSet stays until its agents have left:
//
//	in a pulse ............. the agent of a node goes, and a gated pod takes its place
//	its gate ............... is never opened: the node is vacant, and that is what was
//	                         asked for, as an agent of a candidate is that is Ready
//	evidence ............... what the node shows without its agent: NotReady is evidence
//	                         against the removal, Ready for readyFor is evidence for it
//	the last wave passed ... Removed: whoever removes deletes the DaemonSet
//	turned round ........... the gated pods are strays: they are deleted, and pods of the
//	                         proven version come in their stead
//
// The DaemonSet is not orphaned first. Orphans would lose their agents in any order, as
// evictions and reboots come, on nodes that no wave has reached, and a new node would
// have none: that is a removal that nobody paces or can stop. So at rest the DaemonSet
// has the proven template, a node that no wave has reached gets its agent again whatever
// takes it, with rollcall or without, and what still runs is never restarted.

// ReasonRemoving is a removal on its way, and ReasonRemoved one whose last wave passed.
const (
	ReasonRemoving = "Removing"
	ReasonRemoved  = "Removed"
	// ReasonAgentsNeeded holds the end of a removal that would take agents from nodes
	// which are held out, or which failed without theirs.
	ReasonAgentsNeeded = "AgentsNeeded"
)

// removal is what the digest of a removal begins with.
const removal = "removed:"

// RemovalOf is the digest of the removal of a DaemonSet whose proven version has that
// digest. Once it is rejected it stays so, like any other version.
func RemovalOf(digest string) string { return removal + digest }

// Removes is whether the digest is of a removal.
func Removes(digest string) bool { return strings.HasPrefix(digest, removal) }

// removes is whether the candidate is a removal.
func (p *pass) removes() bool { return Removes(p.candidate()) }

// removedFrom are the nodes whose agents the removal on its way has taken, with since
// when; nil when there are none.
func removedFrom(s *State) map[types.UID]time.Time {
	if s.Candidate == nil || !Removes(s.Candidate.Digest) || s.About != s.Candidate.Digest {
		return nil
	}
	out := make(map[types.UID]time.Time, len(s.Records))
	for i := range s.Records {
		if r := &s.Records[i]; r.Left {
			out[r.UID] = r.Touched
		}
	}
	return out
}

// standsForNone is whether a pod of a removal is all that the node has.
func standsForNone(n *health.Node) bool {
	a := n.Agent()
	return a != nil && Removes(a.Digest) && !slices.ContainsFunc(n.Agents, func(a health.Agent) bool { return !a.Gated })
}

// seeVacant has a vacant node look as if an agent of the removal served it, as long as
// that is asked for: it has what it shall have, since it has been without the other one.
func (p *pass) seeVacant() {
	since, s := removedFrom(&p.in.State), &p.next
	if since == nil || p.asked() != s.Candidate.Digest || s.rejection(s.Candidate.Digest) != nil && !p.staysRejected() {
		return
	}
	p.seen = p.in.Fleet
	p.in.Fleet, p.vacant = slices.Clone(p.in.Fleet), make([]bool, len(p.in.Fleet))
	for i := range p.in.Fleet {
		n := &p.in.Fleet[i]
		left, is := since[n.UID]
		if !is || !standsForNone(n) {
			continue
		}
		n.Agents = slices.Clone(n.Agents)
		a := n.Agent()
		a.Gated, a.Ready, a.ReadySince, a.Trouble = false, true, a.Created, health.Trouble{}
		if left.After(a.ReadySince) {
			a.ReadySince = left
		}
		p.vacant[i] = true
	}
}

// dropVacant has the nodes of a removal that turns round look as they are: their pods are
// strays from then on, which come back proven, all of them at once: they serve nobody, and
// a proven agent can only help.
func (p *pass) dropVacant() {
	if p.vacant != nil && p.goal == goalBack {
		p.in.Fleet, p.vacant = p.seen, nil
	}
}

// asked is the digest that Git asks for, or asked for last if that is not known.
func (p *pass) asked() string {
	switch {
	case p.in.Unknown != nil:
		return p.candidate()
	case p.in.Want == nil:
		return ""
	default:
		return p.in.Want.Digest
	}
}

// isVacant is whether the node at that place of the fleet is.
func (p *pass) isVacant(i int) bool { return p.vacant != nil && p.vacant[i] }

// limitPolicy has a removal go by deletion in pulses: there is nothing to surge to, and
// what is in the spec would be at work at once.
func (p *pass) limitPolicy() {
	if Removes(p.asked()) {
		p.in.Policy.Surge, p.in.Policy.NewPodsCandidate = false, false
	}
}

// vacate records that the node's agent has gone for good. Its time without one begins.
func (p *pass) vacate(r *Record) {
	r.Touched, r.Ran, r.Left = p.in.Now, true, true
	p.wakeAt(p.in.Now) // to see it so: no step is taken that would be heard of
}

// isRemoved is whether there is nothing to take, and nothing was.
func (p *pass) isRemoved() bool {
	return p.removes() && p.goal == goalForward && len(p.next.Records) == 0 && len(p.next.InFlight) == 0 &&
		!slices.ContainsFunc(p.in.Fleet, func(n health.Node) bool { return n.Eligible && n.Agent() != nil && !n.Agent().Gated })
}

// keeps is whether the node keeps its agent, whatever the budget allows.
func (p *pass) keeps(n *health.Node) bool {
	r := p.record(n)
	return p.removes() && (n.Held || r != nil && r.Failed != "")
}

func (p *pass) sayKeeping() {
	nodes := p.losing()
	p.say(Held, ReasonAgentsNeeded, fmt.Sprintf("wave %s: %s agents (first %s), which the DaemonSet's deletion would take at once: those held out by the label rollcall.dev/hold have to be released, those that failed without theirs have to leave, others have to be reachable; or declare the DaemonSet in Git again",
		p.waveName(), those(len(nodes), "still has", "still have"), nodes[0].Name))
}

// sayRemoved says that the DaemonSet may go. That is decided anew each time: nothing of
// the state says so, and what comes back meanwhile is taken again.
func (p *pass) sayRemoved() {
	p.say(Proven, ReasonRemoved, fmt.Sprintf("%s passed every wave: %s no agent of the DaemonSet any more%s; the next pass of its GitSync deletes it", short(*p.next.Candidate), those(p.countVacant(), "has", "have"), p.sayLeftover()))
}

// sayLeftover counts the nodes that lose their agents with the DaemonSet; empty when
// there are none.
func (p *pass) sayLeftover() string {
	if last := len(p.losing()); last > 0 {
		return fmt.Sprintf(", %d lose theirs with it", last)
	}
	return ""
}

func (p *pass) countVacant() int {
	count := 0
	for i := range p.vacant {
		if p.vacant[i] {
			count++
		}
	}
	return count
}

func (p *pass) sayRemoving() {
	c := p.d.Counts
	p.say(Replacing, ReasonRemoving, fmt.Sprintf("wave %s: %d of %d nodes have no agent any more, %d of them are well without it, %d unavailable of at most %d%s",
		p.waveName(), c.Candidate, c.Candidate+c.Eligible, c.Healthy, c.Unavailable, p.budget(), p.sayLost()))
}

// sayRemoval adds to what a removal says that it is one, and the way out.
func (p *pass) sayRemoval() {
	if !p.removes() || p.d.Reason == ReasonRemoving || p.d.Reason == ReasonRemoved {
		return
	}
	p.d.Message += fmt.Sprintf("; this removes the DaemonSet, %d of %d nodes have no agent of it any more: declare it in Git again to have them back", p.countVacant(), p.eligible)
}
