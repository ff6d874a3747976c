package rollout_test

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/apply/rollout/sim"
)

// What is promised of a candidate that goes over the nodes from the spec. Pods of it
// that nobody asked for are anybody's; what rollcall itself replaces is held to the
// same radius as ever.

// seeReplaced holds P1 and P5 against a deletion that gives a node the candidate.
func (w *witness) seeReplaced(f sim.Fact) {
	if f.Digest == "" || w.cluster.Live().Gated { // what comes in a pulse is seen when it runs
		return
	}
	c := w.cluster.State().Candidate
	if c == nil || w.cluster.State().Proven == nil {
		return
	}
	r := w.reach[c.Digest]
	switch {
	case r == nil:
		w.accuse("P1", "%s goes to %s though no wave has begun", c.Digest, f.Node)
	case r.rejected != nil && !r.rejected[f.NodeUID]:
		w.accuse("P5", "%s is rejected and replaces the agent on %s", c.Digest, f.Node)
	default:
		w.reached(r, f.NodeUID, c.Digest)
	}
}

// inSpecNow is whether the digest may be in the spec: its first wave has begun, and
// it is not rejected.
func inSpecNow(in *rollout.Input, s rollout.State, digest string) bool {
	return in.Policy.NewPodsCandidate && s.Proven != nil && s.Candidate != nil && s.Candidate.Digest == digest && s.Waves != nil && !rejects(s, digest)
}

// mayHold is the same of what the DaemonSet holds; between pulses, if the policy
// was edited since.
func (w *witness) mayHold(live rollout.Live, s rollout.State) bool {
	return !live.Gated && w.cluster.Policy().NewPodsCandidate && s.Candidate != nil && s.Candidate.Digest == live.Digest && s.Waves != nil && !rejects(s, live.Digest)
}

// seeInSpec wants each pod to be deleted only while the DaemonSet makes the one that
// shall take its place, and nothing to be written that another tool writes.
func (w *witness) seeInSpec(in *rollout.Input, d rollout.Decision, s rollout.Step) {
	spec := in.Foreign || in.Policy.NewPodsCandidate && d.Next.Proven != nil
	switch {
	case in.Foreign && s.Action != rollout.DeletePod:
		w.accuse("P5", "%s of what another tool writes", s.Action)
	case in.Foreign && (!in.Live.OnDelete || s.Why == rollout.ForStray):
		w.accuse("P5", "the pod on %s is deleted for %s though Kubernetes replaces them", s.Node, s.Why)
	case !spec || s.Action != rollout.DeletePod:
	case !in.Live.Observed:
		w.accuse("P1", "the pod on %s is deleted before the DaemonSet controller has seen the template", s.Node)
	case s.Why == rollout.ForReplace && (d.Next.Candidate == nil || in.Live.Digest != d.Next.Candidate.Digest):
		w.accuse("P1", "the pod on %s is deleted for a candidate that is not in the spec", s.Node)
	case (s.Why == rollout.ForReturn || s.Why == rollout.ForStraggler) && in.Live.Digest != rest(d.Next):
		w.accuse("P1", "the pod on %s is deleted for %s, and %s would come", s.Node, s.Why, in.Live.Digest)
	}
}

// seeFailures holds P3 where a wave passes: no more nodes than the failure budget
// crash-loop on the candidate, wherever it came from.
func (w *witness) seeFailures(in *rollout.Input) {
	if !w.inSpec || !in.Policy.NewPodsCandidate || in.State.Proven == nil {
		return
	}
	failing := map[types.UID]bool{}
	for i := range in.Fleet {
		n := &in.Fleet[i]
		a := n.Agent()
		known := slices.ContainsFunc(in.State.Records, func(r rollout.Record) bool { return r.UID == n.UID && !r.Self })
		if a == nil || known || !n.Eligible || !n.Ready || n.Held || n.Leaving || a.Digest != in.State.Candidate.Digest || a.Restarts <= in.Policy.Health.MaxRestarts {
			continue
		}
		if owed := slices.ContainsFunc(in.State.Owed, func(o rollout.Owed) bool { return o.UID == n.UID }); !owed {
			failing[n.UID] = true
		}
	}
	if len(failing) > in.Policy.FailureBudget {
		w.accuse("P3", "a wave passes, and %d nodes that are in none fail on %s", len(failing), in.State.Candidate.Digest)
	}
}
