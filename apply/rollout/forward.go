package rollout

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/rollcall-dev/rollcall/health"
)

// advance takes the steps of the policy; nothing is half-way now.
func (p *pass) advance() {
	switch {
	case p.goal == goalStop:
		p.withdraw()
	case p.eligible == 0:
		p.say(Waiting, ReasonNoEligibleNodes, "no node is eligible: nothing can be proven until one is")
	case p.goal == goalInstall:
		p.install()
	case p.goal == goalForward:
		p.forward()
	default:
		p.goBack()
	}
}

// forward replaces what the budget allows, and passes the wave when every node
// of it has soaked.
func (p *pass) forward() {
	p.withdraw()
	p.returnFailed()
	if b := p.in.Block; b != nil {
		p.say(Held, b.Reason, b.Message)
		return
	}
	for p.startWave() {
		if p.replace() {
			return
		}
		g := p.waveProgress()
		switch {
		case g.unfinished > 0:
			return
		case g.evidence == 0 && !(p.lastWave() && g.any > 0):
			p.say(Held, ReasonNoEvidence, fmt.Sprintf("wave %s has no healthy node to prove the candidate: its nodes were sick before, or failed within the budget", p.waveName()))
			return
		case p.in.Now.Before(g.until):
			p.say(Soaking, ReasonSoaking, fmt.Sprintf("wave %s: %d nodes healthy, soaking until %s", p.waveName(), g.evidence, g.until.UTC().Format(time.TimeOnly+"Z")))
			p.wakeAt(g.until)
			return
		case p.lastWave():
			p.promote()
			return
		}
		p.next.Wave++
		p.next.WaveStarted = time.Time{}
	}
}

// replace records the next nodes and opens a pulse for them.
func (p *pass) replace() bool {
	batch := p.batch()
	batch = batch[:min(len(batch), p.free())]
	for _, r := range batch {
		n := p.nodes[r.UID]
		if r.Touched.IsZero() {
			r.SickBefore = !n.Present()
		}
		r.Touched = p.in.Now
		delete(p.verdicts, r.UID)
		p.take(n, n.Agent())
	}
	if len(batch) > 0 {
		p.do(Step{Action: WriteTemplate, Digest: p.candidate(), Gated: true})
	}
	return len(batch) > 0
}

// batch are the nodes of the waves so far that wait for the candidate: those of
// a superseded candidate first, then sick ones (they cost least), then by wave.
func (p *pass) batch() []*Record {
	var out []*Record
	for i := range p.next.Records {
		r := &p.next.Records[i]
		n := p.nodes[r.UID]
		if n == nil || r.Failed != "" || r.Excused || !reachable(n) || p.inFlight(r.UID) != nil {
			continue
		}
		if a := n.Agent(); a != nil && !a.Gated && a.Digest != p.candidate() {
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b *Record) int {
		return cmp.Or(cmp.Compare(p.urgency(a), p.urgency(b)), cmp.Compare(a.Wave, b.Wave))
	})
	return out
}

func (p *pass) urgency(r *Record) int {
	n := p.nodes[r.UID]
	switch {
	case n.Agent().Digest != p.rest():
		return 0
	case !n.Present():
		return 1
	default:
		return 2
	}
}

// returnFailed gives nodes that failed within the budget the proven version
// again, so that they neither stay hurt nor hold the budget.
func (p *pass) returnFailed() {
	for i := range p.next.Records {
		r := &p.next.Records[i]
		n := p.nodes[r.UID]
		if n == nil || r.Failed == "" || !p.runsCandidate(n) {
			continue
		}
		p.take(n, n.Agent())
		p.do(deletion(n, n.Agent(), ForReturn))
	}
}

// promote makes the candidate the proven version.
func (p *pass) promote() {
	c := *p.next.Candidate
	p.next.Proven, p.next.Candidate = &c, nil
	p.next.Wave, p.next.WaveStarted = 0, time.Time{}
	p.next.Records = slices.DeleteFunc(p.next.Records, func(r Record) bool { return r.Failed == "" || p.nodes[r.UID] == nil })
	for i := range p.next.Records {
		p.next.Records[i].KeptOut = true
	}
	p.goal = goalRest
	p.do(Step{Action: WriteTemplate, Digest: c.Digest})
	p.say(Proven, ReasonProven, fmt.Sprintf("%s passed every wave", short(c)))
}

// install waits for the first version on every node that can be reached.
func (p *pass) install() {
	if r := p.next.rejection(p.candidate()); r != nil {
		return
	}
	p.replaceEarlierInstall()
	healthy, missing := 0, 0
	for i := range p.in.Fleet {
		n := &p.in.Fleet[i]
		switch {
		case !reachable(n):
		case p.verdicts[n.UID].Status == health.Healthy:
			healthy++
		default:
			missing++
		}
	}
	p.say(Replacing, ReasonInstalling, fmt.Sprintf("first install: %d of %d reachable nodes healthy", healthy, healthy+missing))
	if missing-p.failedRecords() <= 0 && healthy > 0 {
		p.promote()
	}
}

func (p *pass) failedRecords() int {
	count := 0
	for _, r := range p.next.Records {
		if r.Failed != "" && p.nodes[r.UID] != nil {
			count++
		}
	}
	return count
}

// replaceEarlierInstall removes the pods of a first version that was never
// proven: those that serve nobody at once, the others within the budget.
func (p *pass) replaceEarlierInstall() {
	free := p.free()
	for i := range p.in.Fleet {
		n := &p.in.Fleet[i]
		a := n.Agent()
		if a == nil || !reachable(n) || a.Digest == p.candidate() {
			continue
		}
		if p.available(n) {
			if free == 0 {
				continue
			}
			free--
		}
		p.take(n, a)
		p.do(deletion(n, a, ForReplace))
	}
}

func (p *pass) waveName() string {
	return p.in.Policy.Waves[min(p.next.Wave, len(p.in.Policy.Waves)-1)].Name
}

// short names a version for a message.
func short(v Version) string {
	if v.Commit != "" {
		return "commit " + v.Commit[:min(len(v.Commit), 8)]
	}
	return v.Digest[:min(len(v.Digest), 15)]
}
