package rollout_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/health"
)

// moment is one kind of decision, on a fleet of any size.
type moment struct {
	name string
	// phase, reason and the action of the first step show that the decision is
	// the one that the name says; no action stands for no step.
	phase  rollout.Phase
	reason string
	action rollout.Action
	set    func(*fixture)
}

// moments are every kind of decision, each with as many nodes in it as there can
// be. A fleet on v1 shall have v2, in the last of three waves.
func moments() []moment {
	return []moment{
		{"at-rest", rollout.Proven, rollout.ReasonProven, "", func(f *fixture) {
			f.in.Want, f.in.State.Candidate = f.in.State.Proven, nil
		}},
		{"wave-start", rollout.Replacing, rollout.ReasonReplacing, rollout.WriteTemplate, func(f *fixture) {
			f.in.State.WaveStarted = time.Time{}
			f.every(2, replaced)
		}},
		{"mid-wave", rollout.Replacing, rollout.ReasonReplacing, rollout.WriteTemplate, func(f *fixture) {
			f.every(1, waiting)
			f.every(2, replaced)
			f.every(10, arriving)
		}},
		{"deleting", rollout.Replacing, rollout.ReasonReplacing, rollout.DeletePod, func(f *fixture) {
			f.in.Live.Digest, f.in.Live.Gated = "v2", true
			f.every(1, waiting)
			f.every(2, replaced)
			f.every(5, pending)
		}},
		{"opening-gates", rollout.Replacing, rollout.ReasonReplacing, rollout.OpenGate, func(f *fixture) {
			f.every(1, waiting)
			f.every(2, replaced)
			f.every(5, gated)
		}},
		{"beside-others", rollout.Replacing, rollout.ReasonReplacing, rollout.WriteTemplate, func(f *fixture) {
			f.every(1, waiting)
			f.every(2, replaced)
			f.beside = true
		}},
		{"waiting-for-others", rollout.Waiting, rollout.ReasonWaitsForDependency, "", func(f *fixture) {
			f.every(1, waiting)
			f.beside, f.behind = true, true
		}},
		{"soaking", rollout.Soaking, rollout.ReasonSoaking, "", func(f *fixture) {
			f.every(1, replaced)
		}},
		{"soaking-beside-sick-ones", rollout.Soaking, rollout.ReasonSoaking, "", func(f *fixture) {
			f.every(1, replaced)
			f.every(5, sickBefore)
		}},
		{"promoting", rollout.Proven, rollout.ReasonProven, rollout.WriteTemplate, func(f *fixture) {
			f.in.Policy.Waves[2].Soak = 0
			f.every(1, replaced)
		}},
		{"naming-a-revision", rollout.Proven, rollout.ReasonProven, rollout.NameRevision, func(f *fixture) {
			f.every(1, replaced)
			f.in.State.Proven, f.in.State.Candidate = f.in.Want, nil
			f.in.Live.Digest, f.in.Live.Revision = "v2", "v2"
		}},
		{"naming-every-pod", rollout.Proven, rollout.ReasonProven, rollout.Relabel, func(f *fixture) {
			f.every(1, replaced)
			f.in.State.Proven, f.in.State.Candidate = f.in.Want, nil
			f.in.Live.Digest, f.in.Live.Revision, f.in.Live.Unnamed = "v2", "v2", true
		}},
		{"rejecting", rollout.Returning, rollout.ReasonReturning, rollout.DeletePod, func(f *fixture) {
			f.every(1, waiting)
			f.every(2, replaced)
			f.every(5, failed)
		}},
		{"returning", rollout.Returning, rollout.ReasonReturning, rollout.DeletePod, func(f *fixture) {
			f.in.State.Rejected = []rollout.Rejection{{Version: *f.in.Want, Reason: health.ReasonCannotStart}}
			f.every(2, replaced)
			f.every(5, failed)
			f.every(10, arriving)
		}},
		{"superseding", rollout.Replacing, rollout.ReasonReplacing, rollout.DeletePod, func(f *fixture) {
			f.in.Want = &rollout.Version{Digest: "v3"}
			f.every(1, waiting)
			f.every(2, replaced)
			f.every(5, failed)
		}},
		{"in-spec", rollout.Replacing, rollout.ReasonReplacing, rollout.DeletePod, func(f *fixture) {
			f.in.Policy.NewPodsCandidate, f.in.Policy.FailureBudget = true, len(f.parts)
			f.in.Live.Digest, f.in.Live.Revision = "v2", "v2"
			f.every(1, installed)
			f.every(2, waiting)
			f.every(5, crashing)
			f.every(10, replaced)
		}},
		{"owing", rollout.Returning, rollout.ReasonStragglers, rollout.DeletePod, func(f *fixture) {
			f.in.Want, f.in.State.Candidate, f.in.State.About = f.in.State.Proven, nil, ""
			f.every(2, owed)
		}},
		{"stragglers", rollout.Returning, rollout.ReasonStragglers, rollout.DeletePod, func(f *fixture) {
			f.in.Want, f.in.State.Candidate, f.in.State.About = f.in.State.Proven, nil, ""
			f.every(2, straggling)
		}},
		{"stragglers-waiting", rollout.Held, rollout.ReasonStragglersWait, rollout.NameRevision, func(f *fixture) {
			f.in.Want, f.in.State.Candidate, f.in.State.About = f.in.State.Proven, nil, ""
			f.every(2, straggling)
			f.every(3, straggled)
		}},
		{"first-install", rollout.Replacing, rollout.ReasonInstalling, "", func(f *fixture) {
			f.installing()
			f.every(1, installed)
			f.every(2, creating)
		}},
		{"first-install-again", rollout.Replacing, rollout.ReasonInstalling, rollout.DeletePod, func(f *fixture) {
			f.installing()
			f.every(2, installed)
		}},
		{"bad-first-install", rollout.Rejected, health.ReasonCannotStart, "", func(f *fixture) {
			f.installing()
			f.every(1, crashing)
			f.every(2, failed)
		}},
	}
}

func (m moment) input(nodes int) rollout.Input {
	f := &fixture{parts: make([]part, nodes)}
	f.in = rollout.Input{
		Now:  noon,
		Want: &rollout.Version{Digest: "v2"},
		Live: rollout.Live{Digest: "v1", OnDelete: true, Observed: true, Revision: "v1"},
		Policy: rollout.Policy{
			Waves: []rollout.Wave{{Name: "canary", UpTo: intstr.FromInt32(1)}, {Name: "half", UpTo: intstr.FromString("50%")},
				{Name: "rest", UpTo: intstr.FromString("100%"), Soak: 24 * time.Hour}},
			MaxUnavailable: intstr.FromString("30%"),
			Health:         health.Rule{ReadyFor: 30 * time.Second, Deadline: 10 * time.Minute, Node: true},
			Grace:          30 * time.Second,
		},
		State: rollout.State{Proven: &rollout.Version{Digest: "v1"}, Candidate: &rollout.Version{Digest: "v2"}, About: "v2",
			Wave: 2, WaveStarted: noon.Add(-time.Hour)},
	}
	f.in.State.Waves = slices.Clone(f.in.Policy.Waves)
	m.set(f)
	f.cast()
	return f.in
}

func TestMomentsAreWhatTheySay(t *testing.T) {
	for _, m := range moments() {
		t.Run(m.name, func(t *testing.T) {
			d := rollout.Decide(m.input(1000))
			var action rollout.Action
			if len(d.Steps) > 0 {
				action = d.Steps[0].Action
			}
			if d.Phase != m.phase || d.Reason != m.reason || action != m.action {
				t.Errorf("got %s %s, %d steps beginning with %q: %s", d.Phase, d.Reason, len(d.Steps), action, d.Message)
			}
		})
	}
}

var noon = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

// fixture is a fleet in which some nodes play a part.
type fixture struct {
	in rollout.Input
	// parts are by node; nil for a node that runs v1 and is in no wave.
	parts []part
	// beside is whether other rollouts are at work on many of the nodes, and behind
	// whether a predecessor has come to none.
	beside, behind bool
}

// part makes the node's agent what it is, and says what is recorded of it.
type part func(*health.Node) recorded

// recorded is what the state has of one node, which is filled in; nil for nothing.
type recorded struct {
	record *rollout.Record
	flight *rollout.InFlight
	owed   bool
}

// every gives every k-th node a part; the last part that a node gets is its.
func (f *fixture) every(k int, p part) {
	for i := 0; i < len(f.parts); i += k {
		f.parts[i] = p
	}
}

// installing makes v2 the first version there is.
func (f *fixture) installing() {
	f.in.Policy.InstallAll, f.in.State.Waves = true, nil
	f.in.Live.Digest, f.in.State.Proven = "v2", nil
}

// cast makes the nodes play their parts. Names and UIDs are as long as those of a
// cloud, and what is recorded has its own copies of them, as what is read has.
func (f *fixture) cast() {
	long := noon.Add(-24 * time.Hour)
	for i, play := range f.parts {
		name, uid := fmt.Sprintf("ip-10-0-%03d-%03d.eu-central-1.compute.internal", i/256, i%256), types.UID(fmt.Sprintf("8f14e45f-ceea-467f-a7dd-%012x", i))
		n := health.Node{Name: name, UID: uid, Groups: []string{fmt.Sprintf("eu-central-1%c", 'a'+rune(i%3)), "amd64"}, Created: long,
			Ready: true, ReadySince: long, Eligible: true, Schedulable: true,
			Agents: []health.Agent{{Name: fmt.Sprintf("agent-%05x", i), UID: "pod-" + uid, Digest: "v1", Revision: "v1", Created: long, Ready: true, ReadySince: long}}}
		if play != nil {
			f.record(&n, i, play(&n))
		}
		if f.behind {
			f.wait(n.Name)
		}
		if f.beside && i%3 == 1 {
			f.in.Busy = append(f.in.Busy, rollout.Busy{Node: strings.Clone(n.Name), UID: n.UID, By: "net/cni", Until: noon.Add(time.Hour)})
		}
		f.in.Fleet = append(f.in.Fleet, n)
	}
}

// wait has the node wait for a predecessor.
func (f *fixture) wait(name string) {
	if f.in.After == nil {
		f.in.After = []rollout.Predecessor{{Name: "net/cni"}}
	}
	f.in.After[0].Behind = append(f.in.After[0].Behind, strings.Clone(name))
}

func (f *fixture) record(n *health.Node, i int, is recorded) {
	s := &f.in.State
	if r := is.record; r != nil {
		r.Node, r.UID, r.Wave = strings.Clone(n.Name), n.UID, min(i, 1+i%2)
		s.Records = append(s.Records, *r)
	}
	if x := is.flight; x != nil {
		x.Node, x.NodeUID = strings.Clone(n.Name), n.UID
		s.InFlight = append(s.InFlight, *x)
	}
	if is.owed {
		s.Owed = append(s.Owed, rollout.Owed{Node: strings.Clone(n.Name), UID: n.UID})
	}
}

// The parts.

// waiting nodes are in a wave, and nothing was begun on them.
func waiting(*health.Node) recorded { return recorded{record: &rollout.Record{}} }

// replaced nodes are healthy on v2.
func replaced(n *health.Node) recorded {
	installed(n)
	return recorded{record: &rollout.Record{Touched: noon.Add(-10 * time.Minute), Ran: true, Well: true, Tries: 1}}
}

// pending nodes are to lose their agent of v1.
func pending(n *health.Node) recorded {
	at := noon.Add(-5 * time.Second)
	return recorded{record: &rollout.Record{Touched: at, Tries: 1}, flight: &rollout.InFlight{PodUID: n.Agents[0].UID, At: at}}
}

// gated nodes have their agent of v2, which may not start yet.
func gated(n *health.Node) recorded {
	is := pending(n)
	creating(n)
	n.Agents[0].Gated = true
	return is
}

// arriving nodes have an agent of v2 that is not Ready yet.
func arriving(n *health.Node) recorded {
	is := pending(n)
	creating(n)
	is.record.Ran = true
	return is
}

// failed nodes crash on v2, which was noticed.
func failed(n *health.Node) recorded {
	is := pending(n)
	crashing(n)
	is.record.Ran, is.record.Failed, is.record.FailedMessage = true, health.ReasonCannotStart, "CrashLoopBackOff: back-off"
	return is
}

// sickBefore nodes crash on v2, and crashed on v1.
func sickBefore(n *health.Node) recorded {
	is := pending(n)
	crashing(n)
	is.record.Ran, is.record.SickBefore, is.flight.Idle = true, true, true
	return is
}

// owed nodes crash on v2, which is no candidate any more.
func owed(n *health.Node) recorded {
	crashing(n)
	return recorded{owed: true}
}

// straggling nodes run what was proven before v1.
func straggling(n *health.Node) recorded {
	n.Agents[0].Digest = ""
	return recorded{}
}

// straggled nodes did so, and crash on v1.
func straggled(n *health.Node) recorded {
	crashing(n)
	n.Agents[0].Digest = "v1"
	return recorded{flight: &rollout.InFlight{PodUID: "gone", At: n.Agents[0].Created, Straggler: true}}
}

// installed nodes are healthy on v2, and nothing is recorded of them.
func installed(n *health.Node) recorded {
	next(n).Ready = true
	return recorded{}
}

// creating nodes start v2.
func creating(n *health.Node) recorded {
	next(n)
	return recorded{}
}

// crashing nodes run v2, which does not stay up.
func crashing(n *health.Node) recorded {
	a := next(n)
	a.Restarts, a.Trouble = 3, health.Trouble{Reason: "CrashLoopBackOff", Message: "back-off"}
	return recorded{}
}

// next gives the node its agent of v2.
func next(n *health.Node) *health.Agent {
	at := noon.Add(-9 * time.Minute)
	n.Agents = []health.Agent{{Name: n.Agents[0].Name + "-next", UID: n.Agents[0].UID + "-next", Digest: "v2", Revision: "v2+gate", Created: at, ReadySince: at}}
	return &n.Agents[0]
}
