package apply

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/health"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// record writes the decision's next state, the fleet-sized part first. Either
// write fails when somebody else wrote since observe: then nothing of the
// decision is done. That is what keeps a second leader out. It
// returns for how long a status is not to be written yet; 0 when it is written.
func (r *Rollouts) record(ctx context.Context, v *view, d rollout.Decision, status v1alpha1.NodeRolloutStatus) (time.Duration, error) {
	begins := len(d.Next.Records) > len(v.recorded.Records) && (!v.input.Live.Gated || d.Next.Proven == nil)
	c := change{from: v.stateMap, before: v.recorded, after: v.nextRecorded(d), begins: begins}
	if err := (store{r.Kube, v.key}).writeRecorded(ctx, v.rollout, c); err != nil {
		return 0, err
	}
	next := v.rollout.DeepCopy()
	next.Status = status
	if equality.Semantic.DeepEqual(next.Status, v.rollout.Status) {
		return 0, nil
	}
	if left := r.shown.left(v.key, statusPause, v.input.Now); left > 0 && onlyCounts(v.rollout.Status, status) {
		return left, nil
	}
	if _, err := r.Kinds.NodeRollouts(v.key.Namespace).UpdateStatus(ctx, next, metav1.UpdateOptions{FieldManager: v1alpha1.FieldManager}); err != nil {
		return 0, fmt.Errorf("write status of noderollout %s: %w", v.key, err)
	}
	r.shown.note(v.key, v.input.Now)
	return 0, nil
}

// nextRecorded keeps the templates that the way forward and the way back need,
// and that of the version which the status still calls proven: after a crash
// before the status is written, that is the one to hold.
func (v *view) nextRecorded(d rollout.Decision) recorded {
	out := recorded{Templates: templates{}, Records: d.Next.Records, Owed: d.Next.Owed, Bare: d.Next.Bare, Candidate: d.Next.About, Policy: v.policy.keep(d.Next.Waves)}
	for _, version := range []*rollout.Version{d.Next.Proven, d.Next.Candidate, fromVersion(v.rollout.Status.Proven)} {
		if version == nil {
			continue
		}
		if t, known := v.book.templates[version.Digest]; known {
			out.Templates[version.Digest] = t
		}
	}
	out.Spellings, out.Carried = v.book.kept(out.Templates), carriedBy(v.input.Fleet, out.Templates)
	return out
}

// stateOf reads back what status and recorded hold.
func stateOf(n *v1alpha1.NodeRollout, rec recorded) rollout.State {
	s := n.Status
	out := rollout.State{
		HandledRetry: s.HandledRetry, Proven: fromVersion(s.Proven), Candidate: fromVersion(s.Candidate),
		Records: rec.Records, About: rec.Candidate, Owed: rec.Owed, Bare: rec.Bare, Waves: rec.Policy.waves(),
	}
	if s.Wave != nil {
		out.Wave, out.WaveStarted = int(s.Wave.Index)-1, s.Wave.StartedAt.Time
	}
	for _, r := range s.Rejected {
		out.Rejected = append(out.Rejected, rollout.Rejection{Version: rollout.Version{Digest: r.Digest, Commit: r.Commit}, Reason: r.Reason, Message: r.Message, At: r.At.Time})
	}
	for _, f := range s.InFlight {
		out.InFlight = append(out.InFlight, rollout.InFlight{Node: f.Node, NodeUID: f.NodeUID, PodUID: f.PodUID, At: f.At.Time, Idle: f.Idle, Straggler: f.Straggler})
	}
	return out
}

// status is derived here, once, from the decision.
func (v *view) status(d rollout.Decision) v1alpha1.NodeRolloutStatus {
	old, now := v.rollout.Status, v.input.Now
	out := v1alpha1.NodeRolloutStatus{
		ObservedGeneration: v.rollout.Generation,
		Phase:              v1alpha1.Phase(d.Phase),
		Reason:             d.Reason,
		Message:            d.Message,
		Since:              old.Since,
		Wave:               wave(d),
		AwaitsApproval:     d.Awaits,
		Nodes:              counts(d.Counts),
		Proven:             v.version(d.Next.Proven),
		Candidate:          v.version(d.Next.Candidate),
		HandledRetry:       d.Next.HandledRetry,
	}
	out.UnprovenSince, out.Superseded = unproven(old, out.Candidate, now)
	if v.untaken != (problem{}) {
		out.Reason, out.Message = ReasonStepFailed, d.Message+"; the last step failed and is tried again: "+v.untaken.words
	}
	out.Conditions = conditions(old.Conditions, out, now)
	if out.Since.IsZero() || old.Phase != out.Phase || old.Reason != out.Reason {
		out.Since = metav1.NewTime(now).Rfc3339Copy()
	}
	for _, p := range d.Failing {
		out.Failing = append(out.Failing, v1alpha1.NodeProblem{Node: p.Node, Reason: p.Reason, Message: p.Message, Since: since(p, old.Failing, now)})
	}
	for _, r := range d.Next.Rejected {
		out.Rejected = append(out.Rejected, v1alpha1.Rejection{Digest: r.Digest, Commit: r.Commit, Reason: r.Reason, Message: r.Message, At: metav1.NewTime(r.At).Rfc3339Copy()})
	}
	for _, f := range d.Next.InFlight {
		out.InFlight = append(out.InFlight, v1alpha1.InFlight{Node: f.Node, NodeUID: f.NodeUID, PodUID: f.PodUID, At: metav1.NewTime(f.At).Rfc3339Copy(), Idle: f.Idle, Straggler: f.Straggler})
	}
	return out
}

// unproven is since when Git has asked for a version that is not proven, and how
// many such versions came and went meanwhile.
func unproven(old v1alpha1.NodeRolloutStatus, candidate *v1alpha1.Version, now time.Time) (*metav1.Time, int32) {
	if candidate == nil {
		return nil, 0
	}
	before, count := old.Candidate, old.Superseded
	rejected := func(r v1alpha1.Rejection) bool { return r.Digest == before.Digest }
	if before != nil && before.Digest != candidate.Digest && !slices.ContainsFunc(old.Rejected, rejected) {
		count++
	}
	if old.UnprovenSince != nil {
		return old.UnprovenSince, count
	}
	at := metav1.NewTime(now).Rfc3339Copy()
	return &at, count
}

// since is when a node's problem began. Where nothing in the cluster tells, that is
// when it was first seen: the status remembers.
func since(p health.Problem, before []v1alpha1.NodeProblem, now time.Time) metav1.Time {
	if !p.Since.IsZero() {
		return metav1.NewTime(p.Since).Rfc3339Copy()
	}
	for _, b := range before {
		if b.Node == p.Node && b.Reason == p.Reason {
			return b.Since
		}
	}
	return metav1.NewTime(now).Rfc3339Copy()
}

func wave(d rollout.Decision) *v1alpha1.WaveStatus {
	if d.Waves == 0 {
		return nil
	}
	out := &v1alpha1.WaveStatus{Name: d.Wave.Name, Index: int32(d.Next.Wave + 1), Of: int32(d.Waves)} //nolint:gosec // at most 20 waves
	if !d.Next.WaveStarted.IsZero() {
		out.StartedAt = metav1.NewTime(d.Next.WaveStarted).Rfc3339Copy()
	}
	return out
}

func (v *view) version(in *rollout.Version) *v1alpha1.Version {
	if in == nil {
		return nil
	}
	return &v1alpha1.Version{Digest: in.Digest, Commit: in.Commit, Revision: v.revisions.names[in.Digest]}
}

func fromVersion(in *v1alpha1.Version) *rollout.Version {
	if in == nil {
		return nil
	}
	return &rollout.Version{Digest: in.Digest, Commit: in.Commit}
}

func counts(c rollout.Counts) v1alpha1.NodeCounts {
	n := func(i int) int32 { return int32(i) } //nolint:gosec // Kubernetes has far fewer nodes
	return v1alpha1.NodeCounts{
		Eligible: n(c.Eligible), Present: n(c.Present), Absent: n(c.Absent), Candidate: n(c.Candidate), Healthy: n(c.Healthy),
		Failed: n(c.Failed), Unavailable: n(c.Unavailable), Held: n(c.Held), Unreachable: n(c.Unreachable),
	}
}

// conditions follow kstatus: Ready is always there; Reconciling while the
// rollout moves, is tried again or waits for something it expects, Stalled while
// it needs a person, and neither at rest. A rollout whose steps fail is not at
// rest, wherever it stands.
func conditions(old []metav1.Condition, s v1alpha1.NodeRolloutStatus, now time.Time) []metav1.Condition {
	ready, extra := metav1.ConditionFalse, "Reconciling"
	switch s.Phase {
	case v1alpha1.PhaseProven:
		if s.Reason != ReasonStepFailed {
			ready, extra = metav1.ConditionTrue, ""
		}
	case v1alpha1.PhaseWaiting, v1alpha1.PhaseReplacing, v1alpha1.PhaseSoaking, v1alpha1.PhaseReturning:
	case v1alpha1.PhaseRejected, v1alpha1.PhaseHeld:
		extra = "Stalled"
	}
	return Conditions(old, Condition{Ready: ready, Extra: extra, Reason: s.Reason, Message: s.Message}, s.ObservedGeneration, now)
}

// Condition is what Conditions spells out.
type Condition struct {
	Ready metav1.ConditionStatus
	// Extra is Reconciling, Stalled or empty.
	Extra   string
	Reason  string
	Message string
}

// Conditions returns the conditions by the rules of kstatus: Ready always, and
// at most one of Reconciling and Stalled, only while it is true. A condition
// keeps its transition time while its status stays.
func Conditions(old []metav1.Condition, c Condition, generation int64, now time.Time) []metav1.Condition {
	var out []metav1.Condition
	add := func(kind string, status metav1.ConditionStatus) {
		next := metav1.Condition{Type: kind, Status: status, Reason: c.Reason, Message: c.Message, ObservedGeneration: generation, LastTransitionTime: metav1.NewTime(now).Rfc3339Copy()}
		if before := apimeta.FindStatusCondition(old, kind); before != nil && before.Status == status {
			next.LastTransitionTime = before.LastTransitionTime
		}
		out = append(out, next)
	}
	add("Ready", c.Ready)
	if c.Extra != "" {
		add(c.Extra, metav1.ConditionTrue)
	}
	return out
}
