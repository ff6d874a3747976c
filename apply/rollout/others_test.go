package rollout_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/health"
)

// three is a fleet of n1 to n3 whose agents of v1 are well, with v2 on its way.
func three(change ...func(*rollout.Input)) rollout.Input {
	in := rollout.Input{
		Now: noon, Want: &rollout.Version{Digest: "v2"}, Live: rollout.Live{Digest: "v1", OnDelete: true, Observed: true},
		State:  rollout.State{Proven: &rollout.Version{Digest: "v1"}},
		Policy: rollout.Policy{Waves: []rollout.Wave{{Name: "all", UpTo: intstr.FromString("100%")}}, MaxUnavailable: intstr.FromInt32(3), Health: health.Rule{ReadyFor: 30 * time.Second, Deadline: time.Minute, Node: true}},
	}
	for _, name := range []string{"n1", "n2", "n3"} {
		in.Fleet = append(in.Fleet, health.Node{Name: name, UID: types.UID("uid-" + name), Ready: true, Eligible: true, Schedulable: true, Created: noon.Add(-time.Hour),
			Agents: []health.Agent{{Name: "agent-" + name, UID: types.UID("pod-" + name), Digest: "v1", Created: noon.Add(-time.Hour), Ready: true, ReadySince: noon.Add(-time.Hour)}}})
	}
	for _, c := range change {
		c(&in)
	}
	return in
}

// on changes the agent of one node.
func on(i int, change func(*health.Node, *health.Agent)) func(*rollout.Input) {
	return func(in *rollout.Input) { change(&in.Fleet[i], &in.Fleet[i].Agents[0]) }
}

func hasV2(_ *health.Node, a *health.Agent) { a.Digest = "v2" }

func TestBehind(t *testing.T) {
	all := []func(*rollout.Input){on(0, hasV2), on(1, hasV2), on(2, hasV2)}
	proven := func(in *rollout.Input) { in.State.Proven = in.Want }
	for sentence, c := range map[string]struct {
		change []func(*rollout.Input)
		want   string
	}{
		"nodes that have it are not":                {[]func(*rollout.Input){on(1, hasV2)}, "n1 n3"},
		"none is when all have it":                  {all, ""},
		"one that is Ready too short is":            {append(slices.Clone(all), on(0, func(_ *health.Node, a *health.Agent) { a.ReadySince = noon })), "n1"},
		"but not on the proven version":             {append(slices.Clone(all), proven, on(0, func(_ *health.Node, a *health.Agent) { a.ReadySince = noon })), ""},
		"one that is not Ready is":                  {append(slices.Clone(all), on(2, func(_ *health.Node, a *health.Agent) { a.Ready = false })), "n3"},
		"one whose node is NotReady is":             {append(slices.Clone(all), proven, on(2, func(n *health.Node, _ *health.Agent) { n.Ready = false })), "n3"},
		"one that shall have none is not":           {[]func(*rollout.Input){on(0, func(n *health.Node, _ *health.Agent) { n.Eligible = false })}, "n2 n3"},
		"all are while nobody knows what is wanted": {append(slices.Clone(all), func(in *rollout.Input) { in.Want, in.Unknown = nil, &rollout.Block{Reason: "Lost", Message: "lost"} }), "n1 n2 n3"},
		"all are when what is wanted was rejected":  {append(slices.Clone(all), func(in *rollout.Input) { in.State.Rejected = []rollout.Rejection{{Version: *in.Want}} }), "n1 n2 n3"},
		"a node that failed is, though it recovered": {append(slices.Clone(all), func(in *rollout.Input) {
			in.State.Candidate, in.State.About, in.State.Waves, in.State.WaveStarted = in.Want, "v2", in.Policy.Waves, noon.Add(-time.Hour)
			in.Policy.FailureBudget = 1
			in.State.Records = []rollout.Record{{Node: "n2", UID: "uid-n2", Touched: noon.Add(-time.Hour), Ran: true, Failed: "CannotStart"}}
		}), "n2"},
	} {
		t.Run(sentence, func(t *testing.T) {
			in := three(c.change...)
			if got := strings.Join(rollout.Behind(in, rollout.Decide(in)), " "); got != c.want {
				t.Errorf("behind are %q, want %q", got, c.want)
			}
		})
	}
}

func TestSickNodes(t *testing.T) {
	unready := func(_ *health.Node, a *health.Agent) { a.Ready = false }
	gone := func(n *health.Node, _ *health.Agent) { n.Agents = nil }
	gatedPod := func(_ *health.Node, a *health.Agent) { a.Ready, a.Gated = false, true }
	first := func(in *rollout.Input) { in.State.Proven = nil }
	for sentence, c := range map[string]struct {
		change []func(*rollout.Input)
		want   string
	}{
		"none":                               {nil, "of n1 n2 n3"},
		"an agent that is not Ready":         {[]func(*rollout.Input){on(1, unready)}, "n2 of n1 n2 n3"},
		"no agent":                           {[]func(*rollout.Input){on(0, gone)}, "n1 of n1 n2 n3"},
		"one that waits for its gate":        {[]func(*rollout.Input){on(0, gatedPod)}, "n1 of n1 n2 n3"},
		"a node that is NotReady":            {[]func(*rollout.Input){on(2, func(n *health.Node, _ *health.Agent) { n.Ready = false })}, "n3 of n1 n2 n3"},
		"a node that shall have none":        {[]func(*rollout.Input){on(1, unready), on(1, func(n *health.Node, _ *health.Agent) { n.Eligible = false })}, "of n1 n3"},
		"a first version waits for its wave": {[]func(*rollout.Input){first, on(0, gatedPod), on(1, gone)}, "of n1 n2 n3"},
		"a first version that does not run":  {[]func(*rollout.Input){first, on(0, gatedPod), on(1, unready)}, "n2 of n1 n2 n3"},
	} {
		t.Run(sentence, func(t *testing.T) {
			sick, eligible := rollout.SickNodes(three(c.change...))
			if got := strings.Join(append(append(sick, "of"), eligible...), " "); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestClaims(t *testing.T) {
	s := rollout.State{
		InFlight: []rollout.InFlight{{Node: "n2", NodeUID: "uid-n2", PodUID: "pod-n2"}},
		Records:  []rollout.Record{{Node: "n1", UID: "uid-n1", Ran: true}, {Node: "n3", UID: "uid-n3", Ran: true, Well: true}, {Node: "n4", UID: "uid-n4", Ran: true, Failed: "Restarted"}, {Node: "n5", UID: "uid-n5"}},
	}
	want := []rollout.Claim{{Node: "n1", UID: "uid-n1"}, {Node: "n2", UID: "uid-n2", Pod: "pod-n2"}}
	if got := rollout.Claims(s); !slices.Equal(got, want) {
		t.Errorf("a first version claims %v, want %v", got, want)
	}
	s.Proven = &rollout.Version{Digest: "v1"}
	if got := rollout.Claims(s); !slices.Equal(got, want[1:]) {
		t.Errorf("another version claims %v, want %v", got, want[1:])
	}
}

func TestBreakerOnTheWayBack(t *testing.T) {
	limit := intstr.FromInt32(1)
	open := func(in *rollout.Input) {
		in.Policy.MaxSick, in.Sick = &limit, rollout.Sick{Nodes: 2, Of: 3, Examples: []string{"n8", "n9"}}
		in.Want = in.State.Proven
	}
	old := func(_ *health.Node, a *health.Agent) { a.Digest = "v0" }
	d := rollout.Decide(three(open, on(0, old)))
	if d.Phase != rollout.Held || d.Reason != rollout.ReasonBreakerOpen || len(d.Steps) > 0 || !d.Waits {
		t.Errorf("an old agent that serves: %s %s %v", d.Phase, d.Reason, d.Steps)
	}
	d = rollout.Decide(three(open, on(0, old), on(0, func(_ *health.Node, a *health.Agent) { a.Ready = false })))
	if d.Phase != rollout.Held || d.Reason != rollout.ReasonBreakerOpen || len(d.Steps) > 0 { // it is a step forward all the same
		t.Errorf("an old agent that serves nobody: %s %s %v", d.Phase, d.Reason, d.Steps)
	}
	d = rollout.Decide(three(open))
	if d.Phase != rollout.Proven {
		t.Errorf("with nothing to do: %s %s", d.Phase, d.Reason)
	}
}
