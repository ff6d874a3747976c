package rollout

import (
	"fmt"
	"slices"

	"github.com/rollcall-dev/rollcall/health"
)

// The first version of a DaemonSet may come to all nodes at once. Then its template
// has no gate, unless something holds it: what has not begun waits with the gate, and
// its pods give way to others when it may begin, each of which has all its time.

// holdsInstall is whether the first version is for all nodes at once, has not begun,
// and may not.
func (p *pass) holdsInstall() bool {
	if p.next.Proven != nil || p.next.Candidate == nil || p.firstWaves() {
		return false
	}
	begun := p.in.Live.Digest == p.candidate() && !p.in.Live.Gated || p.onCandidate() > 0
	return !begun && (p.in.Paused || p.hold() != nil || p.next.rejection(p.candidate()) != nil)
}

// install waits for the first version on every node that can be reached.
func (p *pass) install() {
	b, waiting := p.hold(), 0
	switch {
	case p.next.rejection(p.candidate()) != nil:
		return
	case p.installHeld:
		p.sayBlock(b)
		return
	case b == nil:
		waiting = p.replaceEarlierInstall()
	}
	p.sayInstall(b, waiting)
}

// sayInstall proves the first version, or says what it waits for: what holds it, or
// that so many nodes have an earlier one.
func (p *pass) sayInstall(b *Block, waiting int) {
	healthy, missing, moving := p.installProgress()
	p.say(Replacing, ReasonInstalling, fmt.Sprintf("first install: %d of %d reachable nodes healthy", healthy, healthy+missing))
	switch {
	case healthy > 0 && missing-p.failedRecords() <= 0 && len(p.d.Steps) == 0:
		p.promote()
	case b != nil && p.earlierInstalled():
		p.sayBlock(b)
	case waiting > 0 && waiting == moving:
		p.say(Held, ReasonBudgetSpent, fmt.Sprintf("first install: %s with an earlier version because %s is used up by nodes without an available agent; they have to recover or leave", those(waiting, "waits", "wait"), p.budgetWords()))
	case healthy+moving == 0:
		p.say(Held, ReasonNoEvidence, fmt.Sprintf("first install: none of %d reachable nodes is healthy; one that is proves it", missing))
	}
}

// installProgress counts the reachable nodes on which the first version is
// healthy, and those on which it is not, and may still become so.
func (p *pass) installProgress() (healthy, missing, moving int) {
	for i := range p.in.Fleet {
		n := &p.in.Fleet[i]
		switch {
		case !p.reachable(n):
		case p.verdicts[i].Status == health.Healthy:
			healthy++
		case p.verdicts[i].Status == health.Failed:
			missing++
		default:
			missing++
			moving++
		}
	}
	return healthy, missing, moving
}

func (p *pass) failedRecords() int {
	count := 0
	for _, r := range p.next.Records {
		if r.Failed != "" && p.node(r.Node, r.UID) != nil {
			count++
		}
	}
	return count
}

// earlierInstalled is whether a node that can be reached runs an earlier first
// version.
func (p *pass) earlierInstalled() bool {
	return slices.ContainsFunc(p.in.Fleet, func(n health.Node) bool {
		a := n.Agent()
		return a != nil && p.reachable(&n) && a.Digest != p.candidate()
	})
}

// replaceEarlierInstall removes the pods of a first version that was never
// proven: those that serve nobody at once, the others within the budget. It
// counts those that have to wait.
func (p *pass) replaceEarlierInstall() (waiting int) {
	room := p.beside(p.downNodes())
	var taken []*health.Node
	for i := range p.in.Fleet {
		n := &p.in.Fleet[i]
		a := n.Agent()
		if a == nil || !p.reachable(n) || a.Digest == p.candidate() {
			continue
		}
		if p.available(n) {
			if !room.has(n) || p.yields(n) {
				waiting++
				continue
			}
			room.take(n)
		}
		taken = append(taken, n)
		p.do(deletion(n, a, ForReplace))
	}
	p.take(taken)
	return waiting
}
