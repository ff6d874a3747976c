package sync

import (
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func TestRested(t *testing.T) {
	t.Parallel()
	kept := func(reason string) func(*outcome) {
		return func(o *outcome) { o.withheld = []diff.Change{{Reason: reason}} }
	}
	for sentence, c := range map[string]struct {
		change func(*outcome)
		want   string
	}{
		"everything is done":                        {func(*outcome) {}, "abc"},
		"something is kept for good":                {kept(diff.ReasonProtectedKind), "abc"},
		"something is kept since nothing is pruned": {kept(diff.ReasonPruneDisabled), "abc"},
		"something is kept until nothing reads it":  {kept(diff.ReasonInUse), ""},
		"something is kept until others have read":  {kept(diff.ReasonAwaitingOthers), ""},
		"the pass failed":                           {func(o *outcome) { o.failure = &Failure{} }, ""},
		"the commit is not applied":                 {func(o *outcome) { o.applied = "" }, ""},
		"a node has not got the proven version":     {func(o *outcome) { o.stragglers = "1 of 9" }, ""},
		"a person has to approve what goes":         {kept(diff.ReasonPruneLimitExceeded), "abc"},
		"something is kept by its annotation":       {kept(diff.ReasonPruneProtected), "abc"},
		"something waits for its finalizers":        {kept(diff.ReasonTerminating), ""},
		"a newer commit is held":                    {func(o *outcome) { o.hold = &hold{} }, "abc"},
		"the first commit is held":                  {func(o *outcome) { o.applied, o.hold = "", &hold{} }, "newest"},
		"nothing would change": {func(o *outcome) {
			o.applied, o.gs.Spec.Mode, o.pending = "", v1alpha1.ModeObserve, &v1alpha1.Pending{}
		}, "newest"},
		"something would change": {func(o *outcome) {
			o.applied, o.gs.Spec.Mode, o.pending = "", v1alpha1.ModeObserve, &v1alpha1.Pending{Objects: make([]v1alpha1.PendingObject, 1)}
		}, ""},
		"an object was not found to be as it is declared": {func(o *outcome) { o.objects = 1 }, ""},
		"an object is fought over, and waits":             {func(o *outcome) { o.objects, o.fought = 1, 1 }, "abc"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			o := &outcome{applied: "abc", gs: &v1alpha1.GitSync{}}
			c.change(o)
			m := &memory{left: left{settled: apply.Settled{}, commit: "before"}, question: question{generation: 3}}
			if c.want == "newest" {
				m.commit.Commit = c.want
			}
			if m.rested(o); m.left.commit != c.want {
				t.Errorf("rests at %q, want %q", m.left.commit, c.want)
			}
			if m.left.commit != "" && m.left.question != m.question {
				t.Errorf("it answers %v, want %v", m.left.question, m.question)
			}
		})
	}
}

func TestWhatIsPutOffWakes(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	never, soon := left{}, left{wake: now.Add(time.Second)}
	if never.due(now) || soon.due(now) || !soon.due(now.Add(time.Second)) {
		t.Error("it is due before it is time, or not when it is")
	}
	for _, c := range []struct {
		left       left
		next, want time.Duration
	}{{never, time.Minute, time.Minute}, {soon, time.Minute, time.Second}, {soon, time.Millisecond, time.Millisecond}, {left{wake: now.Add(-time.Second)}, time.Minute, time.Millisecond}} {
		if got := c.left.earlier(c.next, now); got != c.want {
			t.Errorf("woken at %s it is next after %s, want %s", c.left.wake, got, c.want)
		}
	}
}

func TestMoved(t *testing.T) {
	t.Parallel()
	proven := v1alpha1.NodeRolloutStatus{Phase: v1alpha1.PhaseProven, Reason: "Proven", Nodes: v1alpha1.NodeCounts{Eligible: 3, Present: 3}}
	soaking := v1alpha1.NodeRolloutStatus{Phase: v1alpha1.PhaseSoaking, Reason: "Soaking", Nodes: v1alpha1.NodeCounts{Eligible: 3, Present: 3}}
	for sentence, c := range map[string]struct {
		before v1alpha1.NodeRolloutStatus
		change func(*v1alpha1.NodeRolloutStatus)
		want   bool
	}{
		"nothing":                            {proven, func(*v1alpha1.NodeRolloutStatus) {}, false},
		"another phase":                      {proven, func(s *v1alpha1.NodeRolloutStatus) { s.Phase = v1alpha1.PhaseWaiting }, true},
		"another version at rest":            {proven, func(s *v1alpha1.NodeRolloutStatus) { s.Proven = &v1alpha1.Version{Digest: "v2"} }, true},
		"another reason":                     {proven, func(s *v1alpha1.NodeRolloutStatus) { s.Reason = "AgentsAbsent" }, true},
		"an agent is missing at rest":        {proven, func(s *v1alpha1.NodeRolloutStatus) { s.Nodes.Present, s.Nodes.Absent = 2, 1 }, true},
		"an agent is missing on the way":     {soaking, func(s *v1alpha1.NodeRolloutStatus) { s.Nodes.Present, s.Nodes.Absent = 2, 1 }, false},
		"the message of one that is at rest": {proven, func(s *v1alpha1.NodeRolloutStatus) { s.Message = "other" }, false},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			after := *c.before.DeepCopy()
			c.change(&after)
			if got := moved(c.before, after); got != c.want {
				t.Errorf("moved: %t, want %t", got, c.want)
			}
		})
	}
}
