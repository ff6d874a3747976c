package rollout

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/health"
)

// queue says which nodes of the waves so far are next. It is made anew for each
// decision: what it is made of is recorded with the nodes.
type queue struct {
	// grouped is whether the wave in progress goes group by group, and group is
	// whose turn it is.
	grouped bool
	group   uint32
	// soaks is until when all of that group is healthy and has to stay so; zero
	// while a node of it is not done.
	soaks time.Time
	// others is whether a node that rollcall does not run on is not done.
	others bool
}

// turnOf is the place of a group in the order in which a wave goes through them:
// another one for each candidate, so that no group is always the first. Two
// groups in the same place, which is as rare as it is for 32 bits, go together.
func turnOf(candidate, group string) uint32 {
	return uint32(hash(candidate, group) >> 32) //nolint:gosec // the upper half of it
}

// lineUp makes the queue.
func (p *pass) lineUp() queue {
	w := p.waves()[p.next.Wave]
	q := queue{grouped: w.OneGroupAtATime && !p.firstWaves()}
	for i := 0; i < len(p.next.Records) && p.in.OwnNode != "" && !q.others; i++ {
		r := &p.next.Records[i]
		q.others = p.standing(r) == standingBlocked && !r.tail() && r.Node != p.in.OwnNode
	}
	if q.grouped {
		q.group = p.groupInTurn(w)
		q.soaks = p.groupSoaks(q.group, w)
	}
	return q
}

// groupInTurn is the first group with a node of the wave that is not done or has
// not soaked, and of several one that is at it, or then one that was begun, or one of which a node ran the
// candidate already: that may be true of several. Late nodes that nothing was begun
// on count only when there is no other: they put nothing off.
func (p *pass) groupInTurn(w Wave) uint32 {
	t := standings{map[uint32]bool{}, map[uint32]bool{}, map[uint32]bool{}, map[uint32]bool{}, map[uint32]bool{}, map[uint32]bool{}}
	for i := range p.next.Records {
		if r := &p.next.Records[i]; r.Wave == p.next.Wave {
			t.add(p, r, w)
		}
	}
	if len(t.unfinished) == 0 {
		t.unfinished = t.late
	}
	return firstOf(t.unfinished, t.under, t.begun, t.found, t.hurt)
}

// standings are the turns of the groups of a wave, by what is known of their nodes. Those
// under way have a node that was begun and is not through: one that is only begun waits,
// as it does for a node that rollcall ran on.
type standings struct {
	under, begun, found, hurt, unfinished, late map[uint32]bool
}

func (t standings) add(p *pass, r *Record, w Wave) {
	turn, blocked := p.turnNow(r), p.standing(r) == standingBlocked
	soaks := p.in.Now.Before(p.soaksUntil(r, w))
	if !r.Touched.IsZero() && !r.Found {
		t.under[turn] = t.under[turn] || blocked || soaks
		t.begun[r.Turn] = true
	}
	t.found[r.Turn] = t.found[r.Turn] || r.Found
	t.hurt[r.Turn] = t.hurt[r.Turn] || blocked && p.holdsBudget(r)
	switch {
	case blocked && r.tail():
		t.late[turn] = true
	case blocked, soaks:
		t.unfinished[turn] = true
	}
}

// firstOf is the first of the turns that is in a set of preferred ones, or in the next
// of them, or in none; the last turn there is if there are no turns.
func firstOf(turns map[uint32]bool, preferred ...map[uint32]bool) uint32 {
	sorted := slices.Sorted(maps.Keys(turns))
	for _, set := range append(preferred, turns) {
		if i := slices.IndexFunc(sorted, func(turn uint32) bool { return set[turn] }); i >= 0 {
			return sorted[i]
		}
	}
	return math.MaxUint32
}

// holdsBudget is whether an earlier candidate left the node without an agent, and
// nobody can give it the proven one back: the other groups wait for its budget.
func (p *pass) holdsBudget(r *Record) bool {
	n := p.node(r.Node, r.UID)
	return p.inSpec() && n != nil && !n.Present() && p.isOwed(n)
}

// turn is the turn of a node that is picked.
func (p *pass) turn(n *health.Node) uint32 {
	if p.own(n) {
		return math.MaxUint32
	}
	return turnOf(p.candidate(), groupOf(n))
}

// turnNow is the turn of the node: that of its group, or after all of them if
// rollcall itself runs on it.
func (p *pass) turnNow(r *Record) uint32 {
	if n := p.node(r.Node, r.UID); n != nil && p.own(n) {
		return math.MaxUint32
	}
	return r.Turn
}

// soaksUntil is when the soak of a healthy node of the wave ends; zero for any other, and for
// late ones.
func (p *pass) soaksUntil(r *Record, w Wave) time.Time {
	if r.Late || p.standing(r) != standingDone {
		return time.Time{}
	}
	return p.verdict(p.node(r.Node, r.UID)).Since.Add(w.Soak)
}

// groupSoaks is until when the group soaks; zero if a node of it is not done.
func (p *pass) groupSoaks(turn uint32, w Wave) (until time.Time) {
	for i := range p.next.Records {
		r := &p.next.Records[i]
		if r.Wave != p.next.Wave || p.turnNow(r) != turn {
			continue
		}
		if p.standing(r) == standingBlocked && !r.tail() {
			return time.Time{}
		}
		if end := p.soaksUntil(r, w); end.After(until) {
			until = end
		}
	}
	return until
}

// isNext is whether the node may be given the candidate now, as far as the order
// within its wave is concerned.
func (p *pass) isNext(r *Record) bool {
	if p.ownWaits(r) {
		return false
	}
	return !p.queue.grouped || r.Wave != p.next.Wave || p.turnNow(r) == p.queue.group
}

// sayUnfinished says what a wave waits for of which a node is not done.
func (p *pass) sayUnfinished() {
	if p.in.Now.Before(p.queue.soaks) {
		p.saySoakingGroup()
		return
	}
	p.sayBlocked()
}

// saySoakingGroup says which group the others wait for.
func (p *pass) saySoakingGroup() {
	healthy, waiting, groups := 0, 0, map[uint32]bool{}
	for i := range p.next.Records {
		r := &p.next.Records[i]
		switch {
		case r.Wave != p.next.Wave:
		case p.turnNow(r) == p.queue.group && p.standing(r) == standingDone:
			healthy++
		case p.turnNow(r) != p.queue.group && p.standing(r) == standingBlocked:
			waiting++
			groups[p.turnNow(r)] = true
		}
	}
	p.say(Soaking, ReasonSoaking, fmt.Sprintf("wave %s: %s of %s healthy, soaking until %s; %s of %d other groups to come after it",
		p.waveName(), counted(healthy), p.groupName(p.queue.group), timeOfDay(p.queue.soaks), counted(waiting), len(groups)))
	p.wakeAt(p.queue.soaks)
}

// groupName is the group whose turn that is, by the labels that its nodes have
// now.
func (p *pass) groupName(turn uint32) string {
	for i := range p.in.Fleet {
		if n := &p.in.Fleet[i]; turnOf(p.candidate(), groupOf(n)) == turn {
			return "group " + strings.Join(n.Groups, "/")
		}
	}
	return "a group"
}
