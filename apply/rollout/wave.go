package rollout

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/rollcall-dev/rollcall/health"
)

// waves are those that the rollout started with. Each soaks as long as the policy
// now says of the wave of that name.
func (p *pass) waves() []Wave {
	if p.next.Waves == nil {
		return p.in.Policy.Waves
	}
	out := slices.Clone(p.next.Waves)
	for i := range out {
		if j := slices.IndexFunc(p.in.Policy.Waves, func(w Wave) bool { return w.Name == out[i].Name }); j >= 0 {
			out[i].Soak = p.in.Policy.Waves[j].Soak
		}
	}
	return out
}

// startWave picks the nodes of the next wave that has any, if none is in
// progress, and takes late nodes into the last one. It returns false when the
// wave cannot start.
func (p *pass) startWave() bool {
	p.repickEmptyWave()
	for p.next.WaveStarted.IsZero() {
		need := Resolve(p.waves()[p.next.Wave].UpTo, p.eligible) - p.members()
		if p.lastWave() {
			need = len(p.in.Fleet)
		}
		picked := p.pick(need)
		switch {
		case len(picked) == 0 && p.members() == 0:
			p.say(Held, ReasonNoCanary, fmt.Sprintf("none of %d eligible nodes can be a canary: one that is Ready, uncordoned, not held out and has an agent is needed", p.eligible))
			return false
		case len(picked) == 0 && !p.lastWave():
			p.next.Wave++ // everything it asks for is done already
			continue
		}
		if p.next.Waves == nil {
			p.next.Waves = slices.Clone(p.in.Policy.Waves)
		}
		p.addRecords(picked, false)
		p.next.WaveStarted = p.in.Now
	}
	if p.firstWaves() {
		p.preferHurt()
	}
	if p.lastWave() {
		p.addRecords(p.pick(len(p.in.Fleet)), true)
	}
	return true
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

// pick chooses up to count nodes that are in no wave yet, evenly over their
// groups. Nodes that already lost the proven version to a superseded candidate
// come first, so that the radius does not grow, and before them those that have
// lost an agent to a superseded first version and hold budget; the first wave
// wants canaries.
func (p *pass) pick(count int) []*health.Node {
	var hurt, touched, well, young, sick []*health.Node
	for _, n := range p.pickable() {
		fit := n.Present() || n.Ready && p.waitsForFirst(n)
		switch {
		case p.hurt(n):
			hurt = append(hurt, n)
		case n.Agent().Digest != p.rest():
			touched = append(touched, n)
		case p.next.Wave == 0 && (n.Cordoned || n.Leaving):
		case p.next.Wave == 0 && fit && p.in.Now.Before(n.Created.Add(canaryAge)):
			young = append(young, n)
		case fit:
			well = append(well, n)
		default:
			sick = append(sick, n)
		}
	}
	seed := p.candidate()
	ordered := slices.Concat(spread(hurt, seed), spread(touched, seed), spread(well, seed), spread(young, seed), spread(sick, seed))
	return ordered[:max(0, min(count, len(ordered)))]
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
	added := make([]Record, 0, len(nodes))
	for _, n := range slices.SortedFunc(slices.Values(nodes), func(a, b *health.Node) int { return cmp.Compare(a.Name, b.Name) }) {
		r := Record{Node: n.Name, UID: n.UID, Wave: p.next.Wave, Late: late}
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
	case r.Late && r.Touched.IsZero():
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
