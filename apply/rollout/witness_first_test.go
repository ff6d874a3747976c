package rollout_test

import (
	"slices"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/apply/rollout/sim"
	"github.com/rollcall-dev/rollcall/health"
)

// seeFirst holds P1 against the template of a first version: one that goes in waves
// does not go to all nodes at once.
func (w *witness) seeFirst(f sim.Fact) {
	switch s := w.cluster.State(); {
	case s.Proven != nil, f.By != sim.Rollcall, f.Gated, f.Digest == "foreign":
	case s.Waves != nil:
		w.accuse("P1", "%s is let start on all nodes before it is proven", f.Digest)
	default:
		w.proven[f.Digest] = true // a first install is on every node at once
	}
}

// mayNotBegin is whether nothing new may begin by what a decision knew.
func mayNotBegin(in *rollout.Input) bool {
	limit := in.Policy.MaxSick
	sick := limit != nil && (in.Sick.Unseen > 0 || in.Sick.Nodes > rollout.Resolve(*limit, in.Sick.Of))
	return sick || in.Paused || in.Unknown != nil || in.Block != nil || in.Policy.Calendar.Closed(in.Now) != nil
}

// seeInstall holds P9 against a first version for all nodes at once: it does not
// begin before it may. It holds P1 against any: the template of one that is blocked,
// which may be for where it would run, does not take the place of another one.
func (w *witness) seeInstall(in *rollout.Input, d rollout.Decision, s rollout.Step) {
	c := d.Next.Candidate
	if d.Next.Proven != nil || c == nil || !mayNotBegin(in) {
		return
	}
	begun := in.Live.Digest == c.Digest && !in.Live.Gated || slices.ContainsFunc(in.Fleet, func(n health.Node) bool {
		a := n.Agent()
		return a != nil && a.Digest == c.Digest && !a.Gated
	})
	gone := slices.ContainsFunc(in.State.InFlight, func(f rollout.InFlight) bool { return f.PodUID == s.PodUID })
	switch {
	case s.Action == rollout.WriteTemplate && in.Block != nil && in.Live.Gated && in.Live.Digest != s.Digest:
		w.accuse("P1", "%s is written though it is blocked", s.Digest)
	case s.Action == rollout.WriteTemplate && !s.Gated && !begun:
		w.accuse("P9", "%s is let start on all nodes though nothing may begin", s.Digest)
	case s.Action == rollout.DeletePod && s.Why == rollout.ForReplace && !gone:
		w.accuse("P9", "the agent on %s gives way to %s though nothing may begin", s.Node, c.Digest)
	}
}
