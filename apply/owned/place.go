package owned

import (
	"context"
	"fmt"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"

	"github.com/rollcall-dev/rollcall/apply/account"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// place is one watched Place.
type place struct {
	informer cache.SharedIndexInformer
	stop     context.CancelFunc
	// open is whether the last list or watch that was asked for was granted.
	open atomic.Bool
}

// live is whether the place is known, and not only as it once was.
func (p *place) live() bool {
	return p.informer.HasSynced() && p.open.Load()
}

func (w *Watch) newPlace(at Place) (*place, error) {
	watcher, err := w.client(at.As)
	if err != nil {
		return nil, err
	}
	p := &place{stop: func() {}}
	var client metadata.ResourceInterface = watcher.Resource(at.Resource)
	if at.Namespace != "" {
		client = watcher.Resource(at.Resource).Namespace(at.Namespace)
	}
	source := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = v1alpha1.LabelOwner
			list, err := client.List(ctx, o)
			p.open.Store(err == nil)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = v1alpha1.LabelOwner
			events, err := client.Watch(ctx, o)
			p.open.Store(err == nil)
			return events, err
		},
	}
	p.informer = cache.NewSharedIndexInformer(cache.ToListWatcherWithWatchListSemantics(source, watcher), &metav1.PartialObjectMetadata{}, 0, cache.Indexers{})
	told := false
	// Neither fails for an informer that does not run yet.
	_ = p.informer.SetTransform(trim(at.Resource.Group))
	_ = p.informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, r *cache.Reflector, err error) {
		if p.open.Load() || told {
			return // a watch that ended in due time, or that is known to fail
		}
		told = true
		w.Logger.Warn("cannot watch: edits are seen at the next poll", "resource", at.Resource.GroupResource().String(), "namespace", at.Namespace, "account", at.As.String(), "error", err)
	})
	_, _ = p.informer.AddEventHandler(w.handler())
	return p, nil
}

// client is the client of who watches.
func (w *Watch) client(as account.Account) (metadata.Interface, error) {
	switch {
	case as.Own():
		return w.Client, nil
	case w.As == nil:
		return nil, fmt.Errorf("watch as ServiceAccount %s: there are no clients of others", as)
	default:
		return w.As(as)
	}
}

// annotationPrint keeps the print of a trimmed object, which is known by a generation that no other has.
const (
	annotationPrint = "print"
	trimmed         = -1
)

// trim keeps what a Sight tells of an object.
func trim(group string) cache.TransformFunc {
	return func(o any) (any, error) {
		object, ok := o.(*metav1.PartialObjectMetadata)
		if !ok || object.Generation == trimmed {
			return o, nil
		}
		return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
			Generation: trimmed,
			Name:       object.Name, Namespace: object.Namespace, UID: object.UID, ResourceVersion: object.ResourceVersion,
			Labels:      object.Labels,
			Annotations: map[string]string{annotationPrint: string(PrintOf(group, object))},
		}}, nil
	}
}

func printed(o *metav1.PartialObjectMetadata) Print {
	return Print(o.Annotations[annotationPrint])
}
