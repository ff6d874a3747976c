package apply

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// A DaemonSet that Git declares no more leaves its nodes before it is deleted:
//
//	the pass, after proof ..... declares the removal to its rollout, in the ConfigMap that
//	                            says what Git declares, instead of a version
//	the rollout ............... goes over the nodes as with any candidate, see package rollout
//	its status says Removed ... the pass deletes the DaemonSet, and then the NodeRollout,
//	                            with which what is recorded goes
//	declared again ............ the pass declares a version in place of the removal
//
// Each of these is one write, and whoever dies between two of them leaves what the next
// pass finds and goes on with. The DaemonSet, its NodeRollout and all that its pods need
// stay until the end.

// ReasonRolloutMissing holds the removal of a DaemonSet without a NodeRollout, and
// ReasonProvenUnknown that of one whose proven version is not known any more.
const (
	ReasonRolloutMissing = "RolloutMissing"
	ReasonProvenUnknown  = "ProvenUnknown"
)

// Removal is a DaemonSet that Git declares no more and that is on its nodes still.
type Removal struct {
	ID diff.ID
	// Phase and Reason are those of its rollout.
	Phase   v1alpha1.Phase
	Reason  string
	Message string
}

// Remove declares to their rollouts that the DaemonSets which a plan deletes are to leave
// their nodes, and returns those that have not. It takes that back for DaemonSets that are
// to stay after all. What no rollout has proven, or Kubernetes rolls out, may be deleted at
// once.
func (r *Rollouts) Remove(ctx context.Context, owner, commit string, plan diff.Plan, former []diff.Former) ([]Removal, error) {
	var out []Removal
	for _, c := range plan.Of(diff.Delete, diff.Keep) {
		if c.Declared || c.GroupKind() != appsv1.SchemeGroupVersion.WithKind("DaemonSet").GroupKind() {
			continue
		}
		key := types.NamespacedName{Namespace: c.Namespace, Name: c.Name}
		var removal *Removal
		var err error
		switch {
		case c.Stays():
			err = r.Stay(ctx, owner, key)
		case c.Operation == diff.Keep:
			removal, err = r.underWay(ctx, owner, key)
		case !native(c.ID, former):
			removal, err = r.remove(ctx, owner, commit, key)
		}
		if err != nil {
			return nil, err
		}
		if removal != nil {
			removal.ID = c.ID
			out = append(out, *removal)
		}
	}
	return out, nil
}

// removes is whether the GitSync has declared a removal.
func (d *declared) removes(owner string) bool {
	return d != nil && d.Owner == owner && rollout.Removes(d.Digest)
}

// native is whether Kubernetes rolls the DaemonSet out.
func native(id diff.ID, former []diff.Former) bool {
	for _, f := range former {
		if f.ID == id && f.Live != nil {
			return f.Live.GetAnnotations()[v1alpha1.AnnotationRollout] == v1alpha1.RolloutNative
		}
	}
	return false
}

// remove returns nil for a DaemonSet that may be deleted.
func (r *Rollouts) remove(ctx context.Context, owner, commit string, key types.NamespacedName) (*Removal, error) {
	n, err := r.Kinds.NodeRollouts(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return &Removal{Phase: v1alpha1.PhaseHeld, Reason: ReasonRolloutMissing,
			Message: "somebody deleted its NodeRollout, so that nothing takes it from its nodes in waves: declare it in Git again to have one, or delete the DaemonSet by hand"}, nil
	case err != nil:
		return nil, fmt.Errorf("get noderollout %s: %w", key, err)
	case n.Status.Proven == nil:
		return nil, nil // to go back from a first version needs no wave
	}
	want, err := (store{r.Kube, key}).declared(ctx)
	if err != nil {
		return nil, err
	}
	digest := rollout.RemovalOf(n.Status.Proven.Digest)
	if want != nil && want.Digest == digest && want.Owner == owner {
		return removalOf(n, digest), nil
	}
	next := declared{}
	if want != nil {
		next = *want
	}
	next.Digest, next.Commit, next.Owner = digest, commit, owner
	return r.beginRemoval(ctx, n, next)
}

// beginRemoval declares the removal, with a template that is made from the proven one.
func (r *Rollouts) beginRemoval(ctx context.Context, n *v1alpha1.NodeRollout, next declared) (*Removal, error) {
	template, err := r.provenTemplate(ctx, n)
	if err != nil {
		return nil, err
	}
	if template == nil {
		return &Removal{Phase: v1alpha1.PhaseHeld, Reason: ReasonProvenUnknown,
			Message: fmt.Sprintf("its proven template went with the ConfigMap %s%s: declare it in Git again, or delete the DaemonSet by hand", n.Name, stateSuffix)}, nil
	}
	next.Template = *marked(template)
	r.Logger.Info("remove", "daemonset", n.Namespace+"/"+n.Name, "commit", next.Commit)
	return &Removal{Phase: v1alpha1.PhaseWaiting, Reason: ReasonDeclared, Message: "its removal begins"}, r.redeclare(ctx, n, next)
}

// underWay is a removal that was declared and goes on, whatever the DaemonSet's deletion
// waits for by now; nil when there is none.
func (r *Rollouts) underWay(ctx context.Context, owner string, key types.NamespacedName) (*Removal, error) {
	want, err := (store{r.Kube, key}).declared(ctx)
	if err != nil || !want.removes(owner) {
		return nil, err
	}
	n, err := r.Kinds.NodeRollouts(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get noderollout %s: %w", key, err)
	}
	return removalOf(n, want.Digest), nil
}

// redeclare has the rollout go on with something else.
func (r *Rollouts) redeclare(ctx context.Context, n *v1alpha1.NodeRollout, next declared) error {
	key := types.NamespacedName{Namespace: n.Namespace, Name: n.Name}
	if err := (store{r.Kube, key}).writeDeclared(ctx, n, next); err != nil {
		return err
	}
	r.enqueue([]types.NamespacedName{key})
	return nil
}

// removalOf is how far the removal has come; nil when it is over.
func removalOf(n *v1alpha1.NodeRollout, digest string) *Removal {
	s := n.Status
	if s.Candidate == nil || s.Candidate.Digest != digest {
		return &Removal{Phase: v1alpha1.PhaseWaiting, Reason: ReasonDeclared, Message: "its removal begins"}
	}
	if s.Phase == v1alpha1.PhaseProven && s.Reason == rollout.ReasonRemoved {
		return nil
	}
	return &Removal{Phase: s.Phase, Reason: s.Reason, Message: s.Message}
}

// provenTemplate is that of the proven version; nil when nobody knows it any more.
func (r *Rollouts) provenTemplate(ctx context.Context, n *v1alpha1.NodeRollout) (*corev1.PodTemplateSpec, error) {
	key, proven := types.NamespacedName{Namespace: n.Namespace, Name: n.Name}, n.Status.Proven
	rec, _, err := (store{r.Kube, key}).recorded(ctx)
	if err != nil {
		return nil, err
	}
	if _, known := rec.Templates[proven.Digest]; !known {
		live, err := r.Kube.AppsV1().DaemonSets(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
		if err != nil {
			return nil, fmt.Errorf("get daemonset %s: %w", key, err)
		}
		owned, err := r.liveRevisions(ctx, live)
		if err != nil {
			return nil, err
		}
		if err := rec.Templates.recoverProven(proven, owned); err != nil {
			return nil, err
		}
	}
	if t, known := rec.Templates[proven.Digest]; known {
		return &t, nil
	}
	return nil, nil
}

// marked is the template of the pods that stand for none: another one than that which
// serves, and no pod of it ever starts.
func marked(t *corev1.PodTemplateSpec) *corev1.PodTemplateSpec {
	out := t.DeepCopy()
	if out.Annotations == nil {
		out.Annotations = map[string]string{}
	}
	out.Annotations[v1alpha1.AnnotationRemoved] = "true"
	return out
}

// Stay declares the proven version again if the GitSync, or the one that handed the
// DaemonSet over to it, has declared a removal.
func (r *Rollouts) Stay(ctx context.Context, owner string, key types.NamespacedName) error {
	want, err := (store{r.Kube, key}).declared(ctx)
	if err != nil || want == nil || !rollout.Removes(want.Digest) {
		return err
	}
	if want.Owner != owner {
		if has, err := r.has(ctx, owner, key); err != nil || !has {
			return err
		}
	}
	next := *want
	next.Owner = owner
	return r.endRemoval(ctx, key, next)
}

// endRemoval declares the proven version; nothing where that is not known.
func (r *Rollouts) endRemoval(ctx context.Context, key types.NamespacedName, next declared) error {
	n, err := r.Kinds.NodeRollouts(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && n.Status.Proven == nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get noderollout %s: %w", key, err)
	}
	template, err := r.provenTemplate(ctx, n)
	if err != nil || template == nil {
		return err
	}
	next.Digest, next.Commit, next.Template = n.Status.Proven.Digest, n.Status.Proven.Commit, *template
	r.Logger.Info("remove no more", "daemonset", key.String())
	return r.redeclare(ctx, n, next)
}

// has is whether the DaemonSet is the GitSync's.
func (r *Rollouts) has(ctx context.Context, owner string, key types.NamespacedName) (bool, error) {
	live, err := r.Kube.AppsV1().DaemonSets(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("get daemonset %s: %w", key, err)
	default:
		return live.Labels[v1alpha1.LabelOwner] == owner, nil
	}
}
