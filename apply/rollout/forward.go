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
	case p.goal == goalStop, p.goal == goalWait:
		p.withdraw(anything)
	case p.isRemoved() && p.hold() == nil:
		p.sayRemoved()
	case p.eligible == 0 && !p.removes():
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
	b := p.hold()
	if p.inSpec() && p.returnHurt() {
		return // before the candidate is in the spec
	}
	started := b == nil && p.startWave()
	p.queue = p.lineUp()
	if p.returnHurt() {
		return
	}
	if b != nil {
		p.withdraw(anything)
		p.sayBlock(b)
		return
	}
	room := p.beside(p.downNodes())
	p.withdraw(func(n *health.Node, _ *health.Agent) bool {
		return !p.stillNext(n) || p.kept(n) || room.over(n) && n.Present()
	})
	for started && p.passWave() {
		started = p.startWave()
		p.queue = p.lineUp()
	}
}

// hold is why nothing new may begin; nil when it may.
func (p *pass) hold() *Block {
	return cmp.Or(p.tripped(), p.in.Unknown, p.in.Block, p.cannotMove(), p.in.Policy.Calendar.Closed(p.in.Now))
}

// stillNext is whether the node, recorded to be replaced, is so still.
func (p *pass) stillNext(n *health.Node) bool {
	r := p.record(n)
	return r != nil && p.waits(r) && p.isNext(r)
}

// sayBlock says what the rollout waits for: time, or a person.
func (p *pass) sayBlock(b *Block) {
	phase := Held
	if !b.Until.IsZero() {
		phase = Waiting
		p.wakeAt(b.Until)
	}
	p.say(phase, b.Reason, b.Message)
}

// passWave takes the next step of the wave, and says whether the wave after it
// may begin.
func (p *pass) passWave() bool {
	g := p.waveProgress()
	p.tailWaits = g.tailWaits() && !p.losesTooMany()
	if p.replace() {
		return false
	}
	switch {
	case g.unfinished > 0, g.tail > 0 && !p.tailWaits:
		p.sayUnfinished()
	case p.lacksEvidence(g):
		p.say(Held, ReasonNoEvidence, fmt.Sprintf("wave %s has no healthy node to prove the candidate: its nodes were sick before, failed within the budget, or are held out by label", p.waveName()))
	case g.evidence == 0 && p.unreached() > 0:
		p.say(Held, ReasonUnreachable, fmt.Sprintf("wave %s: none of its %d nodes can be reached (NotReady, tainted or without a pod); one has to come back, or all have to leave or be held out by label", p.waveName(), p.unreached()))
	case p.in.Now.Before(g.until):
		p.say(Soaking, ReasonSoaking, fmt.Sprintf("wave %s: %s healthy, soaking until %s%s", p.waveName(), counted(g.evidence), timeOfDay(g.until), g.followers()))
		p.wakeAt(g.until)
	case p.lastWave():
		p.end()
	default:
		return p.beginWave(p.next.Wave + 1)
	}
	return false
}

// lacksEvidence is whether no node of the wave is healthy, or of any wave if it is the
// last one or all of its nodes are lost.
func (p *pass) lacksEvidence(g progress) bool {
	return g.evidence == 0 && (!p.lastWave() && !p.onlyLoses() || g.any == 0)
}

// end promotes the candidate after its last wave, unless that would take too many agents.
func (p *pass) end() {
	switch many := p.losesTooMany(); {
	case many && p.removes():
		p.sayKeeping()
	case many:
		p.sayLosing()
	case p.removes():
		p.sayRemoved()
	default:
		p.promote()
	}
}

// unreached counts the nodes that are in no wave yet and should be.
func (p *pass) unreached() int {
	count := 0
	for i := range p.in.Fleet {
		if n := &p.in.Fleet[i]; (n.Eligible || n.Won) && !n.Held && p.record(n) == nil {
			count++
		}
	}
	return count
}

// returnHurt gives the proven version again to nodes that failed within the
// budget, and to those that another candidate left without an available agent
// and that are not to get this one now, be it that their group is not in turn:
// they would hold the budget that it needs. It says whether there are any: a pulse
// has to wait until they have their pods, or they would get the candidate. While
// nothing is proven their next agents wait for their waves.
func (p *pass) returnHurt() bool {
	if p.inSpec() && !p.awaitsSpec() {
		return false
	}
	hurt := slices.DeleteFunc(p.strangers(), func(n *health.Node) bool {
		r := p.record(n)
		if p.runsCandidate(n) {
			return r == nil || r.Failed == "" && !p.surgesInVain(r, n)
		}
		return n.Present() || r != nil && !p.firstWaves() && p.isNext(r)
	})
	if p.firstWaves() {
		p.clear(hurt)
	} else {
		hurt, _ = p.holdBack(hurt)
		p.giveProven(hurt)
	}
	return len(p.d.Steps) > 0
}

// promote makes the candidate the proven version. The records stay until that is
// recorded too: whoever dies in between finds them, and promotes it again.
func (p *pass) promote() {
	c := *p.next.Candidate
	p.next.Proven, p.next.Candidate = &c, nil
	p.next.Wave, p.next.WaveStarted = 0, time.Time{}
	for i := range p.next.Records {
		r := &p.next.Records[i]
		r.KeptOut = r.Failed != "" && p.node(r.Node, r.UID) != nil
	}
	p.about = c.Digest
	// What failed within the budget is given up, and holds no budget any more.
	p.next.InFlight = slices.DeleteFunc(p.next.InFlight, func(f InFlight) bool {
		n := p.node(f.Node, f.NodeUID)
		if n == nil {
			return false
		}
		r := p.record(n)
		return r != nil && r.KeptOut
	})
	p.goal = goalRest
	if p.in.Foreign {
		p.wakeAt(p.in.Now) // the nodes that follow after the proof wait for no write
	} else {
		p.do(Step{Action: WriteTemplate, Digest: c.Digest})
	}
	p.say(Proven, ReasonProven, fmt.Sprintf("%s passed every wave", short(c)))
}

func (p *pass) waveName() string {
	return p.waves()[p.next.Wave].Name
}

// timeOfDay is a time for a message.
func timeOfDay(t time.Time) string {
	return t.UTC().Format(time.TimeOnly + "Z")
}

// counted is a number of nodes.
func counted(n int) string {
	if n == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", n)
}

// those is a number of nodes with what one or many of them do.
func those(n int, one, many string) string {
	if n == 1 {
		return counted(n) + " " + one
	}
	return counted(n) + " " + many
}

// short names a version for a message.
func short(v Version) string {
	if v.Commit != "" {
		return "commit " + v.Commit[:min(len(v.Commit), 8)]
	}
	if Removes(v.Digest) { // with its GitSync, by no commit
		return "the removal"
	}
	return v.Digest[:min(len(v.Digest), 15)]
}
