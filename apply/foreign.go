package apply

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// A DaemonSet that no GitSync declares, with a NodeRollout that a person made, is
// another tool's: Flux, Argo CD or Helm apply it under OnDelete. Its template is
// what is asked for. rollcall writes nothing of it, and claims nothing: it deletes
// pods in waves, judges, and holds.

// Reasons of rollouts of DaemonSets that no GitSync declares.
const (
	// ReasonOwnedByGitSync: the DaemonSet is a GitSync's, which makes the NodeRollout
	// itself.
	ReasonOwnedByGitSync = "OwnedByGitSync"
	// ReasonNewPodsProven holds a rollout whose policy has new pods get the proven
	// version, which only who writes the template can give them.
	ReasonNewPodsProven = "NewPodsProven"
)

// foreign is whether another tool writes the DaemonSet: nobody has claimed it, or
// its NodeRollout.
func foreign(n *v1alpha1.NodeRollout, live *appsv1.DaemonSet) bool {
	return n.Labels[v1alpha1.LabelOwner] == "" && live.Labels[v1alpha1.LabelOwner] == ""
}

// unbegun is whether nothing has been adopted of what another tool writes.
func (v *view) unbegun() bool { return v.foreign && v.rollout.Status.Proven == nil }

// beginForeign begins a rollout that no GitSync has made: what most Ready pods run
// is proven. What is left of a pulse goes first. It returns after how long to look
// again.
func (r *Rollouts) beginForeign(ctx context.Context, n *v1alpha1.NodeRollout) (time.Duration, error) {
	key := types.NamespacedName{Namespace: n.Namespace, Name: n.Name}
	if again, err := r.sweep(ctx, key); err != nil || again > 0 || n.Labels[v1alpha1.LabelOwner] != "" || n.DeletionTimestamp != nil {
		return again, err
	}
	live, err := r.Kube.AppsV1().DaemonSets(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return 0, r.sayUnbegun(ctx, n, ReasonDaemonSetGone, "there is no DaemonSet of that name: the rollout begins when there is")
	case err != nil:
		return 0, fmt.Errorf("get daemonset %s: %w", key, err)
	case live.DeletionTimestamp != nil:
		return 0, r.sayUnbegun(ctx, n, ReasonDaemonSetTerminating, "the DaemonSet is being deleted: the rollout begins when it is made again")
	case !foreign(n, live):
		owner := live.Labels[v1alpha1.LabelOwner]
		return 0, r.sayUnbegun(ctx, n, ReasonOwnedByGitSync, fmt.Sprintf("the DaemonSet is GitSync %s's, whose next pass has its changes go in waves, unless Git leaves it to Kubernetes: "+
			"delete this NodeRollout, or take the label %s off the DaemonSet if that GitSync is gone", owner, v1alpha1.LabelOwner))
	}
	return settlePoll, r.adoptForeign(ctx, key, n, live)
}

// sayUnbegun explains a NodeRollout whose rollout does not begin. It stays without a
// phase, so that a GitSync may still have it.
func (r *Rollouts) sayUnbegun(ctx context.Context, n *v1alpha1.NodeRollout, reason, message string) error {
	next := n.DeepCopy()
	s := &next.Status
	s.ObservedGeneration, s.Reason, s.Message = n.Generation, reason, message
	now := time.Now()
	if s.Since.IsZero() || n.Status.Reason != reason {
		s.Since = metav1.NewTime(now).Rfc3339Copy()
	}
	s.Conditions = Conditions(s.Conditions, Condition{Ready: metav1.ConditionFalse, Extra: "Stalled", Reason: reason, Message: message}, n.Generation, now)
	if equality.Semantic.DeepEqual(next.Status, n.Status) {
		return nil
	}
	_, err := r.Kinds.NodeRollouts(n.Namespace).UpdateStatus(ctx, next, metav1.UpdateOptions{FieldManager: v1alpha1.FieldManager})
	return wrap("write status of noderollout", types.NamespacedName{Namespace: n.Namespace, Name: n.Name}, err)
}

// adoptForeign records what runs as proven. The live template may be another one
// already: then that is the first candidate.
func (r *Rollouts) adoptForeign(ctx context.Context, key types.NamespacedName, n *v1alpha1.NodeRollout, live *appsv1.DaemonSet) error {
	running, err := r.mostRunNow(key, live)
	if err != nil {
		return err
	}
	digest, err := writtenDigest(running)
	if err != nil {
		return err
	}
	s := store{r.Kube, key}
	before, old, err := s.recorded(ctx)
	if err != nil {
		return err
	}
	if err := s.writeRecorded(ctx, n, change{from: old, before: before, after: recorded{Templates: templates{digest: *running}}}); err != nil {
		return err
	}
	return r.initialise(ctx, n, &v1alpha1.Version{Digest: digest})
}

// wrote is what another tool has written, as a declaration.
func (r *Rollouts) wrote(ctx context.Context, v *view) (*declared, error) {
	digest, err := r.digestWritten(ctx, v)
	if err != nil {
		return nil, err
	}
	return &declared{foreign: true, Digest: digest, Policy: v.rollout.Spec.Policy, Template: *withoutGate(&v.live.Spec.Template), MaxUnavailable: ownMaxUnavailable(v.live)}, nil
}

// digestWritten is the digest of the live template: that of a known version if it
// has the same template, or would have it if it were written today, since a newer
// API server adds defaults of its own (kubernetes#78633); else one of its content.
func (r *Rollouts) digestWritten(ctx context.Context, v *view) (string, error) {
	b := newBook(v.recorded, nil, r.learned.of(v.key))
	if err := b.templates.recoverProven(v.rollout.Status.Proven, r.Fleet.Revisions(v.live.UID)); err != nil {
		return "", err
	}
	live, proven := withoutGate(&v.live.Spec.Template), ""
	if p := v.rollout.Status.Proven; p != nil {
		proven = p.Digest
	}
	if digest := b.digestOf(live, proven); digest != "" {
		return digest, nil
	}
	for _, digest := range sortedKeys(b.templates) {
		same, err := r.spelledToday(ctx, v.live, b.templates[digest], live)
		if err != nil {
			return "", err
		}
		if same {
			r.learned.note(v.key, spelling{digest, *live})
			return digest, nil
		}
	}
	return writtenDigest(live)
}

// spelledToday is whether the API server would make the wanted template of an older
// one now. It is a dry-run of the whole, by which nobody owns anything.
func (r *Rollouts) spelledToday(ctx context.Context, live *appsv1.DaemonSet, older corev1.PodTemplateSpec, want *corev1.PodTemplateSpec) (bool, error) {
	patch, err := json.Marshal([]map[string]any{{"op": "replace", "path": "/spec/template", "value": older}})
	if err != nil {
		return false, fmt.Errorf("encode template of daemonset %s/%s: %w", live.Namespace, live.Name, err)
	}
	tried, err := r.Kube.AppsV1().DaemonSets(live.Namespace).Patch(ctx, live.Name, types.JSONPatchType, patch, metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: v1alpha1.FieldManager})
	switch {
	case apierrors.IsInvalid(err), apierrors.IsForbidden(err):
		return false, nil // refused today, it is not what the API server has
	case err != nil:
		return false, fmt.Errorf("dry-run a template of daemonset %s/%s: %w", live.Namespace, live.Name, err)
	}
	return equality.Semantic.DeepEqual(withoutGate(&tried.Spec.Template), want), nil
}

// writtenDigest names a template that another tool has written.
func writtenDigest(t *corev1.PodTemplateSpec) (string, error) {
	raw, err := json.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("encode the live template: %w", err)
	}
	sum := sha256.Sum256(raw)
	return "live:" + hex.EncodeToString(sum[:]), nil
}

// newPodsBlock holds a rollout by a policy that rollcall cannot keep. The built-in
// one is nobody's word.
func (v *view) newPodsBlock() *rollout.Block {
	if !v.foreign || v.policy.Name == BuiltInPolicyName || v.policy.Spec.NewPods == v1alpha1.NewPodsCandidate {
		return nil
	}
	return &rollout.Block{Reason: ReasonNewPodsProven,
		Message: fmt.Sprintf("RolloutPolicy %q has newPods: proven, and new pods of this DaemonSet are of what another tool applies: name a RolloutPolicy with newPods: candidate in the NodeRollout's spec.policy, "+
			"or declare the DaemonSet with a GitSync; returns go on", v.policy.Name)}
}
