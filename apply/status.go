package apply

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// record writes the decision's next state, the fleet-sized part first. Either
// write fails when somebody else wrote since observe: then nothing of the
// decision is done. That is what keeps a second leader out.
func (r *Rollouts) record(ctx context.Context, v *view, d rollout.Decision) error {
	if err := (store{r.Kube, v.key}).writeRecorded(ctx, v.rollout, v.stateMap, v.nextRecorded(d)); err != nil {
		return err
	}
	next := v.rollout.DeepCopy()
	next.Status = v.status(d)
	if equality.Semantic.DeepEqual(next.Status, v.rollout.Status) {
		return nil
	}
	if _, err := r.Kinds.NodeRollouts(v.key.Namespace).UpdateStatus(ctx, next, metav1.UpdateOptions{FieldManager: v1alpha1.FieldManager}); err != nil {
		return fmt.Errorf("write status of noderollout %s: %w", v.key, err)
	}
	return nil
}

// nextRecorded keeps the templates that the way forward and the way back need,
// and that of the version which the status still calls proven: after a crash
// before the status is written, that is the one to hold.
func (v *view) nextRecorded(d rollout.Decision) recorded {
	out := recorded{Templates: templates{}, Records: d.Next.Records}
	if c := d.Next.Candidate; c != nil {
		out.Candidate = c.Digest
	}
	if v.formerly != "" {
		out.Templates[v.formerly] = v.recorded.Templates[v.formerly]
	}
	for _, version := range []*rollout.Version{d.Next.Proven, d.Next.Candidate, v.input.State.Proven} {
		if version == nil {
			continue
		}
		if t, known := v.templates[version.Digest]; known {
			out.Templates[version.Digest] = t
		}
	}
	return out
}

// stateOf reads back what status and recorded hold. Records of another
// candidate than the status names come from a crash between the two writes.
func stateOf(n *v1alpha1.NodeRollout, rec recorded) rollout.State {
	s := n.Status
	out := rollout.State{HandledRetry: s.HandledRetry, Proven: fromVersion(s.Proven), Candidate: fromVersion(s.Candidate)}
	candidate := ""
	if s.Candidate != nil {
		candidate = s.Candidate.Digest
	}
	if rec.Candidate == candidate {
		out.Records = rec.Records
	}
	if s.Wave != nil {
		out.Wave, out.WaveStarted = int(s.Wave.Index)-1, s.Wave.StartedAt.Time
	}
	for _, r := range s.Rejected {
		out.Rejected = append(out.Rejected, rollout.Rejection{Version: rollout.Version{Digest: r.Digest, Commit: r.Commit}, Reason: r.Reason, Message: r.Message, At: r.At.Time})
	}
	for _, f := range s.InFlight {
		out.InFlight = append(out.InFlight, rollout.InFlight{Node: f.Node, NodeUID: f.NodeUID, PodUID: f.PodUID, At: f.At.Time, Idle: f.Idle})
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
		Wave:               v.wave(d),
		Nodes:              counts(d.Counts),
		Proven:             v.version(d.Next.Proven),
		Candidate:          v.version(d.Next.Candidate),
		HandledRetry:       d.Next.HandledRetry,
		Conditions:         conditions(old.Conditions, d, v.rollout.Generation, now),
	}
	if v.trouble != "" {
		out.Reason, out.Message = ReasonStepFailed, d.Message+"; the last step failed and is tried again: "+v.trouble
		out.Conditions = conditions(old.Conditions, rollout.Decision{Phase: d.Phase, Reason: out.Reason, Message: out.Message}, v.rollout.Generation, now)
	}
	if out.Since.IsZero() || old.Phase != out.Phase || old.Reason != out.Reason {
		out.Since = metav1.NewTime(now).Rfc3339Copy()
	}
	for _, p := range d.Failing {
		out.Failing = append(out.Failing, v1alpha1.NodeProblem{Node: p.Node, Reason: p.Reason, Message: p.Message, Since: metav1.NewTime(p.Since).Rfc3339Copy()})
	}
	for _, r := range d.Next.Rejected {
		out.Rejected = append(out.Rejected, v1alpha1.Rejection{Digest: r.Digest, Commit: r.Commit, Reason: r.Reason, Message: r.Message, At: metav1.NewTime(r.At).Rfc3339Copy()})
	}
	for _, f := range d.Next.InFlight {
		out.InFlight = append(out.InFlight, v1alpha1.InFlight{Node: f.Node, NodeUID: f.NodeUID, PodUID: f.PodUID, At: metav1.NewTime(f.At).Rfc3339Copy(), Idle: f.Idle})
	}
	return out
}

func (v *view) wave(d rollout.Decision) *v1alpha1.WaveStatus {
	if d.Next.Candidate == nil || d.Next.Proven == nil {
		return nil
	}
	waves := v.input.Policy.Waves
	i := min(d.Next.Wave, len(waves)-1)
	out := &v1alpha1.WaveStatus{Name: waves[i].Name, Index: int32(i + 1), Of: int32(len(waves))} //nolint:gosec // at most 20 waves
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
// rollout moves or waits for something it expects, Stalled while it needs a
// person, and neither at rest.
func conditions(old []metav1.Condition, d rollout.Decision, generation int64, now time.Time) []metav1.Condition {
	ready, extra := metav1.ConditionFalse, ""
	switch d.Phase {
	case rollout.Proven:
		ready = metav1.ConditionTrue
	case rollout.Waiting, rollout.Replacing, rollout.Soaking, rollout.Returning:
		extra = "Reconciling"
	case rollout.Rejected, rollout.Held:
		extra = "Stalled"
	}
	return Conditions(old, Condition{Ready: ready, Extra: extra, Reason: d.Reason, Message: d.Message}, generation, now)
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
