package rollout

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/health"
)

// What a rollout waits for that others do. A node that another rollout is at work
// on is begun on the way forward when that is through with it, and so is one that
// a predecessor has not come to. On the way back an agent that serves nobody goes
// at once, for a proven one can only help, and one that serves waits for the other
// rollout: that has a deadline, so that no way back waits for ever.

// Busy is a node that the rollout of another DaemonSet is at work on.
type Busy struct {
	Node string
	UID  types.UID
	// By is that DaemonSet, as NAMESPACE/NAME.
	By string
	// Until is when the node counts as busy no more, whatever has become of it: an
	// agent that failed for good keeps no other DaemonSet waiting for ever.
	Until time.Time
}

// Predecessor is a DaemonSet that this one comes after, on each node.
type Predecessor struct {
	// Name is the DaemonSet's, as NAMESPACE/NAME.
	Name string
	// Behind are the nodes on which it is not healthy at the version that Git
	// declares now, sorted by name.
	Behind []string
	// Stuck is why it gets no further by itself; empty while it does.
	Stuck string
}

// Claim is a node that a rollout is at work on, and the pod that it is about.
type Claim struct {
	Node string
	UID  types.UID
	Pod  types.UID
}

// Claims are the nodes that a rollout in this state is at work on, sorted by
// name: those in flight, and those on which a first version was let start and is
// neither healthy nor failed.
func Claims(s State) []Claim {
	var out []Claim
	for _, f := range s.InFlight {
		out = append(out, Claim{f.Node, f.NodeUID, f.PodUID})
	}
	var first []Claim
	for _, r := range s.Records {
		if s.Proven != nil && !r.First {
			continue
		}
		if (r.Ran || r.First && s.Proven != nil) && !r.Well && r.Failed == "" && !r.Excused {
			first = append(first, Claim{Node: r.Node, UID: r.UID})
		}
	}
	return merge(out, first, func(c Claim) string { return c.Node })
}

// ClaimFor is for how long one replacement may claim its node: the pulse, and what
// the new agent has until it has failed.
func (p Policy) ClaimFor() time.Duration {
	return p.Grace + pulseSlack + p.Health.Deadline
}

// busy is what another rollout does on the node, or nil.
func (p *pass) busy(n *health.Node) *Busy {
	all := p.in.Busy
	for i := p.atBusy.find(n.Name, len(all), func(i int) string { return all[i].Node }); i < len(all) && all[i].Node == n.Name; i++ {
		if b := &all[i]; b.UID == n.UID && p.in.Now.Before(b.Until) {
			return b
		}
	}
	return nil
}

// behind is the first predecessor that has not come to the node, or nil.
func (p *pass) behind(n *health.Node) *Predecessor {
	for i := range p.in.After {
		all := p.in.After[i].Behind
		if j := p.atBehind[i].find(n.Name, len(all), func(j int) string { return all[j] }); j < len(all) && all[j] == n.Name {
			return &p.in.After[i]
		}
	}
	return nil
}

// kept is whether the node is not to be begun now because of what others do.
func (p *pass) kept(n *health.Node) bool {
	return n != nil && (p.behind(n) != nil || p.busy(n) != nil)
}

// waitsForOthers is whether the node is kept, and asks for a decision when it is no
// more.
func (p *pass) waitsForOthers(n *health.Node) bool {
	if !p.kept(n) {
		return false
	}
	p.d.Waits = true
	if b := p.busy(n); b != nil {
		p.wakeAt(b.Until)
	}
	return true
}

// yields is whether the agent on its way back serves, and waits for the rollout of
// another DaemonSet.
func (p *pass) yields(n *health.Node) bool {
	b := p.busy(n)
	if b == nil || !n.Present() {
		return false
	}
	p.d.Waits = true
	p.wakeAt(b.Until)
	return true
}

// freeFirst has the nodes that can be begun before those that others keep.
func (p *pass) freeFirst(nodes []*health.Node) []*health.Node {
	if len(p.in.Busy) == 0 && len(p.in.After) == 0 {
		return spread(nodes, p.candidate())
	}
	kept := func(want bool) []*health.Node {
		return slices.DeleteFunc(slices.Clone(nodes), func(n *health.Node) bool { return p.kept(n) != want })
	}
	return append(spread(kept(false), p.candidate()), spread(kept(true), p.candidate())...)
}

// allBehind is whether no node of them can be begun before a predecessor comes to
// it: a wave does not begin with such ones.
func (p *pass) allBehind(nodes []*health.Node) bool {
	for _, n := range nodes {
		if p.behind(n) == nil {
			return false
		}
	}
	return len(nodes) > 0
}

// keeping counts the nodes that wait for what others do.
type keeping struct {
	behind, busy int
	// predecessor and by are those of the first of them, by name.
	predecessor       *Predecessor
	by                *Busy
	firstBehind, node string
	until             time.Time
}

func (k keeping) kept() bool { return k.behind+k.busy > 0 }

func (p *pass) keep(k *keeping, n *health.Node) {
	if pre := p.behind(n); pre != nil {
		if k.behind++; k.behind == 1 {
			k.predecessor, k.firstBehind = pre, n.Name
		}
		return
	}
	k.note(p.busy(n), n)
}

func (k *keeping) note(b *Busy, n *health.Node) {
	if k.busy++; k.busy == 1 {
		k.by, k.node = b, n.Name
	}
	if k.until.IsZero() || b.Until.Before(k.until) {
		k.until = b.Until
	}
}

// sayAllBehind says what a wave waits for that does not begin.
func (p *pass) sayAllBehind(w Wave, picked []*health.Node) {
	var k keeping
	for _, n := range picked {
		p.keep(&k, n)
	}
	p.sayKept(k, "wave "+w.Name)
}

// sayKept explains what only others keep from moving.
func (p *pass) sayKept(k keeping, wave string) {
	if k.behind > 0 {
		p.sayBehind(k, wave)
	} else {
		p.say(Waiting, ReasonNodeBusy, fmt.Sprintf("%s: %s for rollouts of other DaemonSets, which are at work there (first %s: %s): each goes on when its agent of the other is healthy or is given up, which has a deadline", wave, those(k.busy, "waits", "wait"), k.node, k.by.By))
	}
	p.d.Waits = true
	p.wakeAt(k.until)
}

// sayYielding explains a way back on which all nodes that are left wait for other
// rollouts, and says whether that is so.
func (p *pass) sayYielding(nodes []*health.Node) bool {
	var k keeping
	for _, n := range nodes {
		switch {
		case p.straggles(n) && p.waitsForOthers(n):
			p.keep(&k, n)
		case p.yields(n):
			k.note(p.busy(n), n)
		}
	}
	if k.behind+k.busy < len(nodes) || !k.kept() {
		return false
	}
	p.sayKept(k, "on the way back to "+short(*p.next.Proven))
	return true
}

func (p *pass) sayBehind(k keeping, wave string) {
	phase, more := Waiting, "each goes on when that is healthy there at the version that Git declares"
	if k.predecessor.Stuck != "" {
		phase, more = Held, k.predecessor.Stuck
	}
	p.say(phase, ReasonWaitsForDependency, fmt.Sprintf("%s: %s for DaemonSet %s, which this one comes after (first %s): %s", wave, those(k.behind, "waits", "wait"), k.predecessor.Name, k.firstBehind, more))
}

// Behind are the nodes on which the version that Git declares is not healthy, by
// what was decided: a DaemonSet that comes after this one waits there. All are
// while it is not known what Git declares, and when that was rejected.
func Behind(in Input, d Decision) []string {
	var out []string
	for i := range in.Fleet {
		if n := &in.Fleet[i]; n.Eligible && !vacated(n) && !caughtUp(n, in, &d.Next) {
			out = append(out, n.Name)
		}
	}
	failed := map[string]bool{}
	for _, r := range d.Next.Records {
		if r.Failed != "" {
			failed[r.Node] = true
		}
	}
	if len(failed) == 0 {
		return out
	}
	for i := range in.Fleet {
		if n := &in.Fleet[i]; n.Eligible && failed[n.Name] {
			out = append(out, n.Name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func caughtUp(n *health.Node, in Input, s *State) bool {
	if in.Want == nil || in.Unknown != nil || s.rejection(in.Want.Digest) != nil || !n.Present() {
		return false
	}
	a := n.Agent()
	if a.Digest != in.Want.Digest {
		return false
	}
	proven := s.Proven != nil && s.Proven.Digest == a.Digest
	return proven || !in.Now.Before(a.ReadySince.Add(in.Policy.Health.ReadyFor))
}
