package apply

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	typedappsv1 "k8s.io/client-go/kubernetes/typed/apps/v1"

	"github.com/rollcall-dev/rollcall/apply/account"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// As whom a DaemonSet is reached:
//
//	a pass declares it, reads it, makes it again ... the GitSync's account
//	its rollout writes a template, a strategy ...... the account of the GitSync that its owner label names
//	its rollout reads it ........................... the same, or where that may not, this process itself
//	its pods, nodes and revisions, what is recorded
//	of it, and what no GitSync declares ............ this process itself
//
// A rollout reads on when its GitSync's account has lost every right, so that nodes can go back: that takes the
// deletion of pods and no write of the DaemonSet.

// apps reaches workloads as an account.
func (r *Rollouts) apps(as account.Account) (typedappsv1.AppsV1Interface, error) {
	if as.Own() {
		return r.Kube.AppsV1(), nil
	}
	if r.Objects == nil || r.Objects.Accounts == nil {
		return nil, fmt.Errorf("act as %s: there is no client for that", as)
	}
	client, err := r.Objects.Accounts.As(as)
	if err != nil {
		return nil, err
	}
	return client.Apps, nil
}

// daemonSets are the DaemonSets of a namespace, as an account reaches them.
type daemonSets struct {
	rollouts  *Rollouts
	as        account.Account
	namespace string
}

func (r *Rollouts) daemonSets(as account.Account, namespace string) daemonSets {
	return daemonSets{r, as, namespace}
}

func (d daemonSets) get(ctx context.Context, name string) (*appsv1.DaemonSet, error) {
	apps, err := d.rollouts.apps(d.as)
	if err != nil {
		return nil, err
	}
	return apps.DaemonSets(d.namespace).Get(ctx, name, metav1.GetOptions{})
}

func (d daemonSets) create(ctx context.Context, ds *appsv1.DaemonSet, o metav1.CreateOptions) (*appsv1.DaemonSet, error) {
	apps, err := d.rollouts.apps(d.as)
	if err != nil {
		return nil, err
	}
	o.FieldManager = v1alpha1.FieldManager
	return apps.DaemonSets(d.namespace).Create(ctx, ds, o)
}

func (d daemonSets) patch(ctx context.Context, name string, kind types.PatchType, patch []byte, o metav1.PatchOptions) (*appsv1.DaemonSet, error) {
	apps, err := d.rollouts.apps(d.as)
	if err != nil {
		return nil, err
	}
	o.FieldManager = v1alpha1.FieldManager
	return apps.DaemonSets(d.namespace).Patch(ctx, name, kind, patch, o)
}

func (d daemonSets) delete(ctx context.Context, name string, o metav1.DeleteOptions) error {
	apps, err := d.rollouts.apps(d.as)
	if err != nil {
		return err
	}
	return apps.DaemonSets(d.namespace).Delete(ctx, name, o)
}

// Exists is whether there is such a DaemonSet, as the account is told.
func (r *Rollouts) Exists(ctx context.Context, as account.Account, key types.NamespacedName) (bool, error) {
	_, err := r.daemonSets(as, key.Namespace).get(ctx, key.Name)
	switch {
	case err == nil:
		return true, nil
	case apierrors.IsNotFound(err):
		return false, nil
	default:
		return false, failed("get", "DaemonSet "+key.String(), err)
	}
}

// live reads the DaemonSet of a NodeRollout, for its rollout, whatever has become of the account.
func (r *Rollouts) live(ctx context.Context, n *v1alpha1.NodeRollout) (*appsv1.DaemonSet, error) {
	key := types.NamespacedName{Namespace: n.Namespace, Name: n.Name}
	as, err := r.accountOf(ctx, key, n.Labels[v1alpha1.LabelOwner])
	if err == nil && !as.Own() {
		ds, err := r.daemonSets(as, key.Namespace).get(ctx, key.Name)
		if !apierrors.IsForbidden(err) {
			return ds, err
		}
	}
	return r.daemonSets(account.Account{}, key.Namespace).get(ctx, key.Name)
}

// patchOwned patches a DaemonSet as its GitSync would, also when somebody has taken the owner label off it.
func (r *Rollouts) patchOwned(ctx context.Context, live *appsv1.DaemonSet, patch []byte) (*appsv1.DaemonSet, error) {
	as, err := r.writerOf(ctx, live)
	if err != nil {
		return nil, err
	}
	return r.daemonSets(as, live.Namespace).patch(ctx, live.Name, types.JSONPatchType, patch, metav1.PatchOptions{})
}

// writerOf is as whom a DaemonSet is written.
func (r *Rollouts) writerOf(ctx context.Context, live *appsv1.DaemonSet) (account.Account, error) {
	key, owner := types.NamespacedName{Namespace: live.Namespace, Name: live.Name}, live.Labels[v1alpha1.LabelOwner]
	if owner == "" && r.AccountOf != nil {
		n, err := r.Kinds.NodeRollouts(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return account.Account{}, wrap("get noderollout", key, err)
		}
		if err == nil {
			owner = n.Labels[v1alpha1.LabelOwner]
		}
	}
	return r.accountOf(ctx, key, owner)
}

// accountOf is as whom an owner reaches its DaemonSet. Of a GitSync that is gone, it is recorded beside the DaemonSet.
func (r *Rollouts) accountOf(ctx context.Context, key types.NamespacedName, owner string) (account.Account, error) {
	if r.AccountOf == nil || owner == "" {
		return account.Account{}, nil
	}
	return r.AccountOf(ctx, owner, func() (string, error) {
		want, err := (store{r.Kube, key}).declared(ctx)
		if err != nil || want == nil {
			return "", err
		}
		return want.As, nil
	})
}
