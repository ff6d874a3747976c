package apply

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// Init prepares the queue; Declare may be called after it.
func (r *Rollouts) Init() {
	r.loop = &Loop{Name: "daemonset", Reconcile: r.Reconcile, Workers: 2, Settle: 20 * time.Millisecond, Logger: r.Logger}
	r.loop.Init()
}

// Run watches the fleet and reconciles every NodeRollout until ctx is done.
func (r *Rollouts) Run(ctx context.Context) error {
	rollouts, policies, loop := r.Kinds.NodeRolloutInformer(), r.Kinds.RolloutPolicyInformer(), r.loop
	all := func() {
		for _, key := range rollouts.GetStore().ListKeys() {
			if ns, name, err := cache.SplitMetaNamespaceKey(key); err == nil {
				loop.Enqueue(types.NamespacedName{Namespace: ns, Name: name})
			}
		}
	}
	err := errors.Join(
		r.Fleet.Notify(func(namespace, name string, gated bool) {
			if name == "" {
				all()
				return
			}
			if _, known, err := rollouts.GetStore().GetByKey(namespace + "/" + name); err == nil && (known || gated) {
				loop.Enqueue(types.NamespacedName{Namespace: namespace, Name: name})
			}
		}),
		onRollout(rollouts, loop),
		onAny(policies, all),
	)
	if err != nil {
		return fmt.Errorf("watch for rollouts: %w", err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.Fleet.Run(ctx) })
	g.Go(func() error { rollouts.RunWithContext(ctx); return nil })
	g.Go(func() error { policies.RunWithContext(ctx); return nil })
	g.Go(func() error {
		if !r.Fleet.WaitForSync(ctx) || !cache.WaitForCacheSync(ctx.Done(), rollouts.HasSynced) {
			return nil // ctx is done
		}
		if !r.prime(ctx) {
			return nil
		}
		all()
		return loop.Run(ctx)
	})
	return g.Wait()
}

// onRollout reconciles when a person or a pass changed a NodeRollout; the
// rollout's own status writes ask for nothing.
func onRollout(i cache.SharedIndexInformer, loop *Loop) error {
	enqueue := func(o any) {
		if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(o); err == nil {
			ns, name, _ := cache.SplitMetaNamespaceKey(key)
			loop.Enqueue(types.NamespacedName{Namespace: ns, Name: name})
		}
	}
	_, err := i.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    enqueue,
		DeleteFunc: enqueue,
		UpdateFunc: func(old, new any) {
			before, after := old.(*v1alpha1.NodeRollout), new.(*v1alpha1.NodeRollout)
			if before.Generation != after.Generation || before.Status.Phase == "" || before.ResourceVersion == after.ResourceVersion {
				enqueue(new)
			}
		},
	})
	return err
}

func onAny(i cache.SharedIndexInformer, f func()) error {
	_, err := i.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { f() }, DeleteFunc: func(any) { f() }, UpdateFunc: func(_, _ any) { f() },
	})
	return err
}
