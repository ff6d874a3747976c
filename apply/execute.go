package apply

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// podsAtOnce is how many pods are written at a time: a pulse of a large budget deletes
// and opens hundreds, and nobody's agent runs while that lasts.
const podsAtOnce = 8

// execute takes the steps of a recorded decision, in their order; steps of one kind that
// follow each other and concern a pod each are taken at once. One that is refused keeps
// no other one waiting; the next decision repeats what is left. It stops when the
// decision is no longer fresh: a process that was stopped and goes on must not do what
// another leader has taken back meanwhile, which waits for longer than that.
func (r *Rollouts) execute(ctx context.Context, v *view, d rollout.Decision) error {
	errs := make([]error, len(d.Steps))
	for first := 0; first < len(d.Steps); {
		next := first + together(d.Steps[first:])
		var group errgroup.Group
		group.SetLimit(podsAtOnce)
		for i := first; i < next; i++ {
			group.Go(func() error {
				errs[i] = r.whileFresh(ctx, v, d.Steps[i])
				return nil
			})
		}
		_ = group.Wait() // the errors are beside their steps
		first = next
	}
	var conflict error
	for i, err := range errs {
		if apierrors.IsConflict(err) {
			conflict, errs[i] = err, nil // somebody else wrote: look again, and say nothing of it
		}
	}
	return cmp.Or(errors.Join(errs...), conflict)
}

// together is how many of the steps, from the first on, may be taken at once.
func together(steps []rollout.Step) int {
	switch kind := steps[0].Action; kind {
	case rollout.DeletePod, rollout.OpenGate, rollout.Relabel:
		if other := slices.IndexFunc(steps, func(s rollout.Step) bool { return s.Action != kind }); other > 0 {
			return other
		}
		return len(steps)
	case rollout.SetOnDelete, rollout.WriteTemplate, rollout.NameRevision:
	}
	return 1
}

// whileFresh takes the step, unless the decision is too old for that.
func (r *Rollouts) whileFresh(ctx context.Context, v *view, s rollout.Step) error {
	if age := time.Since(v.input.Now); age > rollout.Fresh {
		r.Logger.Info("decide again", "daemonset", v.key.String(), "age", age.String())
		return nil
	}
	err := r.step(ctx, v, s)
	if err == nil {
		r.Metrics.stepped(v.key, s)
	}
	return err
}

func (r *Rollouts) step(ctx context.Context, v *view, s rollout.Step) error {
	switch s.Action {
	case rollout.SetOnDelete:
		written, err := r.patchDaemonSet(ctx, v.live, fieldValue{"/spec/updateStrategy", appsv1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType}})
		if err == nil {
			r.restored(v, fieldStrategy, written)
		}
		return err
	case rollout.WriteTemplate:
		return r.writeTemplate(ctx, v, s)
	case rollout.DeletePod:
		return r.deleteAgent(ctx, v.key, s)
	case rollout.OpenGate:
		return r.openGate(ctx, v.key.Namespace, s)
	case rollout.NameRevision:
		return r.nameRevision(ctx, v, s)
	case rollout.Relabel:
		return r.relabel(ctx, v.key.Namespace, s)
	default:
		return fmt.Errorf("daemonset %s: unknown action %q", v.key, s.Action)
	}
}

func (r *Rollouts) writeTemplate(ctx context.Context, v *view, s rollout.Step) error {
	t, err := v.templateOf(s)
	if err != nil {
		return err
	}
	template := &t
	if s.Pod != "" {
		if err := r.tryDelete(ctx, v.key, s); err != nil {
			return err
		}
	}
	if s.Moved {
		m := v.move(r.Fleet, s.Digest, s.Won)
		if m == nil {
			return fmt.Errorf("daemonset %s: where %s is to run is not known: the template of the proven version or of the one on its way is not recorded", v.key, s.Digest)
		}
		template = m.template(&t)
	}
	if s.Gated {
		template = withGate(template)
	}
	r.Logger.Info("write template", "daemonset", v.key.String(), "digest", s.Digest, "gated", s.Gated, "surge", s.Surge)
	written, err := r.writeSpec(ctx, v.live, template, s.Surge)
	if err != nil {
		return err
	}
	if !s.Moved { // a moved one tells nothing of how the version is spelled
		r.learned.note(v.key, spelling{s.Digest, *withoutGate(&written.Spec.Template)})
	}
	if v.meddled(s) {
		r.restored(v, fieldTemplate, written)
	}
	return nil
}

// templateOf is the template of the step's version, which must not start a pod of a
// removal.
func (v *view) templateOf(s rollout.Step) (corev1.PodTemplateSpec, error) {
	t, known := v.book.templates[s.Digest]
	switch {
	case !known:
		return t, fmt.Errorf("daemonset %s: the template of %s is not recorded", v.key, s.Digest)
	case rollout.Removes(s.Digest) && !s.Gated:
		return t, fmt.Errorf("daemonset %s: %s is not written without the gate", v.key, s.Digest)
	default:
		return t, nil
	}
}

// fieldValue is a field, by its JSON pointer, with its value.
type fieldValue struct {
	path  string
	value any
}

// patchDaemonSet replaces fields whole, unless somebody wrote the object since it
// was read: then it fails with a conflict. It returns what the API server made of
// it.
func (r *Rollouts) patchDaemonSet(ctx context.Context, live *appsv1.DaemonSet, fields ...fieldValue) (*appsv1.DaemonSet, error) {
	ops := []map[string]any{
		{"op": "test", "path": "/metadata/uid", "value": live.UID},
		{"op": "replace", "path": "/metadata/resourceVersion", "value": live.ResourceVersion},
	}
	for _, f := range fields {
		ops = append(ops, map[string]any{"op": "replace", "path": f.path, "value": f.value})
	}
	patch, err := json.Marshal(ops)
	if err != nil {
		return nil, fmt.Errorf("encode %s of daemonset %s/%s: %w", fields[0].path, live.Namespace, live.Name, err)
	}
	written, err := r.patchOwned(ctx, live, patch)
	if err != nil {
		return nil, fmt.Errorf("write %s of daemonset %s/%s: %w", fields[0].path, live.Namespace, live.Name, err)
	}
	return written, nil
}

// deleteAgent deletes a pod of the DaemonSet, and remembers whether that is
// allowed.
func (r *Rollouts) deleteAgent(ctx context.Context, key types.NamespacedName, s rollout.Step) error {
	err := r.deletePod(ctx, key.Namespace, s)
	if err != nil {
		r.deleted.forget(key)
		return err
	}
	r.deleted.note(key, time.Now())
	return nil
}

// deletePod deletes the pod with that UID. One that is gone is what was wanted;
// one that has changed since it was seen, where that matters, is a conflict.
func (r *Rollouts) deletePod(ctx context.Context, namespace string, s rollout.Step) error {
	r.Logger.Info("delete pod", "pod", namespace+"/"+s.Pod, "node", s.Node, "for", s.Why)
	guard := metav1.NewUIDPreconditions(string(s.PodUID))
	if s.PodVersion != "" {
		guard.ResourceVersion = &s.PodVersion
	}
	err := r.Kube.CoreV1().Pods(namespace).Delete(ctx, s.Pod, metav1.DeleteOptions{Preconditions: guard})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete pod %s/%s: %w", namespace, s.Pod, err)
	}
	r.Written.note(s.PodUID, func(w *write) { w.deleted = true })
	return nil
}

// deletable is for how long what the API server did with one pod tells what it
// would do with the next: from pulse to pulse of one wave.
const deletable = 10 * time.Second

// tryDelete asks whether the API server would delete the pod that a pulse is
// for, unless it has just deleted another one. While a webhook or a policy refuses
// that, an open pulse would only keep the proven template away.
func (r *Rollouts) tryDelete(ctx context.Context, key types.NamespacedName, s rollout.Step) error {
	if r.deleted.left(key, deletable, time.Now()) > 0 {
		return nil
	}
	err := r.Kube.CoreV1().Pods(key.Namespace).Delete(ctx, s.Pod, metav1.DeleteOptions{
		DryRun: []string{metav1.DryRunAll}, Preconditions: metav1.NewUIDPreconditions(string(s.PodUID)),
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete pod %s/%s in a dry run, before the pulse: %w", key.Namespace, s.Pod, err)
	}
	return nil
}

// openGate lets one pod start.
func (r *Rollouts) openGate(ctx context.Context, namespace string, s rollout.Step) error {
	r.Logger.Info("open gate", "pod", namespace+"/"+s.Pod, "node", s.Node)
	patch := map[string]any{
		"metadata": map[string]any{"uid": s.PodUID},
		"spec":     map[string]any{"schedulingGates": []any{map[string]any{"$patch": "delete", "name": v1alpha1.WaveGate}}},
	}
	if err := r.patchPod(ctx, namespace, s.Pod, patch); err != nil {
		return err
	}
	r.Written.note(s.PodUID, func(w *write) { w.opened = true })
	return nil
}

// nameRevision gives the revision of the live template another label: pods that
// carry it are up to date to Kubernetes. It counts pods by the label of the
// revision, and finds the revision by its content. An account that may not, as one
// that is bound to the ClusterRole admin, has the pods labelled instead.
func (r *Rollouts) nameRevision(ctx context.Context, v *view, s rollout.Step) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": v.revisions.liveUID, "labels": map[string]any{appsv1.ControllerRevisionHashLabelKey: s.Revision},
	}})
	if err != nil {
		return fmt.Errorf("encode label of controllerrevision %s/%s: %w", v.key.Namespace, v.revisions.liveName, err)
	}
	r.Logger.Info("name revision", "daemonset", v.key.String(), "revision", v.revisions.liveName, "label", s.Revision)
	as, err := r.writerOf(ctx, v.live)
	if err != nil {
		return err
	}
	apps, err := r.apps(as)
	if err != nil {
		return err
	}
	_, err = apps.ControllerRevisions(v.key.Namespace).Patch(ctx, v.revisions.liveName, types.StrategicMergePatchType, patch, metav1.PatchOptions{FieldManager: v1alpha1.FieldManager})
	if !as.Own() && apierrors.IsForbidden(err) {
		r.unnamed.note(v.key, time.Now())
		return nil
	}
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("patch controllerrevision %s/%s: %w", v.key.Namespace, v.revisions.liveName, err)
	}
	return nil
}

// relabel tells Kubernetes which revision the pod is.
func (r *Rollouts) relabel(ctx context.Context, namespace string, s rollout.Step) error {
	patch := map[string]any{"metadata": map[string]any{
		"uid": s.PodUID, "labels": map[string]any{appsv1.ControllerRevisionHashLabelKey: s.Revision},
	}}
	if err := r.patchPod(ctx, namespace, s.Pod, patch); err != nil {
		return err
	}
	r.Written.note(s.PodUID, func(w *write) { w.revision = s.Revision })
	return nil
}

// patchPod patches the pod whose UID the patch names; another pod of that name
// is left alone.
func (r *Rollouts) patchPod(ctx context.Context, namespace, name string, patch map[string]any) error {
	raw, err := json.Marshal(patch)
	if err != nil {
		return fmt.Errorf("encode patch of pod %s/%s: %w", namespace, name, err)
	}
	_, err = r.Kube.CoreV1().Pods(namespace).Patch(ctx, name, types.StrategicMergePatchType, raw, metav1.PatchOptions{FieldManager: v1alpha1.FieldManager})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("patch pod %s/%s: %w", namespace, name, err)
	}
	return nil
}

// announce logs, counts and emits what changed with the recorded status.
func (r *Rollouts) announce(v *view, next v1alpha1.NodeRolloutStatus) {
	old := v.rollout.Status
	r.Metrics.observe(v.key, old, next, v.input.Now)
	if old.Phase == next.Phase && old.Reason == next.Reason {
		return
	}
	r.Logger.Info("rollout", "daemonset", v.key.String(), "phase", next.Phase, "reason", next.Reason, "message", next.Message)
	if next.Reason == ReasonStepFailed {
		r.Events.Event(v.rollout, corev1.EventTypeWarning, ReasonStepFailed, string(next.Phase)+": "+next.Message)
		return
	}
	kind := corev1.EventTypeNormal
	if next.Phase == v1alpha1.PhaseRejected || next.Phase == v1alpha1.PhaseHeld || next.Phase == v1alpha1.PhaseReturning && newRejections(old, next) > 0 {
		kind = corev1.EventTypeWarning
	}
	r.Events.Event(v.rollout, kind, string(next.Phase), eventWords(next))
}

// short is a commit as messages name it.
func short(commit string) string {
	return commit[:min(len(commit), 8)]
}

// eventWords are a status as an event says it, that has the phase for its reason:
// with the commit on its way, which an event shows nowhere else.
func eventWords(s v1alpha1.NodeRolloutStatus) string {
	words := s.Message
	if s.Candidate != nil && s.Candidate.Commit != "" && !strings.HasPrefix(words, "commit ") {
		words = "commit " + short(s.Candidate.Commit) + ": " + words
	}
	if s.Reason != string(s.Phase) {
		words = s.Reason + ": " + words
	}
	return words
}
