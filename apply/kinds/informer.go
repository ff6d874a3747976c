package kinds

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// source lists and watches one kind.
type source[L runtime.Object] interface {
	List(ctx context.Context, o metav1.ListOptions) (L, error)
	Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error)
}

// GitSyncInformer watches the GitSyncs of all namespaces.
func (c *Client) GitSyncInformer() cache.SharedIndexInformer {
	return informer(c.GitSyncs(metav1.NamespaceAll), &v1alpha1.GitSync{})
}

// NodeRolloutInformer watches the NodeRollouts of all namespaces.
func (c *Client) NodeRolloutInformer() cache.SharedIndexInformer {
	return informer(c.NodeRollouts(metav1.NamespaceAll), &v1alpha1.NodeRollout{})
}

// RolloutPolicyInformer watches the RolloutPolicies.
func (c *Client) RolloutPolicyInformer() cache.SharedIndexInformer {
	return informer(c.RolloutPolicies(), &v1alpha1.RolloutPolicy{})
}

func informer[L runtime.Object](s source[L], example runtime.Object) cache.SharedIndexInformer {
	const resync = 10 * time.Minute // a lost event is made up for after that
	return cache.NewSharedIndexInformer(&cache.ListWatch{
		ListWithContextFunc:  func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return s.List(ctx, o) },
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) { return s.Watch(ctx, o) },
	}, example, resync, cache.Indexers{})
}
