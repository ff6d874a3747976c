package rollout

import (
	"fmt"

	"github.com/rollcall-dev/rollcall/health"
)

// needsApproval is whether the wave may not begin yet. The last one may have no
// node when it begins, and get some that cannot be reached now.
func (p *pass) needsApproval(w Wave, picked []*health.Node) bool {
	if !w.Approval || len(picked) == 0 && p.unreached() == 0 {
		return false
	}
	a := p.in.Approved
	return a == nil || a.Digest != p.candidate() || a.Wave != "" && a.Wave != w.Name
}

func (p *pass) sayNeedsApproval(w Wave) {
	p.d.Awaits = w.Name
	p.say(Held, ReasonApproval, fmt.Sprintf("wave %s of %s begins when it is approved, with %d of %d eligible nodes on the candidate: rollcall approve %s --wave %s",
		w.Name, short(*p.next.Candidate), p.onCandidate(), p.eligible, p.in.Name, w.Name))
}

// onCandidate counts the eligible nodes that run the candidate.
func (p *pass) onCandidate() int {
	count := 0
	for i := range p.in.Fleet {
		if n := &p.in.Fleet[i]; n.Eligible && p.runsCandidate(n) {
			count++
		}
	}
	return count
}

// awaitsApproval says what a person has to approve before the wave begins, and whether
// there is anything.
func (p *pass) awaitsApproval(w Wave, picked []*health.Node) bool {
	switch {
	case p.needsMoveApproval(w):
		p.sayNeedsMoveApproval(w)
	case p.needsApproval(w, picked):
		p.sayNeedsApproval(w)
	default:
		return false
	}
	return true
}
