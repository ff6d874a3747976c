package rollout

import (
	"slices"
	"time"
)

// gatherSlack is for how much longer than readyFor a pulse waits for more nodes: what
// nodes of one pulse are apart in becoming Ready, on a busy machine.
const gatherSlack = 5 * time.Second

// gatherFrom is the budget, in nodes, from which pulses wait for more: below it what
// that saves is less than what it costs in time.
const gatherFrom = 4

// gatherEnough is how many nodes of any budget never wait for more: the eight writes or so
// of a pulse are less than one for each of them, and with a large budget those that wait
// would leave much of it unused (measured with 1,000 nodes, a tenth at once: a third of
// the budget waited 10 s in each round).
const gatherEnough = 10

// isEnough is whether so many nodes of those that wait, of which most go at once at the
// most, need not wait for others.
func isEnough(batch, waiting, most int) bool {
	return 2*batch >= most || batch >= gatherEnough || most < gatherFrom || batch == waiting
}

// gathers is until when the batch waits for others of those
// that wait to go with it in one pulse, most of which can go at once, since a
// pulse costs as many writes for one node as for all. It goes at once when half of the
// budget is free, or enough nodes are, or the budget is small, when no others are to come, when a node of it
// is not served or was recorded before, and when the first of it could have gone for
// long enough: no longer than one node takes, and a node that takes longer keeps no
// other waiting.
func (p *pass) gathers(batch []*Record, waiting, most int) time.Time {
	if isEnough(len(batch), waiting, most) {
		return time.Time{}
	}
	for _, r := range batch {
		if n := p.node(r.Node, r.UID); p.inFlight(n) != nil || !n.Present() {
			return time.Time{}
		}
	}
	wait := p.in.Policy.Health.ReadyFor + gatherSlack
	var freed []time.Time
	for i := range p.next.Records {
		r := &p.next.Records[i]
		is, place := p.standingAt(r)
		if is != standingDone {
			continue
		}
		if since := p.verdicts[place].Since; p.in.Now.Before(since.Add(wait)) {
			freed = append(freed, since)
		}
	}
	if len(freed) < len(batch) {
		return time.Time{}
	}
	slices.SortFunc(freed, time.Time.Compare)
	return freed[len(freed)-len(batch)].Add(wait)
}
