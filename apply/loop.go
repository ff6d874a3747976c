package apply

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
)

// Loop calls Reconcile for keys, one call a key at a time, again and again with
// backoff while it fails.
type Loop struct {
	// Name is what logs call the keys, such as "daemonset".
	Name string
	// Reconcile returns after how long to call again without an event; 0 for
	// never.
	Reconcile func(ctx context.Context, key types.NamespacedName) (time.Duration, error)
	// Workers is how many keys are reconciled at once; at least 1.
	Workers int
	// Settle is how long events of one key are gathered before a call.
	Settle time.Duration
	Logger *slog.Logger

	queue workqueue.TypedRateLimitingInterface[types.NamespacedName]
}

// Init prepares the queue; Enqueue may be called after it.
func (l *Loop) Init() {
	l.queue = workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[types.NamespacedName](100*time.Millisecond, time.Minute))
}

// Enqueue asks for a call for the key soon.
func (l *Loop) Enqueue(key types.NamespacedName) {
	l.queue.AddAfter(key, l.Settle)
}

// Run works until ctx is done, and returns when the calls under way have ended.
func (l *Loop) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, l.queue.ShutDown)
	defer stop()
	var workers sync.WaitGroup
	for range max(l.Workers, 1) {
		workers.Go(func() {
			for l.next(ctx) {
			}
		})
	}
	workers.Wait()
	return nil
}

func (l *Loop) next(ctx context.Context) bool {
	key, down := l.queue.Get()
	if down {
		return false
	}
	defer l.queue.Done(key)
	again, err := l.call(ctx, key)
	switch {
	case ctx.Err() != nil:
	case apierrors.IsConflict(err):
		// Somebody wrote meanwhile: look again at what is there now.
		l.Logger.Debug("conflict", l.Name, key.String(), "error", err)
		l.queue.AddRateLimited(key)
	case err != nil:
		l.Logger.Error("reconcile", l.Name, key.String(), "error", err)
		l.queue.AddRateLimited(key)
	default:
		l.queue.Forget(key)
		if again > 0 {
			l.queue.AddAfter(key, again)
		}
	}
	return true
}

// call turns a panic into an error: one bad object must not take the others
// down.
func (l *Loop) call(ctx context.Context, key types.NamespacedName) (again time.Duration, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic on %s %s: %v", l.Name, key, p)
		}
	}()
	return l.Reconcile(ctx, key)
}
