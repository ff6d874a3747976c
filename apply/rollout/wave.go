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
	if len(p.next.Waves) == 0 {
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
		p.preferUnserved()
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
		if p.awaitsApproval(waves[i], picked) {
			return false
		}
		if p.allBehind(picked) {
			p.sayAllBehind(waves[i], picked)
			return false
		}
		if len(p.next.Waves) == 0 {
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
		if !r.Self {
			before = max(before, r.Wave)
		}
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

// exists is whether the record is of a wave, and its node not gone.
func (p *pass) exists(r Record) bool { return !r.Self && p.node(r.Node, r.UID) != nil }

func (p *pass) addRecords(nodes []*health.Node, late bool) {
	grouped := p.waves()[p.next.Wave].OneGroupAtATime
	added := make([]Record, 0, len(nodes))
	for _, n := range slices.SortedFunc(slices.Values(nodes), func(a, b *health.Node) int { return cmp.Compare(a.Name, b.Name) }) {
		r := Record{Node: n.Name, UID: n.UID, Wave: p.next.Wave, Late: late}
		if grouped {
			r.Turn = p.turn(n)
		}
		n.Eligible = n.Eligible || n.Won // in the copy of the fleet that a move has
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
	if v.Status == health.Failed && !p.isCutOff(n) {
		return
	}
	r.Touched, r.Ran, r.Found = p.in.Now, true, true
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
	is, _ := p.standingAt(r)
	return is
}

// standingAt is the standing with the place of the node in the fleet.
func (p *pass) standingAt(r *Record) (is standing, place int) {
	if r.Failed != "" || r.Excused {
		return standingOut, 0
	}
	place = p.place(r.Node)
	if place == len(p.in.Fleet) || p.in.Fleet[place].UID != r.UID {
		return standingOut, 0
	}
	return p.standingOf(&p.in.Fleet[place], p.verdicts[place]), place
}

func (p *pass) standingOf(n *health.Node, v health.Verdict) standing {
	switch {
	case n.Lost && n.Eligible && !n.Held:
		return standingBlocked // until it has left
	case p.runsCandidate(n) && v.Status == health.Healthy:
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
		switch is, place := p.standingAt(r); is {
		case standingOut:
			if end := r.Touched.Add(waves[r.Wave].Soak); r.Left && r.Wave == p.next.Wave && end.After(g.until) {
				g.until = end // the others soak without it
			}
		case standingBlocked:
			g.block(r)
		case standingDone:
			g.any++
			if r.Wave == p.next.Wave {
				g.evidence++
			}
			if end := p.verdicts[place].Since.Add(waves[r.Wave].Soak); !r.Late && end.After(g.until) {
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
	return fmt.Sprintf("; %s that joined since then to follow after it", counted(g.tail))
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
