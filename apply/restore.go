package apply

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/health/watch"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// settlePoll is how often to look whether the DaemonSet controller has followed.
const settlePoll = 250 * time.Millisecond

// End removes the NodeRollout of a DaemonSet that is pruned, or left to
// Kubernetes from now on. It closes an open pulse first, while it is recorded
// what the DaemonSet held before.
func (r *Rollouts) End(ctx context.Context, key types.NamespacedName) error {
	client := r.Kinds.NodeRollouts(key.Namespace)
	n, err := client.Get(ctx, key.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get noderollout %s: %w", key, err)
	}
	// The DaemonSet controller writes the status of what was just changed.
	if err := retry.RetryOnConflict(retry.DefaultBackoff, func() error { return r.closePulse(ctx, n) }); err != nil {
		return err
	}
	err = client.Delete(ctx, key.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(n.UID))})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete noderollout %s: %w", key, err)
	}
	return nil
}

// sweep ends what is left of a pulse whose NodeRollout is gone, whoever deleted
// it and whether or not a GitSync will ever declare the DaemonSet again: nobody
// else would open those gates, so every pod made from then on would wait for
// ever. A gated template gives way to the one before, then the gated pods to
// pods made from that. It returns after how long to look again; 0 for never.
//
// It needs no finalizer on the NodeRollout, which would keep namespaces and
// definitions from going while no rollcall runs: a gate is itself the mark that
// something is left to do.
func (r *Rollouts) sweep(ctx context.Context, key types.NamespacedName) (time.Duration, error) {
	live, err := r.Kube.AppsV1().DaemonSets(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("get daemonset %s: %w", key, err)
	}
	if hasGate(&live.Spec.Template) {
		return settlePoll, r.restoreLost(ctx, live)
	}
	if live.Status.ObservedGeneration < live.Generation {
		return settlePoll, nil // a pod deleted now could come back gated
	}
	again := time.Duration(0)
	for _, n := range r.Written.overlay(r.Fleet.Nodes(live.UID, watch.NewPlacement(&live.Spec.Template), nil, func(string) string { return "" })) {
		for _, a := range n.Agents {
			if !a.Gated || a.Terminating {
				continue
			}
			again = settlePoll
			if err := r.deletePod(ctx, key.Namespace, rollout.Step{Action: rollout.DeletePod, Node: n.Name, Pod: a.Name, PodUID: a.UID, Why: rollout.ForStray}); err != nil {
				return 0, err
			}
		}
	}
	return again, nil
}

// restoreLost restores what held before a pulse. Of a first install that was not
// over nothing held: what Git leaves to Kubernetes by now goes without the gate.
func (r *Rollouts) restoreLost(ctx context.Context, live *appsv1.DaemonSet) error {
	restored, err := r.restore(ctx, live)
	switch {
	case err != nil || restored != nil:
		return err
	case live.Annotations[v1alpha1.AnnotationRollout] == v1alpha1.RolloutNative:
		_, err := r.writeSpec(ctx, live, withoutGate(&live.Spec.Template), false)
		return err
	default:
		return &Error{Reason: ReasonInvalid, Object: fmt.Sprintf("DaemonSet %s/%s", live.Namespace, live.Name),
			Message: "its first install is not over, its NodeRollout is gone, and no GitSync declares it: declare it again, delete it, or remove rollcall's gate from spec.template.spec.schedulingGates"}
	}
}

// restore writes the template back that the DaemonSet held before a pulse whose
// NodeRollout is gone.
//
// That is the newest controller revision without the gate. Which version was
// proven is recorded nowhere any more; but a pulse only opens when the DaemonSet
// controller has observed the rest template, and every time one is written back
// the controller numbers its revision anew, as the newest. So it is the proven
// version, or, if somebody wrote the template by hand within the pulse, what that
// person wants to run. Without any, none was proven yet: restore returns nil then,
// and writes nothing.
func (r *Rollouts) restore(ctx context.Context, live *appsv1.DaemonSet) (*appsv1.DaemonSet, error) {
	if !r.Fleet.WaitForSync(ctx) {
		return nil, ctx.Err()
	}
	template, err := newestUngated(r.Fleet.Revisions(live.UID))
	if err != nil {
		return nil, err
	}
	if template == nil {
		return nil, nil
	}
	r.Logger.Info("restore template of a lost pulse", "daemonset", live.Namespace+"/"+live.Name)
	return r.writeSpec(ctx, live, template, false)
}

// newestUngated is the template of the newest revision without rollcall's gate;
// nil when there is none.
func newestUngated(owned []*appsv1.ControllerRevision) (*corev1.PodTemplateSpec, error) {
	var out *corev1.PodTemplateSpec
	newest := int64(-1)
	for _, r := range owned {
		t, err := revisionTemplate(r)
		if err != nil {
			return nil, err
		}
		if !hasGate(t) && r.Revision > newest {
			out, newest = t, r.Revision
		}
	}
	return out, nil
}
