package rollout

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/rollcall-dev/rollcall/health"
)

// waves are those that the rollout started with. Each soaks as long as the policy
// now says of the wave of that name, and may be empty if it says so.
func (p *pass) waves() []Wave {
	if p.next.Waves == nil {
		return p.in.Policy.Waves
	}
	out := slices.Clone(p.next.Waves)
	for i := range out {
		if j := slices.IndexFunc(p.in.Policy.Waves, func(w Wave) bool { return w.Name == out[i].Name }); j >= 0 {
			out[i].Soak, out[i].AllowEmpty = p.in.Policy.Waves[j].Soak, p.in.Policy.Waves[j].AllowEmpty
		}
	}
	return out
}

// startWave begins a wave if none is in progress, and takes late nodes into the
// last one. It returns false when no wave can begin.
func (p *pass) startWave() bool {
	p.repickEmptyWave()
	if p.next.WaveStarted.IsZero() && !p.beginWave(p.next.Wave) {
		return false
	}
	if p.firstWaves() {
		p.preferHurt()
	}
	if p.lastWave() {
		p.addRecords(p.pick(p.next.Wave), true)
	}
	return true
}

// beginWave picks the nodes of the wave, or of the first after it that asks for
// any. It returns false when that has to wait: then nothing has begun, and the
// wave before it stays the one in progress.
func (p *pass) beginWave(i int) bool {
	waves := p.waves()
	for ; ; i++ {
		picked, last := p.pick(i), i == len(waves)-1
		if len(picked) == 0 && !last && p.passesEmpty(waves[i]) {
			continue
		}
		if len(picked) == 0 && (!last || p.members() == 0) {
			p.sayEmpty(waves[i])
			return false
		}
		if p.needsApproval(waves[i], picked) {
			p.sayNeedsApproval(waves[i])
			return false
		}
		if p.allBehind(picked) {
			p.sayAllBehind(waves[i], picked)
			return false
		}
		if p.next.Waves == nil {
			p.next.Waves = slices.Clone(p.in.Policy.Waves)
		}
		p.next.Wave = i
		p.addRecords(picked, false)
		p.next.WaveStarted = p.in.Now
		return true
	}
}

// repickEmptyWave goes back to the wave before when the last node of a wave has
// left: its evidence is asked for again, and then other nodes are picked. It
// goes back to the start when no node of any wave is there.
func (p *pass) repickEmptyWave() {
	if !slices.ContainsFunc(p.next.Records, p.exists) {
		p.next.Wave, p.next.WaveStarted = 0, time.Time{}
		return
	}
	if p.next.WaveStarted.IsZero() || p.lastWave() {
		return
	}
	before := 0
	for _, r := range p.next.Records {
		before = max(before, r.Wave)
	}
	if before < p.next.Wave {
		p.next.Wave, p.next.WaveStarted = before, p.in.Now
	}
}

func (p *pass) lastWave() bool {
	return p.next.Wave >= len(p.waves())-1
}

// members counts the nodes of all waves so far that still exist.
func (p *pass) members() int {
	count := 0
	for _, r := range p.next.Records {
		if p.exists(r) {
			count++
		}
	}
	return count
}

// exists is whether the node is not gone.
func (p *pass) exists(r Record) bool { return p.node(r.Node, r.UID) != nil }

// canaryAge is how old a node should be to be a canary: on a new one other things
// than the candidate may still be on their way. A fleet without older ones has
// young canaries.
const canaryAge = 10 * time.Minute

// pick chooses the nodes of the wave among those that are in no wave yet, evenly
// over their groups; the last wave takes them all. Nodes that already lost the
// proven version to a superseded candidate come first, so that the radius does not
// grow, and before them those that have lost an agent to a superseded first version
// and hold budget; the first wave with any nodes wants canaries.
func (p *pass) pick(i int) []*health.Node {
	w, last := p.waves()[i], i == len(p.waves())-1
	canaries := i == 0 || !last && p.members() == 0
	var ranked [ranks][]*health.Node
	nodes := p.pickable()
	if !last {
		nodes = p.withoutOwn(nodes)
	}
	for _, n := range matching(nodes, w.selector()) {
		if r := p.rank(n, canaries); r != rankNever {
			ranked[r] = append(ranked[r], n)
		}
	}
	var ordered []*health.Node
	for _, same := range ranked {
		ordered = append(ordered, p.freeFirst(same)...)
	}
	if last {
		return ordered
	}
	return p.quota(w).take(ordered)
}

// The places of nodes in a choice, first ones first.
const (
	rankHurt = iota
	rankTouched
	rankWell
	rankYoung
	rankSick
	ranks
	rankNever
)

// touchedBefore is whether the node runs what is not proven already.
func (p *pass) touchedBefore(n *health.Node) bool {
	return n.Agent().Digest != p.rest() || p.firstWaves() && p.runsCandidate(n)
}

func (p *pass) rank(n *health.Node, canaries bool) int {
	switch {
	case p.hurt(n):
		return rankHurt
	case p.touchedBefore(n):
		return rankTouched
	case canaries && (n.Cordoned || n.Leaving):
		return rankNever
	case !n.Present() && !(n.Ready && p.waitsForFirst(n)):
		return rankSick
	case canaries && p.in.Now.Before(n.Created.Add(canaryAge)):
		return rankYoung
	default:
		return rankWell
	}
}

// pickable are the nodes that are in no wave yet and have a running agent, or one
// that waits for the first wave of all.
func (p *pass) pickable() []*health.Node {
	var out []*health.Node
	for i := range p.in.Fleet {
		n := &p.in.Fleet[i]
		if a := n.Agent(); a != nil && (!a.Gated || p.firstWaves() && p.waitsForFirst(n)) && p.record(n) == nil && p.reachable(n) {
			out = append(out, n)
		}
	}
	return out
}

func (p *pass) addRecords(nodes []*health.Node, late bool) {
	grouped := p.waves()[p.next.Wave].OneGroupAtATime
	added := make([]Record, 0, len(nodes))
	for _, n := range slices.SortedFunc(slices.Values(nodes), func(a, b *health.Node) int { return cmp.Compare(a.Name, b.Name) }) {
		r := Record{Node: n.Name, UID: n.UID, Wave: p.next.Wave, Late: late}
		if grouped {
			r.Turn = p.turn(n)
		}
		if p.runsCandidate(n) {
			p.accept(&r, n)
		}
		added = append(added, r)
	}
	p.next.Records = mergeRecords(p.next.Records, added)
}

// accept takes an agent that runs the candidate already for a replaced one, if
// nothing speaks against it: a candidate that comes again, or a promotion that
// was half recorded.
func (p *pass) accept(r *Record, n *health.Node) {
	v := health.Judge(n, p.in.Now, p.in.Policy.Health, p.in.Now)
	if v.Status == health.Failed {
		return
	}
	r.Touched, r.Ran = p.in.Now, true
	*p.verdict(n) = v
	p.wakeAt(v.Next)
}

// progress is how far the waves so far have come.
type progress struct {
	// unfinished nodes block the wave, and some of them are late.
	unfinished, late int
	// tail are late nodes that nothing was begun on.
	tail int
	// evidence counts healthy nodes of this wave; any counts those of all.
	evidence, any int
	// until is when the last soak ends, but for those of late nodes.
	until time.Time
}

// tailWaits is whether only late nodes are left, and there is evidence without
// them: they get the candidate when it is proven, or it never would be in a fleet
// that nodes keep joining.
func (g progress) tailWaits() bool {
	return g.unfinished == g.late && g.evidence > 0
}

// standing is what a record means for the progress of its wave. The set is
// closed.
type standing int

const (
	standingBlocked standing = iota // the wave waits for it
	standingDone                    // healthy on the candidate
	standingOut                     // no evidence, and nothing to wait for
)

func (p *pass) standing(r *Record) standing {
	n := p.node(r.Node, r.UID)
	switch {
	case n == nil || r.Failed != "" || r.Excused:
		return standingOut
	case p.runsCandidate(n) && p.verdict(n).Status == health.Healthy:
		return standingDone
	case !p.runsCandidate(n) && (n.Held || !n.Eligible):
		return standingOut // held out on purpose, with nothing of the candidate on it
	default:
		return standingBlocked
	}
}

// waveProgress looks at every node of the waves so far: evidence given in an
// earlier wave can be lost again.
func (p *pass) waveProgress() progress {
	var g progress
	waves := p.waves()
	for i := range p.next.Records {
		r := &p.next.Records[i]
		switch p.standing(r) {
		case standingOut:
		case standingBlocked:
			g.block(r)
		case standingDone:
			g.any++
			if r.Wave == p.next.Wave {
				g.evidence++
			}
			if end := p.verdicts[p.place(r.Node)].Since.Add(waves[r.Wave].Soak); !r.Late && end.After(g.until) {
				g.until = end
			}
		}
	}
	return g
}

// followers says that late nodes come after the proof; empty when there are none.
func (g progress) followers() string {
	if g.tail == 0 {
		return ""
	}
	return fmt.Sprintf("; %d nodes that joined since then follow after it", g.tail)
}

// block counts a node that is not done.
func (g *progress) block(r *Record) {
	switch {
	case r.tail():
		g.tail++
	case r.Late:
		g.late++
		g.unfinished++
	default:
		g.unfinished++
	}
}

func (p *pass) runsCandidate(n *health.Node) bool {
	a := n.Agent()
	return a != nil && !a.Gated && a.Digest == p.candidate()
}
