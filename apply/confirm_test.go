package apply

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/health"
)

func TestOnlyTouchedNodesCanBeBehind(t *testing.T) {
	t.Parallel()
	node := func(name string, version string) health.Node {
		return health.Node{Name: name, UID: types.UID(name), Agents: []health.Agent{{UID: types.UID("pod-" + name), Version: version}}}
	}
	fleet := []health.Node{node("a", "1"), node("b", "1"), node("c", "1"), {Name: "d", UID: "d"}}
	records := []rollout.Record{{UID: "a", Ran: true}, {UID: "b", Ran: true}, {UID: "d", Ran: true}}
	for sentence, c := range map[string]struct {
		versions map[types.UID]string
		late     int
		first    string
	}{
		"all as shown":                 {map[types.UID]string{"pod-a": "1", "pod-b": "1"}, 0, ""},
		"one has changed":              {map[types.UID]string{"pod-a": "1", "pod-b": "2"}, 1, "b"},
		"one is gone, one has changed": {map[types.UID]string{"pod-a": "2"}, 2, "a"},
	} {
		s := rollout.State{Proven: &rollout.Version{}, Records: records}
		if late, first := behind(fleet, s, c.versions); late != c.late || first != c.first {
			t.Errorf("%s: %d behind, first %q; want %d, %q", sentence, late, first, c.late, c.first)
		}
	}
}

func TestWhatPassesAWave(t *testing.T) {
	t.Parallel()
	v1, v2 := &rollout.Version{Digest: "v1"}, &rollout.Version{Digest: "v2"}
	in := func(proven, candidate *rollout.Version, wave int) rollout.State {
		return rollout.State{Proven: proven, Candidate: candidate, Wave: wave}
	}
	for sentence, c := range map[string]struct {
		before, after rollout.State
		want          bool
	}{
		"nothing moves":           {in(v1, nil, 0), in(v1, nil, 0), false},
		"a candidate appears":     {in(v1, nil, 0), in(v1, v2, 0), false},
		"the wave goes on":        {in(v1, v2, 1), in(v1, v2, 1), false},
		"the next wave begins":    {in(v1, v2, 1), in(v1, v2, 2), true},
		"the candidate is proven": {in(v1, v2, 1), in(v2, nil, 0), true},
		"the first version is":    {in(nil, v2, 0), in(v2, nil, 0), true},
		"the candidate reverts":   {in(v1, v2, 1), in(v1, nil, 0), false},
	} {
		if got := passes(c.before, c.after); got != c.want {
			t.Errorf("%s: passes %t, want %t", sentence, got, c.want)
		}
	}
}

func TestWhatRunsOut(t *testing.T) {
	t.Parallel()
	at := time.Unix(1, 0)
	of := func(reason string, at time.Time) rollout.State {
		return rollout.State{Rejected: []rollout.Rejection{{Version: rollout.Version{Digest: "v2"}, Reason: reason, At: at}}}
	}
	late, crash := of(health.ReasonDeadlineExceeded, at), of(health.ReasonRestarted, at)
	for sentence, c := range map[string]struct {
		before, after rollout.State
		want          bool
	}{
		"nothing is rejected":         {rollout.State{}, rollout.State{}, false},
		"a node takes too long":       {rollout.State{}, late, true},
		"a node took too long":        {late, late, false},
		"a node takes too long again": {late, of(health.ReasonDeadlineExceeded, at.Add(time.Hour)), true},
		"an agent is seen to crash":   {rollout.State{}, crash, false},
	} {
		if got := runsOut(c.before, c.after); got != c.want {
			t.Errorf("%s: runs out %t, want %t", sentence, got, c.want)
		}
	}
}
