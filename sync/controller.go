package sync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	gosync "sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/apply/kinds"
	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/reader"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// Controller runs a pass for every GitSync: on its interval, when it changes,
// and when one of its rollouts gets somewhere.
type Controller struct {
	Kube     kubernetes.Interface
	Kinds    *kinds.Client
	Git      *git.Client
	Reader   *reader.Reader
	Objects  *apply.Applier
	Rollouts *apply.Rollouts
	Events   record.EventRecorder
	Metrics  *Metrics
	Logger   *slog.Logger
	// DefaultServiceAccount names the ServiceAccount, in its own namespace, of a
	// GitSync that names none; empty for this process's own identity.
	DefaultServiceAccount string

	mu gosync.Mutex
	// memory is what this process knows of each GitSync beside the cluster; a
	// new process polls and renders again.
	memory map[types.NamespacedName]*memory
	// syncs are the GitSyncs as they are known here, and listed is whether all of them
	// are.
	syncs  cache.Store
	listed func() bool
	// rollouts are the NodeRollouts as they are known here.
	rollouts cache.Store
	// others is what the GitSyncs declare, for each other.
	others others
	loop   *apply.Loop
	desk   desk
}

// fleetPatience is how long the first passes wait for the fleet to be listed. A
// pass knows what it lacks then: without it, it neither calls a commit proven nor
// prunes, and says so.
const fleetPatience = 10 * time.Second

// Run watches GitSyncs and NodeRollouts until ctx is done.
func (c *Controller) Run(ctx context.Context) error {
	syncs, rollouts := c.Kinds.GitSyncInformer(), c.Kinds.NodeRolloutInformer()
	c.mu.Lock()
	c.syncs, c.listed, c.rollouts = syncs.GetStore(), syncs.HasSynced, rollouts.GetStore()
	c.mu.Unlock()
	loop := &apply.Loop{Name: "gitsync", Reconcile: c.Reconcile, Workers: passesWaiting, Settle: 50 * time.Millisecond, Logger: c.Logger}
	loop.Init()
	c.loop, c.desk = loop, make(desk, passesAtOnce)
	touched := c.ofOwner(c.lookSoon)
	c.Objects.Owned.Changed = touched
	if err := errors.Join(c.onGitSync(syncs, loop), onRollout(rollouts, c.ofOwner(c.passSoon)), c.Rollouts.Fleet.NotifyAround(touched)); err != nil {
		return fmt.Errorf("watch for gitsyncs: %w", err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { syncs.RunWithContext(ctx); return nil })
	g.Go(func() error { return c.Objects.Owned.Run(ctx) })
	g.Go(func() error { rollouts.RunWithContext(ctx); return nil })
	g.Go(func() error {
		if !cache.WaitForCacheSync(ctx.Done(), syncs.HasSynced, rollouts.HasSynced) {
			return nil // ctx is done
		}
		c.awaitFleet(ctx)
		if err := c.leave(ctx); err != nil {
			c.Logger.Error("leave DaemonSets of GitSyncs that are gone", "error", err)
		}
		return loop.Run(ctx)
	})
	return g.Wait()
}

func (c *Controller) awaitFleet(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, fleetPatience)
	defer cancel()
	c.Rollouts.Fleet.WaitForSync(ctx)
}

// onGitSync runs a pass when what is asked for changes, not when a pass wrote
// its own status; that is for those who depend on it.
func (c *Controller) onGitSync(i cache.SharedIndexInformer, loop *apply.Loop) error {
	_, err := i.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) {
			gs := o.(*v1alpha1.GitSync)
			loop.Enqueue(name(gs))
			c.passSoon(c.dependents(gs)...)
		},
		DeleteFunc: func(o any) {
			if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = gone.Obj
			}
			if gs, ok := o.(*v1alpha1.GitSync); ok {
				c.sayOrphaned(gs)
				loop.Enqueue(name(gs))
				c.passSoon(c.dependents(gs)...)
			}
		},
		UpdateFunc: func(old, new any) {
			before, after := old.(*v1alpha1.GitSync), new.(*v1alpha1.GitSync)
			if before.Generation != after.Generation || before.Annotations[v1alpha1.AnnotationReconcileAt] != after.Annotations[v1alpha1.AnnotationReconcileAt] {
				loop.Enqueue(name(after))
			}
			if letsOf(before) != letsOf(after) {
				c.passSoon(c.dependents(after)...)
			}
		},
	})
	return err
}

// ofOwner calls do with the GitSync that an owner label names.
func (c *Controller) ofOwner(do func(...types.NamespacedName)) func(owner string) {
	return func(owner string) {
		if gs := ownerIn(c.syncs, owner); gs != nil {
			do(name(gs))
		}
	}
}

// ownerIn is the GitSync that an owner label names; nil when there is none.
func ownerIn(syncs cache.Store, owner string) *v1alpha1.GitSync {
	for _, o := range syncs.List() {
		if gs := o.(*v1alpha1.GitSync); apply.Owner(name(gs)) == owner {
			return gs
		}
	}
	return nil
}

// lookSoon asks for passes that look whether something has changed, and passSoon for
// whole ones.
func (c *Controller) lookSoon(keys ...types.NamespacedName) {
	for _, key := range keys {
		c.loop.Enqueue(key)
	}
}

func (c *Controller) passSoon(keys ...types.NamespacedName) {
	c.stir(keys)
	c.lookSoon(keys...)
}

func (c *Controller) stir(keys []types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range keys {
		if m := c.memory[key]; m != nil {
			m.stirred.Store(true)
		}
	}
}

// onRollout calls changed for the owner of a rollout that appears, of which a
// GitSync says something else now, or that ends: the status speaks of it, and what
// was kept for it may be pruned.
func onRollout(rollouts cache.SharedIndexInformer, changed func(owner string)) error {
	owned := func(o any) {
		if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
			o = gone.Obj
		}
		if n, ok := o.(*v1alpha1.NodeRollout); ok {
			changed(n.Labels[v1alpha1.LabelOwner])
		}
	}
	_, err := rollouts.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: owned,
		UpdateFunc: func(old, new any) {
			before, after := old.(*v1alpha1.NodeRollout), new.(*v1alpha1.NodeRollout)
			another := before.Labels[v1alpha1.LabelOwner] != after.Labels[v1alpha1.LabelOwner]
			if another {
				owned(before) // which nothing of it would reach any more if somebody else took the label
			}
			if another || moved(before.Status, after.Status) {
				owned(after)
			}
		},
		DeleteFunc: owned,
	})
	return err
}

// moved is whether a GitSync says something else of a rollout now. While it is on
// its way, its counts change with every node, and no GitSync speaks of them.
func moved(before, after v1alpha1.NodeRolloutStatus) bool {
	if before.Phase != after.Phase || before.Reason != after.Reason || provenDigest(before) != provenDigest(after) {
		return true
	}
	return after.Phase == v1alpha1.PhaseProven && !equality.Semantic.DeepEqual(before.Nodes, after.Nodes)
}

// Reconcile runs one pass and writes the status, unless there is nothing to do.
// It returns when the next poll is due.
func (c *Controller) Reconcile(ctx context.Context, key types.NamespacedName) (time.Duration, error) {
	c.desk.enter()
	defer c.desk.leave()
	if next, rests := c.rests(ctx, key); rests {
		return next, nil
	}
	gs := c.known(key)
	if gs == nil {
		c.forget(key)
		return 0, c.leave(ctx)
	}
	if gs.DeletionTimestamp != nil {
		return c.retire(ctx, gs)
	}
	o := c.pass(ctx, gs)
	if ctx.Err() != nil {
		return 0, nil // stopping: what was not finished is no failure
	}
	if c.remember(gs).lostRace(o.failure != nil && overtaken(o.failure)) {
		return rerun, nil
	}
	c.announce(gs, o)
	if err := c.writeStatus(ctx, gs, o); err != nil {
		return 0, err
	}
	m := c.remember(gs)
	m.rested(o)
	m.left.wake = m.fights.next(time.Now())
	return c.nextPass(gs, o), nil
}

// rerun is when a pass is made again that another write overtook: a rollout wrote
// the same DaemonSet. That is no conflict of intent, so no status says it unless
// it goes on.
const rerun = 200 * time.Millisecond

// nextPass is after how long to make a pass without an event; never while the
// GitSync is suspended.
func (c *Controller) nextPass(gs *v1alpha1.GitSync, o *outcome) time.Duration {
	if gs.Spec.Suspend {
		return 0
	}
	m := c.remember(gs)
	return m.left.earlier(m.ended(o.failure != nil, time.Now()), time.Now())
}

func (c *Controller) announce(gs *v1alpha1.GitSync, o *outcome) {
	c.Metrics.passed(gs, o)
	if o.withheld != nil { // otherwise this pass did not look at the objects
		c.Metrics.conflicted(gs, c.remember(gs).beganConflicts(o.conflicts()))
	}
	now := o.condition()
	if o.saidBefore(now) {
		return
	}
	c.Logger.Info("gitsync", "gitsync", gs.Namespace+"/"+gs.Name, "ready", now.Ready, "reason", now.Reason, "message", now.Message)
	kind := "Normal"
	if o.failure != nil || now.Extra == "Stalled" || now.Reason == ReasonFought {
		kind = "Warning"
	}
	c.Events.Event(gs, kind, now.Reason, now.Message)
}

// forget drops what was known of a GitSync that is gone, and its clone unless
// another one follows the same.
func (c *Controller) forget(key types.NamespacedName) {
	c.Objects.Forget(key)
	c.keepAccounts(key)
	c.Metrics.forget(key)
	c.Reader.Forget(key.String())
	c.passSoon(c.others.forget(key)...)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.memory, key)
	followed := make([]git.Source, 0, len(c.memory))
	for _, m := range c.memory {
		followed = append(followed, m.source)
	}
	if err := c.Git.Prune(followed); err != nil {
		c.Logger.Error("remove clones that nobody follows", "error", err)
	}
}

// follow notes, before anything is fetched, whose clone is needed.
func (c *Controller) follow(m *memory, source git.Source) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m.source = source
}

// remember returns what this process knows of the GitSync. One pass at a time
// runs for each, so its owner needs no lock.
func (c *Controller) remember(gs *v1alpha1.GitSync) *memory {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := types.NamespacedName{Namespace: gs.Namespace, Name: gs.Name}
	if c.memory == nil {
		c.memory = map[types.NamespacedName]*memory{}
	}
	if c.memory[key] == nil {
		c.memory[key] = &memory{}
	}
	return c.memory[key]
}
