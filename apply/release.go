package apply

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply/account"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// A release hands an object that Git declares here no more to the GitSync that
// declares it now. It is one write, of the owner label, that fails when somebody
// else wrote first; nothing of the object changes and nothing restarts:
//
//	the object's owner label ....... names the heir from then on
//	of a DaemonSet, its rollout .... follows, as it is: proven, rejected, paused
//	the inventory .................. lists it until that is so
//
// Whoever dies between two of them leaves what the heir's claim, or the next
// pass, finds and ends. Until the heir has declared its version of a DaemonSet,
// the rollout holds.

// Release hands over what a plan releases, as who has it. It returns the input with what the
// cluster has of it then, and what became of each.
func (r *Rollouts) Release(ctx context.Context, as account.Account, in diff.Input) (diff.Input, Results) {
	var out Results
	in.Former = slices.Clone(in.Former)
	for _, c := range diff.Calculate(in).Of(diff.Release) {
		heir := in.Heirs[slices.IndexFunc(in.Heirs, func(h diff.Heir) bool { return h.ID == c.ID })]
		f := &in.Former[slices.IndexFunc(in.Former, func(f diff.Former) bool { return f.ID == c.ID })]
		live, problem := r.release(ctx, as, c, f.Live, in.Owner, heir.Owner)
		if problem != nil {
			out = append(out, resultOf(c, Failed, problem.Reason, problem.Message))
			continue
		}
		f.Live = live
		out = append(out, resultOf(c, Released, c.Reason, c.Message))
	}
	return in, out
}

// release returns the object as it is then; nil when somebody has deleted it.
func (r *Rollouts) release(ctx context.Context, as account.Account, c diff.Change, live *unstructured.Unstructured, owner, heir string) (*unstructured.Unstructured, *diff.Problem) {
	a, err := r.Objects.As(as)
	if err != nil {
		return nil, &diff.Problem{Reason: ReasonUnavailable, Message: err.Error()}
	}
	t, err := a.targetOf(c.ID, c.Version)
	if err != nil {
		return nil, a.problem("find kind", t, err)
	}
	a.logger().Info("release", "object", c.ID.String(), "owner", owner, "to", heir)
	if live, err = a.relabelPatiently(ctx, t, live, owner, heir); err == nil && live != nil && c.GroupKind() == appsv1.SchemeGroupVersion.WithKind("DaemonSet").GroupKind() {
		err = r.handOver(ctx, types.NamespacedName{Namespace: c.Namespace, Name: c.Name}, owner, live.GetLabels()[v1alpha1.LabelOwner])
	}
	if err != nil {
		return nil, a.problem("release", t, err)
	}
	return live, nil
}

// relabelPatiently tries again when another write overtakes it, as long as the
// object is there and the owner's.
func (a *Applier) relabelPatiently(ctx context.Context, t target, live *unstructured.Unstructured, owner, heir string) (*unstructured.Unstructured, error) {
	var overtakenBy error
	for range attempts {
		if live == nil || live.GetLabels()[v1alpha1.LabelOwner] != owner {
			return live, nil
		}
		released, err := a.relabel(ctx, t, live, heir)
		if err == nil {
			return released, nil
		}
		overtakenBy = err
		if !overtaken(err) && !apierrors.IsNotFound(err) {
			return nil, err
		}
		if live, err = a.get(ctx, t); err != nil {
			return nil, err
		}
	}
	return nil, overtakenBy
}

// relabel names another owner on an object, unless somebody wrote it since it was
// read.
func (a *Applier) relabel(ctx context.Context, t target, live *unstructured.Unstructured, owner string) (*unstructured.Unstructured, error) {
	patch, err := ownerPatch(metav1.ObjectMeta{Namespace: live.GetNamespace(), Name: live.GetName(), UID: live.GetUID(), ResourceVersion: live.GetResourceVersion()}, owner)
	if err != nil {
		return nil, err
	}
	return a.client(t).Patch(ctx, live.GetName(), types.MergePatchType, patch, a.patchOptions(false))
}

// handOver has a NodeRollout follow its DaemonSet to another owner, as a claim of
// that one would: what it says is kept even if somebody deletes the DaemonSet
// before the claim.
func (r *Rollouts) handOver(ctx context.Context, key types.NamespacedName, from, to string) error {
	n, err := r.Kinds.NodeRollouts(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil || n.Labels[v1alpha1.LabelOwner] != from || to == "" || to == from {
		return wrap("get noderollout", key, err)
	}
	patch, err := ownerPatch(n.ObjectMeta, to)
	if err != nil {
		return fmt.Errorf("hand over noderollout %s: %w", key, err)
	}
	_, err = r.Kinds.NodeRollouts(key.Namespace).Patch(ctx, key.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: v1alpha1.FieldManager})
	if apierrors.IsConflict(err) {
		return nil // its status was written meanwhile: the heir's claim does it
	}
	return wrap("hand over noderollout", key, err)
}
