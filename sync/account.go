package sync

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/cache"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/apply/account"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// Whose rights count for what Git declares:
//
//	spec.serviceAccountName ....... that ServiceAccount's, in the GitSync's namespace
//	else DefaultServiceAccount .... the one of that name there
//	else .......................... rollcall's own

// accountOf is as whom the objects of a GitSync are read and written.
func (c *Controller) accountOf(gs *v1alpha1.GitSync) account.Account {
	return inNamespace(gs.Namespace, cmp.Or(gs.Spec.ServiceAccountName, c.DefaultServiceAccount))
}

func inNamespace(namespace, name string) account.Account {
	if name == "" {
		return account.Account{}
	}
	return account.Account{Namespace: namespace, Name: name}
}

// as is the applier of a GitSync.
func (c *Controller) as(gs *v1alpha1.GitSync) (*apply.Applier, error) {
	out, err := c.Objects.As(c.accountOf(gs))
	if err != nil {
		return nil, err
	}
	return out.Adopting(gs.Spec.AdoptFrom), nil
}

// AccountOf is as whom the GitSync that an owner label names writes, for
// apply.Rollouts. Of one that is gone it is the account that was recorded, in the
// namespace that the label names: a record that somebody has changed reaches no
// account of another namespace. In the first moments of a process it waits until it
// is known which GitSyncs there are.
func (c *Controller) AccountOf(ctx context.Context, owner string, recorded func() (string, error)) (account.Account, error) {
	syncs, err := c.awaitSyncs(ctx)
	if err != nil {
		return account.Account{}, err
	}
	if gs := ownerIn(syncs, owner); gs != nil {
		return c.accountOf(gs), nil
	}
	name, err := recorded()
	if name = cmp.Or(name, c.DefaultServiceAccount); err != nil || name == "" {
		return account.Account{}, err
	}
	namespace, _, whole := strings.Cut(owner, ".") // no namespace has a dot
	if !whole {
		return account.Account{}, fmt.Errorf("GitSync %s is gone, and its namespace does not fit into its label: make it again", owner)
	}
	return inNamespace(namespace, name), nil
}

func (c *Controller) awaitSyncs(ctx context.Context) (out cache.Store, err error) {
	err = wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(context.Context) (bool, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		out = c.syncs
		return out != nil && c.listed(), nil
	})
	if err != nil {
		return nil, fmt.Errorf("list gitsyncs, to know as whom to act: %w", err)
	}
	return out, nil
}

// checkAccount says when the account of a GitSync does not exist: its name would keep
// all rights that are bound to it. Nothing is watched as that either then.
func (c *Controller) checkAccount(ctx context.Context, gs *v1alpha1.GitSync) error {
	as, m := c.accountOf(gs), c.remember(gs)
	if m.as != as {
		m.as = as
		c.keepAccounts(types.NamespacedName{})
	}
	if as.Own() {
		return nil
	}
	_, err := c.Kube.CoreV1().ServiceAccounts(as.Namespace).Get(ctx, as.Name, metav1.GetOptions{})
	switch {
	case err == nil:
		return nil
	case apierrors.IsNotFound(err):
		c.Objects.Forget(name(gs))
		from := "spec.serviceAccountName"
		if gs.Spec.ServiceAccountName == "" {
			from = "the controller's --default-service-account"
		}
		return &Failure{Reason: ReasonServiceAccountNotFound, Message: fmt.Sprintf("ServiceAccount %s, as which %s has this GitSync's objects read and written, does not exist, so nothing of them is: create it (kubectl create serviceaccount %s -n %s) and bind it to what it may do, or correct %s", as, from, as.Name, as.Namespace, from), Err: err}
	default:
		return fmt.Errorf("get serviceaccount %s: %w", as, err)
	}
}

// keepAccounts forgets the clients of accounts that no GitSync has any more, but for
// the one that is gone.
func (c *Controller) keepAccounts(gone types.NamespacedName) {
	var used []account.Account
	for _, o := range c.syncs.List() {
		if gs := o.(*v1alpha1.GitSync); name(gs) != gone {
			used = append(used, c.accountOf(gs))
		}
	}
	c.Objects.Accounts.Keep(used)
}
