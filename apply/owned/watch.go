// Package owned watches the objects that rollcall applied, by their metadata alone, so that an edit is seen at once and
// an object that nobody touched need not be asked about.
package owned

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"

	"github.com/rollcall-dev/rollcall/apply/account"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// Place is where objects of one kind are, as an account sees them: nobody learns by
// the rights of another one.
type Place struct {
	// As is who watches.
	As       account.Account
	Resource schema.GroupVersionResource
	// Namespace is empty for kinds that belong to none.
	Namespace string
}

// Watch follows the objects in some places that carry the label v1alpha1.LabelOwner. It may be used by many at once.
type Watch struct {
	// Client is this process's own, and As that of another account; nil if nobody
	// watches as one.
	Client metadata.Interface
	As     func(account.Account) (metadata.Interface, error)
	// Changed is called with the value of the owner label when an object that has it, or had it, changes, appears or goes,
	// but not when only its status does.
	Changed func(owner string)
	Logger  *slog.Logger

	mu sync.Mutex
	// running is done when the Watch is to end; nil until Run.
	running context.Context //nolint:containedctx // informers come and go during Run, and end with it
	places  map[Place]*place
	follows map[string][]Place
	ended   sync.WaitGroup
}

// Run watches until ctx is done. Places may be followed before it.
func (w *Watch) Run(ctx context.Context) error {
	w.mu.Lock()
	w.running = ctx
	for _, p := range w.places {
		w.start(p)
	}
	w.mu.Unlock()
	<-ctx.Done()
	w.ended.Wait()
	return nil
}

// Follow says which places somebody needs from now on, in place of those that it needed before. Places that nobody needs
// are not watched.
func (w *Watch) Follow(follower string, places []Place) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.places == nil {
		w.places, w.follows = map[Place]*place{}, map[string][]Place{}
	}
	w.follows[follower] = places
	if len(places) == 0 {
		delete(w.follows, follower)
	}
	for _, p := range places {
		if w.places[p] != nil {
			continue
		}
		made, err := w.newPlace(p)
		if err != nil { // it stays unknown
			w.Logger.Warn("cannot watch: edits are seen at the next poll", "resource", p.Resource.GroupResource().String(), "namespace", p.Namespace, "account", p.As.String(), "error", err)
			continue
		}
		w.places[p] = made
		w.start(made)
	}
	for p, watched := range w.places {
		if !w.needed(p) {
			watched.stop()
			delete(w.places, p)
		}
	}
}

func (w *Watch) needed(p Place) bool {
	for _, places := range w.follows {
		if slices.Contains(places, p) {
			return true
		}
	}
	return false
}

func (w *Watch) start(p *place) {
	if w.running == nil || w.running.Err() != nil {
		return
	}
	ctx, stop := context.WithCancel(w.running)
	p.stop = stop
	w.ended.Go(func() { p.informer.RunWithContext(ctx) })
}

// Sight is what is known of one object.
type Sight struct {
	// Meta is its name, namespace, UID and labels; nil when there is no such object with an owner label.
	Meta  metav1.Object
	Print Print
}

// See returns what is known of an object, and whether anything is: not before its place was listed, and not while it
// cannot be watched.
func (w *Watch) See(p Place, name string) (Sight, bool) {
	w.mu.Lock()
	watched := w.places[p]
	w.mu.Unlock()
	if watched == nil || !watched.live() {
		return Sight{}, false
	}
	key := name
	if p.Namespace != "" {
		key = p.Namespace + "/" + name
	}
	o, found, err := watched.informer.GetStore().GetByKey(key)
	if err != nil || !found {
		return Sight{}, err == nil
	}
	object := o.(*metav1.PartialObjectMetadata)
	return Sight{Meta: object, Print: printed(object)}, true
}

// changed calls Changed for whoever owns the object, before and now.
func (w *Watch) changed(objects ...*metav1.PartialObjectMetadata) {
	var owners []string
	for _, o := range objects {
		if owner := o.Labels[v1alpha1.LabelOwner]; owner != "" && !slices.Contains(owners, owner) {
			owners = append(owners, owner)
		}
	}
	for _, owner := range owners {
		w.Changed(owner)
	}
}

func (w *Watch) handler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) {
			if object, ok := o.(*metav1.PartialObjectMetadata); ok {
				w.changed(object)
			}
		},
		UpdateFunc: func(before, after any) {
			a, b := before.(*metav1.PartialObjectMetadata), after.(*metav1.PartialObjectMetadata)
			if printed(a) != printed(b) {
				w.changed(a, b)
			}
		},
		DeleteFunc: func(o any) {
			if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = gone.Obj
			}
			if object, ok := o.(*metav1.PartialObjectMetadata); ok {
				w.changed(object)
			}
		},
	}
}
