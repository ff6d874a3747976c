package sync

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func TestSummarise(t *testing.T) {
	t.Parallel()
	at := func(phase v1alpha1.Phase, reason, proven string, absent, held int32) *v1alpha1.NodeRolloutStatus {
		s := &v1alpha1.NodeRolloutStatus{Phase: phase, Reason: reason, Nodes: v1alpha1.NodeCounts{Absent: absent, Held: held}}
		if proven != "" {
			s.Proven = &v1alpha1.Version{Digest: proven}
		}
		return s
	}
	of := func(name string, s *v1alpha1.NodeRolloutStatus, stragglers string) followed {
		return followed{key: types.NamespacedName{Namespace: "ns", Name: name}, digest: "new", status: s, stragglers: stragglers}
	}
	row := func(name string, phase v1alpha1.Phase, reason string) v1alpha1.RolloutSummary {
		return v1alpha1.RolloutSummary{Namespace: "ns", Name: name, Phase: phase, Reason: reason}
	}
	rows := func(r ...v1alpha1.RolloutSummary) []v1alpha1.RolloutSummary { return r }
	done := at(v1alpha1.PhaseProven, "Proven", "new", 1, 2)
	for sentence, c := range map[string]struct {
		all  []followed
		want summary
	}{
		"a commit without DaemonSets has nothing to prove": {nil, summary{proven: true}},
		"all are proven: agents add up, held nodes are the same ones": {
			[]followed{of("a", done, ""), of("b", at(v1alpha1.PhaseProven, "Proven", "new", 3, 1), "")},
			summary{rows: rows(row("a", "Proven", "Proven"), row("b", "Proven", "Proven")), proven: true, absent: 4, held: 2},
		},
		"one is on its way": {
			[]followed{of("a", done, ""), of("b", at(v1alpha1.PhaseSoaking, "Soaking", "old", 9, 9), "")},
			summary{rows: rows(row("a", "Proven", "Proven"), row("b", "Soaking", "Soaking")), absent: 1, held: 2},
		},
		"one has no rollout yet": {[]followed{of("a", nil, "")}, summary{rows: rows(row("a", "", ""))}},
		"what is proven is not what is declared": {
			[]followed{of("a", at(v1alpha1.PhaseProven, "Proven", "old", 0, 0), "")},
			summary{rows: rows(row("a", "Waiting", "Declared"))},
		},
		"nor can that be taken up": {
			[]followed{of("a", at(v1alpha1.PhaseProven, "StepFailed", "old", 0, 0), "")},
			summary{rows: rows(row("a", "Waiting", "StepFailed"))},
		},
		"stragglers are no proof, and the first are named": {
			[]followed{of("a", done, "2 late"), of("b", done, "3 late")},
			summary{rows: rows(row("a", "Proven", "Proven"), row("b", "Proven", "Proven")), stragglers: "DaemonSet ns/a: 2 late", absent: 2, held: 2},
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, summarise(c.all), cmp.AllowUnexported(summary{})); diff != "" {
				t.Errorf("summary (-want +got):\n%s", diff)
			}
		})
	}
}

// What is applied is what is proven; while nothing could be applied, nothing is.
func TestOnlyWhatIsAppliedIsProven(t *testing.T) {
	t.Parallel()
	for applied, want := range map[string]string{"": "", "abc": "abc"} {
		o := newOutcome(&v1alpha1.GitSync{})
		o.applied = applied
		o.take(summary{proven: true})
		if o.proven != want {
			t.Errorf("applied %q: proven %q, want %q", applied, o.proven, want)
		}
	}
}
