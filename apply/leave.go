package apply

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// Leave closes every pulse that is open, so that a cluster without rollcall
// gives each new pod the proven version instead of one whose gate nobody opens.
// Call it when Run has returned, and only while no other replica acts.
func (r *Rollouts) Leave(ctx context.Context) error {
	all, err := r.Kinds.NodeRollouts(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list noderollouts: %w", err)
	}
	var errs []error
	for i := range all.Items {
		// The DaemonSet controller writes the status of what was just changed.
		errs = append(errs, retry.RetryOnConflict(retry.DefaultBackoff, func() error { return r.closePulse(ctx, &all.Items[i]) }))
	}
	return errors.Join(errs...)
}

func (r *Rollouts) closePulse(ctx context.Context, n *v1alpha1.NodeRollout) error {
	key := types.NamespacedName{Namespace: n.Namespace, Name: n.Name}
	live, err := r.live(ctx, n)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get daemonset %s: %w", key, err)
	}
	if n.Status.Proven == nil || !hasGate(&live.Spec.Template) {
		return nil
	}
	rec, _, err := (store{r.Kube, key}).recorded(ctx)
	if err != nil {
		return err
	}
	owned, err := r.liveRevisions(ctx, live)
	if err != nil {
		return err
	}
	known := newBook(rec, nil, spelling{}).templates
	if err := known.recoverProven(n.Status.Proven, owned); err != nil {
		return err
	}
	proven, found := known[n.Status.Proven.Digest]
	if !found {
		return fmt.Errorf("daemonset %s: the template of %s is neither recorded nor among its controller revisions", key, n.Status.Proven.Digest)
	}
	r.Logger.Info("close pulse", "daemonset", key.String(), "digest", n.Status.Proven.Digest)
	if wonIn(&live.Spec.Template) != "" {
		proven = placedLike(&proven, n.Status.Proven.Digest, &live.Spec.Template)
	}
	_, err = r.writeSpec(ctx, live, &proven, false)
	return err
}
