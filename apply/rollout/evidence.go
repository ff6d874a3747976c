package rollout

import (
	"fmt"
	"slices"

	"github.com/rollcall-dev/rollcall/health"
)

// gatherEvidence judges every touched node, remembers failures, and rejects the
// candidate when they exceed the budget.
func (p *pass) gatherEvidence() {
	if p.goal == goalInstall {
		p.judgeInstall()
		return
	}
	if p.next.Candidate == nil || p.goal == goalBack && !p.firstWaves() {
		return
	}
	p.judgeUnasked()
	failed := 0
	for i := range p.next.Records {
		r := &p.next.Records[i]
		if n := p.node(r.Node, r.UID); n != nil && !r.Touched.IsZero() {
			p.startUngated(r, n)
			p.judge(r, n)
		}
		if r.Failed != "" {
			failed++
			p.expel(r)
		}
	}
	p.next.InFlight = slices.DeleteFunc(p.next.InFlight, p.lostNothing)
	if p.next.rejection(p.candidate()) == nil && failed > p.in.Policy.FailureBudget {
		p.rejectCandidate(failed)
	}
}

// judge takes one touched node's verdict, if it can have one.
func (p *pass) judge(r *Record, n *health.Node) {
	n = p.withoutOld(n)
	if !p.judgeable(r, n) {
		r.Away = r.Away || p.barred(n) || p.silent(r, n)
		return
	}
	p.welcome(r, n)
	v := p.verdictOn(r, n)
	*p.verdict(n) = v
	p.wakeAt(v.Next)
	switch {
	case v.Status == health.Healthy:
		r.Excused, r.SickBefore, r.First, r.Tries, r.Well = false, false, false, 0, true
	case v.Status != health.Failed:
	case asBefore(r, v):
		r.Excused = true
	case r.Leaving && !n.Ready:
	case r.Failed == "":
		r.Failed, r.FailedMessage = v.Reason, v.Message
	}
}

// asBefore is whether the node is as sick as it was before it was touched.
func asBefore(r *Record, v health.Verdict) bool {
	return v.Status == health.Failed && r.SickBefore && v.Reason != health.ReasonNodeNotReady
}

// lostNothing is whether the node in flight is as sick as it was before.
func (p *pass) lostNothing(f InFlight) bool {
	n := p.node(f.Node, f.NodeUID)
	if !f.Idle || n == nil {
		return false
	}
	r := p.record(n)
	return r != nil && asBefore(r, *p.verdict(n))
}

// welcome gives a node that was away its whole time, and holds one that is Ready to
// staying so.
func (p *pass) welcome(r *Record, n *health.Node) {
	if r.Away {
		r.Away, r.Touched = false, p.in.Now
	}
	r.Down = r.Down && !n.Ready
}

// maxBreaks is how often an agent may lose its health and recover, since it is
// not all the candidate's doing that happens to a node in a long rollout.
const maxBreaks = 3

// verdictOn judges the node by its own deadline. An agent that was healthy and
// is not Ready has all of it again, but not too often.
func (p *pass) verdictOn(r *Record, n *health.Node) health.Verdict {
	since := r.Touched
	if a := n.Agent(); (r.Well || r.Breaks > 0) && a != nil && a.ReadySince.After(since) {
		since = a.ReadySince
	}
	rule := p.in.Policy.Health
	rule.Node = rule.Node && !r.Down
	v := health.Judge(n, since, rule, p.in.Now)
	if r.Well && v.Status == health.Progressing {
		r.Well = false
		r.Breaks++
	}
	if v.Status == health.Progressing && r.Breaks > maxBreaks {
		return health.Verdict{Status: health.Failed, Reason: health.ReasonUnstable, Message: fmt.Sprintf("its agent was healthy and then not Ready %d times: %s", r.Breaks, v.Message)}
	}
	return v
}

// judgeable is whether what the node shows can be the candidate's doing:
//
//	a pod that the node keeps from being scheduled ................... no: it does not run yet
//	NotReady, and that is evidence by the policy ..................... if it ever ran there
//	NotReady, and that is none ....................................... no: it tells nothing of its agent
//	the pod that has to go is still there, or the next one is gated .. no: it does not run yet
//	no pod ........................................................... no: none ran that could show anything
//	a pod of another version ......................................... no: it fell back
func (p *pass) judgeable(r *Record, n *health.Node) bool {
	a := n.Agent()
	switch {
	case p.barred(n), p.silent(r, n):
		return false
	case !n.Ready:
		return r.Ran && (a == nil || !a.Gated)
	case a == nil, a.Gated:
		return false
	default:
		f := p.inFlight(n)
		return (f == nil || n.Pod(f.PodUID) == nil) && a.Digest == p.candidate()
	}
}

// silent is whether the node has become NotReady and the policy has no rule for
// that, or was so before and does not even say so any more.
func (p *pass) silent(r *Record, n *health.Node) bool {
	return !n.Ready && (!r.Down && !p.in.Policy.Health.Node || r.Down && n.Unreported)
}

// barred is whether the node's pod of the candidate may start, and a taint keeps
// it from being scheduled.
func (p *pass) barred(n *health.Node) bool {
	return p.runsCandidate(n) && !n.Schedulable && n.Agent().Trouble.Reason == health.ReasonUnschedulable
}

// rejectCandidate remembers the digest and turns the goal round.
func (p *pass) rejectCandidate(failed int) {
	touched := 0
	var first *Record
	for i := range p.next.Records {
		r := &p.next.Records[i]
		if !r.Touched.IsZero() {
			touched++
		}
		if r.Failed != "" && first == nil {
			first = r
		}
	}
	p.next.reject(Rejection{
		Version: *p.next.Candidate,
		Reason:  first.Failed,
		Message: fmt.Sprintf("%d of %d touched nodes failed (budget %d); first %s: %s", failed, touched, p.in.Policy.FailureBudget, first.Node, first.FailedMessage),
		At:      p.in.Now,
	})
	if p.goal == goalForward {
		p.goal = goalBack
		if p.staysRejected() {
			p.goal = goalStop
		}
	}
}

// judgeInstall judges every eligible node of a first install on all nodes, each
// since its pod was made: there is no replacement to record.
func (p *pass) judgeInstall() {
	failed, first := 0, ""
	var news []Record
	for i := range p.in.Fleet {
		n := &p.in.Fleet[i]
		a := n.Agent()
		if !p.reachable(n) || !p.runsCandidate(n) {
			continue
		}
		v := health.Judge(n, a.Created, p.in.Policy.Health, p.in.Now)
		*p.verdict(n) = v
		p.wakeAt(v.Next)
		if v.Status == health.Failed {
			failed++
			if first == "" {
				first = n.Name + ": " + v.Message
			}
			if i := p.recorded(n.Name); i == len(p.next.Records) || p.next.Records[i].Node != n.Name {
				news = append(news, Record{Node: n.Name, UID: n.UID, Touched: p.in.Now, Failed: v.Reason, FailedMessage: v.Message})
			}
		}
	}
	p.next.Records = mergeRecords(p.next.Records, news)
	if failed > p.in.Policy.FailureBudget && p.next.rejection(p.candidate()) == nil {
		i := slices.IndexFunc(p.next.Records, func(r Record) bool { return r.Failed != "" })
		p.next.reject(Rejection{Version: *p.next.Candidate, Reason: p.next.Records[i].Failed, At: p.in.Now,
			Message: fmt.Sprintf("%d of %d nodes failed the first install (budget %d); first %s", failed, p.eligible, p.in.Policy.FailureBudget, first)})
	}
}
