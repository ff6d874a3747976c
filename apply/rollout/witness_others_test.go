package rollout_test

import (
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/health"
)

// seeOthers holds decisions to what they know of other DaemonSets: no node is
// begun that another rollout is at work on, none that a predecessor has not come
// to, and none at all while too much of the fleet is sick.
func (w *witness) seeOthers(in *rollout.Input, d rollout.Decision) {
	pulse := slices.ContainsFunc(d.Steps, func(s rollout.Step) bool {
		return s.Action == rollout.WriteTemplate && s.Gated && d.Next.Proven != nil && s.Digest != d.Next.Proven.Digest
	})
	if m := in.Policy.MaxSick; pulse && m != nil && in.Sick.Nodes > share(*m, in.Sick.Of) {
		w.accuse("P1", "a pulse is opened while %d of %d nodes are sick, at most %s may be", in.Sick.Nodes, in.Sick.Of, m.String())
	}
	for _, f := range d.Next.InFlight {
		if pulse && !slices.ContainsFunc(in.State.InFlight, func(o rollout.InFlight) bool { return o.NodeUID == f.NodeUID && o.PodUID == f.PodUID }) {
			w.seeBegun(in, nodeOf(in, f.Node), true)
		}
	}
	for _, s := range d.Steps {
		for _, name := range strings.Split(s.Won, ",") {
			if name != "" && s.Gated && !slices.Contains(strings.Split(in.Live.Won, ","), name) {
				w.seeBegun(in, nodeOf(in, name), true)
			}
		}
		switch {
		case s.Action == rollout.DeletePod && s.Why != rollout.ForStray:
			everywhere := d.Next.Proven == nil && !in.Live.Gated // a first version on all nodes at once, over an earlier one
			w.seeBegun(in, nodeOf(in, s.Node), s.Why == rollout.ForReplace && !everywhere)
		case s.Action == rollout.OpenGate && d.Next.Proven == nil:
			if !slices.ContainsFunc(in.State.Records, func(r rollout.Record) bool { return r.Node == s.Node && !r.Touched.IsZero() }) {
				w.seeBegun(in, nodeOf(in, s.Node), true)
			}
		}
	}
}

func (w *witness) seeBegun(in *rollout.Input, n *health.Node, forward bool) {
	busy := slices.ContainsFunc(in.Busy, func(b rollout.Busy) bool { return b.UID == n.UID && in.Now.Before(b.Until) })
	behind := slices.ContainsFunc(in.After, func(p rollout.Predecessor) bool { return slices.Contains(p.Behind, n.Name) })
	switch {
	case busy && (forward || n.Present()):
		w.accuse("P2", "%s is begun while another rollout is at work on it", n.Name)
	case behind && forward:
		w.accuse("P3", "%s is begun before what the DaemonSet comes after is healthy there", n.Name)
	}
}
