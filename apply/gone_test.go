package apply

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/health"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func TestGoneStatusCountsNobodyAndKeepsTheRecord(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	old := v1alpha1.NodeRolloutStatus{
		ObservedGeneration: 3, Phase: v1alpha1.PhaseSoaking, Reason: "Soaking", Message: "wave canary", Since: metav1.NewTime(now.Add(-time.Hour)),
		Nodes: v1alpha1.NodeCounts{Eligible: 12, Present: 11, Absent: 1, Candidate: 2, Healthy: 2, Failed: 1, Unavailable: 1, Held: 1, Unreachable: 1},
		Wave:  &v1alpha1.WaveStatus{Name: "canary", Index: 1, Of: 2}, Failing: []v1alpha1.NodeProblem{{Node: "n", Reason: "NoPod"}},
		Proven: &v1alpha1.Version{Digest: "one", Commit: "0123456789"}, Candidate: &v1alpha1.Version{Digest: "two"},
		Rejected: []v1alpha1.Rejection{{Digest: "three"}}, InFlight: []v1alpha1.InFlight{{Node: "n"}}, HandledRetry: "four",
	}
	fleet := []health.Node{{Name: "a", Eligible: true, Ready: true}, {Name: "b", Eligible: true}, {Name: "c", Ready: true}, {Name: "d", Eligible: true, Ready: true, Held: true}}
	served := health.Node{Name: "e", Eligible: true, Ready: true, Agents: []health.Agent{{Ready: true}}}
	gone := absence{reason: ReasonDaemonSetGone, words: "there is no DaemonSet"}
	for sentence, c := range map[string]struct {
		fleet   []health.Node
		why     absence
		nodes   v1alpha1.NodeCounts
		failing int
		words   string
	}{
		"who is eligible is counted":              {fleet, gone, v1alpha1.NodeCounts{Eligible: 3, Absent: 3, Failed: 1, Held: 1, Unreachable: 1}, 3, "0 of 3 eligible nodes"},
		"no more are listed than the API allows":  {manyNodes(21), gone, v1alpha1.NodeCounts{Eligible: 21, Absent: 21, Failed: 1}, 20, "0 of 21 eligible nodes"},
		"no node is its own case":                 {[]health.Node{}, gone, v1alpha1.NodeCounts{Failed: 1}, 0, "0 of 0 eligible nodes"},
		"it is as before when nobody can tell it": {nil, gone, v1alpha1.NodeCounts{Eligible: 12, Absent: 12, Failed: 1, Held: 1, Unreachable: 1}, 0, "0 of 12 eligible nodes"},
		"what is left of its pods counts": {[]health.Node{fleet[1], served}, absence{reason: ReasonDaemonSetTerminating, words: "it is being deleted"},
			v1alpha1.NodeCounts{Eligible: 2, Present: 1, Absent: 1, Failed: 1, Unreachable: 1}, 1, "it is being deleted: 1 of 2 eligible nodes"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			got := goneStatus(old, c.fleet, c.why, now.Add(-time.Minute), now)
			if got.Phase != v1alpha1.PhaseHeld || got.Reason != c.why.reason || !got.Since.Time.Equal(now.Add(-time.Minute)) {
				t.Errorf("%s %s since %s, want Held %s since a minute", got.Phase, got.Reason, got.Since, c.why.reason)
			}
			if d := cmp.Diff(c.nodes, got.Nodes); d != "" || len(got.Failing) != c.failing {
				t.Errorf("%d are listed, want %d; nodes (-want +got):\n%s", len(got.Failing), c.failing, d)
			}
			for _, words := range []string{c.words, "next pass", "commit 01234567", "suspended", "refused"} {
				if !strings.Contains(got.Message, words) {
					t.Errorf("the message is %q, want it to say %q", got.Message, words)
				}
			}
			rest := got
			rest.Phase, rest.Reason, rest.Message, rest.Since, rest.Nodes, rest.Failing, rest.Conditions = old.Phase, old.Reason, old.Message, old.Since, old.Nodes, old.Failing, nil
			if d := cmp.Diff(old, rest); d != "" {
				t.Errorf("what a decision goes by has changed (-before +after):\n%s", d)
			}
			later := goneStatus(got, c.fleet, c.why, now.Add(time.Hour), now.Add(2*time.Hour))
			if d := cmp.Diff(got, later); d != "" {
				t.Errorf("it is written again for a new process (-before +after):\n%s", d)
			}
		})
	}
}

func manyNodes(count int) []health.Node {
	out := make([]health.Node, count)
	for i := range out {
		out[i] = health.Node{Eligible: true, Ready: true}
	}
	return out
}
