package rollout

import (
	"time"

	"github.com/rollcall-dev/rollcall/health"
)

// pulseSlack is how long a pulse waits beyond the grace period of its pods.
// A pod that terminates for longer keeps its node for a later pulse.
const pulseSlack = 15 * time.Second

// finishStarted takes the steps that no policy may delay, one kind at a time,
// and says whether the DaemonSet has to settle before anything else:
//
//	strategy is not OnDelete ....... set it: nothing else is safe before
//	template not observed .......... wait: a delete now would recreate the old pod
//	pulse open, going forward ...... delete its pods, wait for the new ones, close it
//	template is not the rest one ... write the rest one
//	gated pods ..................... open those in flight, delete the strays
func (p *pass) finishStarted() bool {
	live, rest := p.in.Live, p.rest()
	switch {
	case !live.OnDelete:
		p.do(Step{Action: SetOnDelete})
	case !live.Observed:
		p.say(Waiting, ReasonUnobserved, "the DaemonSet controller has not observed the template yet")
		return true
	case p.pulseOpen():
		p.runPulse()
		return true
	case rest != "" && (live.Digest != rest || live.Gated):
		p.do(Step{Action: WriteTemplate, Digest: rest})
	default:
		p.closeGates()
	}
	return len(p.d.Steps) > 0
}

func (p *pass) pulseOpen() bool {
	return p.goal == goalForward && p.in.Live.Gated && p.in.Live.Digest == p.candidate()
}

// runPulse deletes the pods in flight, and closes the pulse when each node has
// its next pod, or when one of them takes too long.
func (p *pass) runPulse() {
	pending := 0
	var opened time.Time
	kept := p.next.InFlight[:0]
	for _, f := range p.next.InFlight {
		n := p.nodes[f.NodeUID]
		if f.At.After(opened) {
			opened = f.At
		}
		old := n.Pod(f.PodUID)
		switch {
		case old != nil && !old.Terminating && !reachable(n):
			continue // the intent is withdrawn: no pod would come back
		case old != nil && !old.Terminating:
			p.do(deletion(n, old, ForReplace))
		case n.Agent() == nil:
			pending++
		}
		kept = append(kept, f)
	}
	p.next.InFlight = kept
	if len(p.d.Steps) > 0 {
		return
	}
	limit := opened.Add(p.in.Policy.Grace + pulseSlack)
	if pending > 0 && p.in.Now.Before(limit) {
		p.wakeAt(limit)
		return
	}
	p.do(Step{Action: WriteTemplate, Digest: p.rest()})
}

// closeGates opens the gates of pods that a pulse made on nodes in flight. Any
// other gated pod is a stray: deleted, it comes back proven.
func (p *pass) closeGates() {
	for i := range p.in.Fleet {
		n := &p.in.Fleet[i]
		for j := range n.Agents {
			a := &n.Agents[j]
			if !a.Gated || a.Terminating {
				continue
			}
			f := p.inFlight(n.UID)
			if f != nil && a.UID != f.PodUID && a.Digest == p.candidate() && p.mayOpen() {
				p.do(Step{Action: OpenGate, Node: n.Name, Pod: a.Name, PodUID: a.UID})
				continue
			}
			p.do(deletion(n, a, ForStray))
		}
	}
}

// withdraw forgets intents that never came to a delete: the pod is still there
// and the pulse is over.
func (p *pass) withdraw() {
	kept := p.next.InFlight[:0]
	for _, f := range p.next.InFlight {
		if n := p.nodes[f.NodeUID]; n != nil {
			if old := n.Pod(f.PodUID); old != nil && !old.Terminating {
				continue
			}
		}
		kept = append(kept, f)
	}
	p.next.InFlight = kept
}

func deletion(n *health.Node, a *health.Agent, why Why) Step {
	return Step{Action: DeletePod, Node: n.Name, Pod: a.Name, PodUID: a.UID, Why: why}
}
