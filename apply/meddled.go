package apply

import (
	"bytes"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// What somebody else has written to a GitSync's DaemonSet is written over: at once,
// for a template that nobody has proven would come to every node that loses its pod,
// and under RollingUpdate Kubernetes takes pods without asking. It is said too.

// Reasons of the events about what was written over.
const (
	ReasonStrategyRestored = "StrategyRestored"
	ReasonTemplateRestored = "TemplateRestored"
)

// The values of the label field of what was restored.
const (
	fieldStrategy = "updateStrategy"
	fieldTemplate = "template"
)

// restored says that what somebody wrote to the field is undone. What rollcall
// found when it began, and what it writes anyway, is nobody's meddling.
func (r *Rollouts) restored(v *view, field string, written *appsv1.DaemonSet) {
	if v.rollout.Status.Reason == ReasonDeclared || written.Generation == v.live.Generation {
		return
	}
	c := v.rollout.Status.Nodes
	reason, words := ReasonTemplateRestored, "a template that is neither proven nor the candidate; it is written back"
	if field == fieldStrategy {
		reason, words = ReasonStrategyRestored, fmt.Sprintf("%s, so that Kubernetes replaced pods without asking; it is OnDelete again", v.live.Spec.UpdateStrategy.Type)
	}
	who := lastWriter(v.live, field)
	r.Logger.Warn("restore", "daemonset", v.key.String(), "field", field, "by", who)
	r.Metrics.restore(v.key, field)
	r.Events.Event(v.rollout, corev1.EventTypeWarning, reason, fmt.Sprintf("%s set spec.%s to %s, with %d of %d eligible nodes on a candidate: change it in Git instead", who, field, words, c.Candidate, c.Eligible))
}

// meddled is whether the template that the step writes over is one that somebody
// else wrote: one that is not known, or a candidate without the gate that it had.
func (v *view) meddled(s rollout.Step) bool {
	l := v.input.Live
	c := v.input.State.Candidate
	leaked := c != nil && l.Digest == c.Digest && !l.Gated && !v.input.Policy.NewPodsCandidate && s.Digest != c.Digest
	return l.Digest == "" || leaked
}

// lastWriter is the field manager that wrote the part of the spec last, but for
// rollcall itself.
func lastWriter(ds *appsv1.DaemonSet, field string) string {
	who, last := "somebody", time.Time{}
	spec := "spec"
	for _, entry := range ds.ManagedFields {
		if entry.Manager == v1alpha1.FieldManager || entry.Subresource != "" || entry.FieldsV1 == nil || entry.Time == nil || entry.Time.Time.Before(last) {
			continue
		}
		fields := fieldpath.NewSet()
		if err := fields.FromJSON(bytes.NewReader(entry.FieldsV1.GetRawBytes())); err != nil {
			continue
		}
		part := fields.WithPrefix(fieldpath.PathElement{FieldName: &spec})
		if !part.WithPrefix(fieldpath.PathElement{FieldName: &field}).Empty() {
			who, last = entry.Manager, entry.Time.Time
		}
	}
	return who
}
