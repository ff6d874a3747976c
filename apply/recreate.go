package apply

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// The selector of a DaemonSet cannot be changed. Where the annotation asks for it, the
// DaemonSet is made again with another one, and takes over the pods that it had:
//
//	at rest, and all of its pods match .... it is deleted, and its pods are left (orphaned)
//	it is gone ............................ it is made with the proven template, as one that
//	                                        somebody deleted is, and adopts them: nothing restarts
//
// Whoever dies in between leaves a NodeRollout without a DaemonSet, which the next pass
// makes. Pods that do not match would be nobody's for ever, so then nothing is done: their
// labels come with a rollout of its own first.

// recreates is whether the DaemonSet has to be made again for its selector; an error when
// that cannot be, or nobody asks for it.
func (r *Rollouts) recreates(ctx context.Context, d Declaration, c claimed) (bool, error) {
	if c.live == nil {
		return false, nil
	}
	ds, err := d.typed()
	if err != nil {
		return false, err
	}
	if ds.Spec.Selector == nil || equality.Semantic.DeepEqual(ds.Spec.Selector, c.live.Spec.Selector) {
		return false, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(ds.Spec.Selector)
	if err != nil {
		return false, nil //nolint:nilerr // the API server says better what is wrong with it
	}
	why := notRecreated(ds, c)
	if why == "" {
		if why, err = r.unmatched(ctx, c.live, selector); err != nil {
			return false, err
		}
	}
	if why != "" {
		return false, &Error{Reason: ReasonImmutable, Object: d.reference(), Message: "spec.selector: the API server allows no change of it: " + why}
	}
	return true, nil
}

// notRecreated is why a DaemonSet is not made again, by itself; empty when it may be.
func notRecreated(ds *appsv1.DaemonSet, c claimed) string {
	switch {
	case ds.Annotations[v1alpha1.AnnotationRecreate] != "true":
		return fmt.Sprintf("revert the change in Git, or give the DaemonSet another name; or set its annotation %s: \"true\", by which rollcall makes it again around the pods that it has, which restarts none", v1alpha1.AnnotationRecreate)
	case c.live.DeletionTimestamp != nil:
		return "it is being deleted, and made again when it is gone"
	case c.rollout == nil || c.rollout.Status.Proven == nil:
		return "nothing of it is proven, so that there is nothing to make again: revert the change in Git until it is"
	case !atRest(c):
		return fmt.Sprintf("it is made again when its rollout is over, which is %s (%s): see its NodeRollout", c.rollout.Status.Phase, c.rollout.Status.Reason)
	default:
		return ""
	}
}

// atRest is whether nothing of the DaemonSet is on its way. So it is when a version was
// rejected and its nodes are back: that ends by no other one while the selector that is
// declared is not the live one.
func atRest(c claimed) bool {
	s := c.rollout.Status
	over := s.Phase == v1alpha1.PhaseProven || s.Phase == v1alpha1.PhaseRejected && len(s.InFlight) == 0
	return over && !hasGate(&c.live.Spec.Template)
}

// unmatched is which pods keep a DaemonSet from being made again with the selector: its
// own that it would lose, and others that it would take; empty when there are none.
func (r *Rollouts) unmatched(ctx context.Context, live *appsv1.DaemonSet, selector labels.Selector) (string, error) {
	lost, all, first := 0, 0, ""
	err := r.eachPod(ctx, live.Namespace, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(live.Spec.Selector)}, func(p *corev1.Pod) {
		if !metav1.IsControlledBy(p, live) {
			return
		}
		if all++; !selector.Matches(labels.Set(p.Labels)) {
			lost, first = lost+1, p.Name
		}
	})
	if err != nil {
		return "", fmt.Errorf("list pods of daemonset %s/%s: %w", live.Namespace, live.Name, err)
	}
	const way = "first add the labels that it asks for to spec.template.metadata.labels in a commit that keeps the old selector, and change the selector when that is proven"
	switch {
	case lost > 0:
		return fmt.Sprintf("%d of its %d pods do not match the new one (such as %s) and would be nobody's: %s", lost, all, first, way), nil
	case !selector.Matches(labels.Set(live.Spec.Template.Labels)):
		return "its proven template does not match the new one: " + way, nil
	}
	strays := 0
	err = r.eachPod(ctx, live.Namespace, metav1.ListOptions{LabelSelector: selector.String()}, func(p *corev1.Pod) {
		if metav1.GetControllerOf(p) == nil {
			strays, first = strays+1, p.Name
		}
	})
	if err != nil {
		return "", fmt.Errorf("list pods of %s: %w", live.Namespace, err)
	}
	if strays > 0 {
		return fmt.Sprintf("%d pods that nobody controls match the new one (such as %s), and the DaemonSet would take them: delete them, or select by a label that they do not have", strays, first), nil
	}
	return "", nil
}

// recreateWithin is for how long a pass waits until a DaemonSet is gone; the next one goes
// on.
const recreateWithin = 10 * time.Second

// recreate makes the DaemonSet again with the declared selector.
func (r *Rollouts) recreate(ctx context.Context, d Declaration, c claimed, want *declared) (*appsv1.DaemonSet, error) {
	client := r.daemonSets(d.As, d.key().Namespace)
	r.Logger.Info("recreate", "daemonset", d.key().String(), "commit", d.Commit)
	err := client.delete(ctx, d.key().Name, metav1.DeleteOptions{
		PropagationPolicy: ptr.To(metav1.DeletePropagationOrphan),
		Preconditions:     &metav1.Preconditions{UID: &c.live.UID, ResourceVersion: &c.live.ResourceVersion},
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, failed("delete", "DaemonSet "+d.key().String(), err)
	}
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, recreateWithin, true, func(ctx context.Context) (bool, error) {
		_, err := client.get(ctx, d.key().Name)
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
	if err != nil {
		return nil, &Error{Reason: ReasonUnavailable, Object: d.reference(), Message: "it is deleted, to be made again with another selector, and not gone yet: the next pass makes it", Err: err}
	}
	return r.createDaemonSet(ctx, d, c.rollout, want)
}
