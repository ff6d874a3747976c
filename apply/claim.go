package apply

import (
	"context"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// A claim makes a DaemonSet one GitSync's. It is one write, made before anything
// else of a declaration, that fails when somebody else wrote first; so of two
// that want a DaemonSet at once one has it, and the other one has touched
// nothing:
//
//	the DaemonSet exists ..... its owner label, if it has none or an orphan's
//	it does not .............. the NodeRollout, made with the owner label
//
// The NodeRollout's owner label follows the DaemonSet's. Whoever dies between
// the two has claimed the DaemonSet and finds the rest undone.

// claimed is a DaemonSet with its NodeRollout; nil where there is none.
type claimed struct {
	live    *appsv1.DaemonSet
	rollout *v1alpha1.NodeRollout
}

// owner names the GitSync that has the DaemonSet; empty when nobody has. While
// there is no DaemonSet, whoever has the NodeRollout is about to make it.
func (c claimed) owner() string {
	switch {
	case c.live != nil:
		return c.live.Labels[v1alpha1.LabelOwner]
	case c.rollout != nil:
		return c.rollout.Labels[v1alpha1.LabelOwner]
	default:
		return ""
	}
}

// look reads what a claim is about. That another GitSync has it is an error.
func (r *Rollouts) look(ctx context.Context, d Declaration) (claimed, error) {
	var out claimed
	live, err := r.daemonSets(d.As, d.key().Namespace).get(ctx, d.key().Name)
	switch {
	case err == nil:
		out.live = live
	case !apierrors.IsNotFound(err):
		return out, failed("get", d.reference(), err)
	}
	n, err := r.Kinds.NodeRollouts(d.key().Namespace).Get(ctx, d.key().Name, metav1.GetOptions{})
	switch {
	case err == nil:
		out.rollout = n
	case !apierrors.IsNotFound(err):
		return out, fmt.Errorf("get noderollout %s: %w", d.key(), err)
	}
	owner := out.owner()
	if owner == "" || owner == d.Owner {
		return out, nil
	}
	orphan, err := r.Objects.orphan(ctx, owner, diff.ID{Namespace: d.key().Namespace, Name: d.key().Name, Group: appsv1.GroupName, Kind: "DaemonSet"})
	if err != nil {
		return out, &Error{Reason: ReasonUnavailable, Object: d.reference(), Message: err.Error(), Err: err}
	}
	if !orphan {
		return out, ownedByAnother(d, owner)
	}
	return out, nil
}

// claim makes the DaemonSet and its NodeRollout the declaration's.
func (r *Rollouts) claim(ctx context.Context, d Declaration, c claimed) (claimed, error) {
	if c.live != nil && c.owner() != d.Owner {
		patch, err := ownerPatch(c.live.ObjectMeta, d.Owner)
		if err != nil {
			return c, err
		}
		r.Logger.Info("claim", "daemonset", d.key().String(), "owner", d.Owner, "before", c.owner())
		live, err := r.daemonSets(d.As, d.key().Namespace).patch(ctx, d.key().Name, types.MergePatchType, patch, metav1.PatchOptions{})
		if err != nil {
			return c, failed("claim", d.reference(), err)
		}
		c.live = live
	}
	n, err := r.claimRollout(ctx, d, c.rollout)
	c.rollout = n
	return c, err
}

// claimRollout makes the NodeRollout, or the declaration's if it was another
// owner's. It stays the same one: what is proven, rejected or paused remains so
// when a DaemonSet is handed over, and an open pulse has somebody to close it.
func (r *Rollouts) claimRollout(ctx context.Context, d Declaration, n *v1alpha1.NodeRollout) (*v1alpha1.NodeRollout, error) {
	client := r.Kinds.NodeRollouts(d.key().Namespace)
	if n == nil {
		n, err := client.Create(ctx, &v1alpha1.NodeRollout{ObjectMeta: metav1.ObjectMeta{
			Namespace: d.key().Namespace, Name: d.key().Name, Labels: labelled(nil, d.Owner),
		}}, metav1.CreateOptions{FieldManager: v1alpha1.FieldManager})
		return n, wrap("create noderollout", d.key(), err)
	}
	if n.Labels[v1alpha1.LabelOwner] == d.Owner {
		return n, nil
	}
	patch, err := ownerPatch(n.ObjectMeta, d.Owner)
	if err != nil {
		return nil, err
	}
	n, err = client.Patch(ctx, n.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: v1alpha1.FieldManager})
	return n, wrap("claim noderollout", d.key(), err)
}

// ownerPatch sets the owner label of an object, unless somebody wrote the object
// since it was read.
func ownerPatch(o metav1.ObjectMeta, owner string) ([]byte, error) {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": o.UID, "resourceVersion": o.ResourceVersion, "labels": labelled(nil, owner),
	}})
	if err != nil {
		return nil, fmt.Errorf("encode owner of %s/%s: %w", o.Namespace, o.Name, err)
	}
	return patch, nil
}

// wrap says what an error is about; nil stays nil.
func wrap(verb string, key types.NamespacedName, err error) error {
	if err != nil {
		return fmt.Errorf("%s %s: %w", verb, key, err)
	}
	return nil
}

// lostRace reports whether a write failed because somebody else wrote, made or
// deleted the same first: what is there now says what to do.
func lostRace(err error) bool {
	return overtaken(err) || apierrors.IsAlreadyExists(err)
}
