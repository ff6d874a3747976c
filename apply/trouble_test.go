package apply

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func TestTroubleLastsUntilItIsOver(t *testing.T) {
	t.Parallel()
	key, other := types.NamespacedName{Namespace: "a", Name: "b"}, types.NamespacedName{Namespace: "a", Name: "c"}
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	configMaps := schema.GroupResource{Resource: "configmaps"}
	refused, quota := errors.New("refused"), errors.New("exceeded quota")
	raced := fmt.Errorf("update: %w", apierrors.NewConflict(configMaps, "b", errors.New("it was modified")))
	made := fmt.Errorf("create: %w", apierrors.NewAlreadyExists(configMaps, "b"))
	for name, c := range map[string]struct {
		errs []error
		want problem
	}{
		"none yet":  {nil, problem{}},
		"it begins": {[]error{nil, refused}, problem{"refused", start.Add(time.Second)}},
		"its words are the newest, its age is not": {[]error{refused, refused, quota}, problem{"exceeded quota", start}},
		"it is over":                            {[]error{refused, nil}, problem{}},
		"it begins anew":                        {[]error{refused, nil, refused}, problem{"refused", start.Add(2 * time.Second)}},
		"a conflict is none":                    {[]error{raced}, problem{}},
		"what somebody else made first is none": {[]error{made}, problem{}},
		"a conflict in between ends nothing":    {[]error{refused, raced}, problem{"refused", start}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var x trouble
			for i, err := range c.errs {
				x.note(other, errors.New("of another one"), start)
				if got, want := x.note(key, err, start.Add(time.Duration(i)*time.Second)), x.of(key); got != want {
					t.Errorf("note says %v and of says %v", got, want)
				}
			}
			if got := x.of(key); got != c.want {
				t.Errorf("trouble is %v, want %v", got, c.want)
			}
		})
	}
}

func TestWordsKeepSecretsAndAreBounded(t *testing.T) {
	t.Parallel()
	refusal := func(resource, words string) error {
		return fmt.Errorf("write it: %w", apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "b", errors.New(words)))
	}
	if got := words(refusal("configmaps", "exceeded quota")); !strings.Contains(got, "write it") || !strings.Contains(got, "exceeded quota") {
		t.Errorf("the words are %q, want all of the error", got)
	}
	if got := words(refusal("secrets", "s3cr3t")); strings.Contains(got, "s3cr3t") || !strings.Contains(got, "403") {
		t.Errorf("the words are %q, want what kind of answer it was and no more", got)
	}
	if got := words(refusal("configmaps", strings.Repeat("ü", 10_000))); len(got) > shownAnswer+3 {
		t.Errorf("the words are %d bytes long", len(got))
	}
}

// A DaemonSet that comes later under that name is another one.
func TestNothingIsKnownOfARolloutThatIsGone(t *testing.T) {
	t.Parallel()
	key, other := types.NamespacedName{Namespace: "a", Name: "b"}, types.NamespacedName{Namespace: "a", Name: "c"}
	r := &Rollouts{Metrics: NewMetrics(prometheus.NewRegistry())}
	for _, k := range []types.NamespacedName{key, other} {
		r.learned.note(k, spelling{Digest: "v1", Template: pod("a")})
		r.unrecorded.note(k, errors.New("refused"), time.Unix(1, 0))
		r.untaken.note(k, errors.New("refused"), time.Unix(1, 0))
	}

	r.forget(key)

	if r.learned.of(key).Digest != "" || r.unrecorded.of(key) != (problem{}) || r.untaken.of(key) != (problem{}) {
		t.Errorf("still known: %v, %v, %v", r.learned.of(key), r.unrecorded.of(key), r.untaken.of(key))
	}
	if r.learned.of(other).Digest != "v1" || r.unrecorded.of(other) == (problem{}) || r.untaken.of(other) == (problem{}) {
		t.Error("what is known of another one is forgotten too")
	}
}

// TestStuckStatusExplainsAndKeepsTheRecord compares everything but what explains.
func TestStuckStatusExplainsAndKeepsTheRecord(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	old := v1alpha1.NodeRolloutStatus{
		ObservedGeneration: 3, Phase: v1alpha1.PhaseReplacing, Reason: "Replacing", Message: "wave canary", Since: metav1.NewTime(now.Add(-time.Hour)),
		Nodes: v1alpha1.NodeCounts{Eligible: 12}, Wave: &v1alpha1.WaveStatus{Name: "canary", Index: 1, Of: 2},
		Proven: &v1alpha1.Version{Digest: "one"}, Candidate: &v1alpha1.Version{Digest: "two"}, InFlight: []v1alpha1.InFlight{{Node: "n"}},
	}

	got := stuckStatus(old, &declared{Digest: "two"}, problem{"exceeded quota", now.Add(-time.Minute)}, now)

	if got.Reason != ReasonStepFailed || !got.Since.Time.Equal(now.Add(-time.Minute)) {
		t.Errorf("reason %s since %s, want StepFailed since a minute", got.Reason, got.Since)
	}
	for _, words := range []string{"12 eligible nodes", "exceeded quota", "tried again by itself"} {
		if !strings.Contains(got.Message, words) {
			t.Errorf("the message is %q, want it to name %q", got.Message, words)
		}
	}
	var kinds []string
	for _, c := range got.Conditions {
		kinds = append(kinds, c.Type+"="+string(c.Status)+" "+c.Reason)
		if c.ObservedGeneration != 3 {
			t.Errorf("condition %s speaks of generation %d, which nobody has looked at", c.Type, c.ObservedGeneration)
		}
	}
	if d := cmp.Diff([]string{"Ready=False StepFailed", "Reconciling=True StepFailed"}, kinds); d != "" {
		t.Errorf("conditions (-want +got):\n%s", d)
	}
	rest := got
	rest.Reason, rest.Message, rest.Since, rest.Conditions = old.Reason, old.Message, old.Since, old.Conditions
	if d := cmp.Diff(old, rest); d != "" {
		t.Errorf("what a decision goes by has changed (-before +after):\n%s", d)
	}
	later := stuckStatus(got, nil, problem{"exceeded quota", now.Add(time.Hour)}, now.Add(2*time.Hour))
	if !later.Since.Equal(&got.Since) {
		t.Errorf("since is %s, want it to stay %s when a new process meets the same trouble", later.Since, got.Since)
	}
}

// What GitSync and NodeRollout say of a version that cannot begin is the same.
func TestStuckStatusIsAtRestOnlyWithWhatGitDeclares(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		phase     v1alpha1.Phase
		want      *declared
		phaseThen v1alpha1.Phase
	}{
		"what is proven is declared":       {v1alpha1.PhaseProven, &declared{Digest: "one"}, v1alpha1.PhaseProven},
		"another version is declared":      {v1alpha1.PhaseProven, &declared{Digest: "two"}, v1alpha1.PhaseWaiting},
		"what is declared is not known":    {v1alpha1.PhaseProven, nil, v1alpha1.PhaseProven},
		"on the move it stays on the move": {v1alpha1.PhaseSoaking, &declared{Digest: "two"}, v1alpha1.PhaseSoaking},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old := v1alpha1.NodeRolloutStatus{Phase: c.phase, Proven: &v1alpha1.Version{Digest: "one"}}
			got := stuckStatus(old, c.want, problem{"exceeded quota", now}, now)
			if got.Phase != c.phaseThen || got.Reason != ReasonStepFailed || got.Candidate != nil {
				t.Errorf("phase %s, reason %s, candidate %v; want %s, StepFailed and no candidate", got.Phase, got.Reason, got.Candidate, c.phaseThen)
			}
		})
	}
}

func TestHeldSeconds(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	key := types.NamespacedName{Namespace: "a", Name: "b"}
	for name, c := range map[string]struct {
		phase  v1alpha1.Phase
		reason string
		want   map[string]float64
	}{
		"at rest":                     {v1alpha1.PhaseProven, "Proven", map[string]float64{}},
		"on the move":                 {v1alpha1.PhaseReplacing, "Replacing", map[string]float64{}},
		"held":                        {v1alpha1.PhaseHeld, "Paused", map[string]float64{"Paused": 90}},
		"rejected":                    {v1alpha1.PhaseRejected, "CannotStart", map[string]float64{"CannotStart": 90}},
		"waiting":                     {v1alpha1.PhaseWaiting, "Declared", map[string]float64{"Declared": 90}},
		"on the move but for a step":  {v1alpha1.PhaseReplacing, ReasonStepFailed, map[string]float64{ReasonStepFailed: 90}},
		"at rest but for a step":      {v1alpha1.PhaseProven, ReasonStepFailed, map[string]float64{ReasonStepFailed: 90}},
		"held, and a step fails":      {v1alpha1.PhaseHeld, ReasonStepFailed, map[string]float64{ReasonStepFailed: 90}},
		"on its way back but no step": {v1alpha1.PhaseReturning, ReasonStepFailed, map[string]float64{ReasonStepFailed: 90}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := prometheus.NewRegistry()
			m := NewMetrics(reg)
			before := v1alpha1.NodeRolloutStatus{Phase: v1alpha1.PhaseHeld, Reason: "NoCanary", Since: metav1.NewTime(now.Add(-time.Hour))}
			m.observe(key, before, before, now)
			status := v1alpha1.NodeRolloutStatus{Phase: c.phase, Reason: c.reason, Since: metav1.NewTime(now.Add(-90 * time.Second))}
			m.observe(key, before, status, now)
			m.observe(key, status, status, now)
			if d := cmp.Diff(c.want, heldSeconds(t, reg)); d != "" {
				t.Errorf("held_seconds by reason (-want +got):\n%s", d)
			}
		})
	}
}

func heldSeconds(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		if f.GetName() != "rollcall_noderollout_held_seconds" {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "reason" {
					out[l.GetValue()] = m.GetGauge().GetValue()
				}
			}
		}
	}
	return out
}
