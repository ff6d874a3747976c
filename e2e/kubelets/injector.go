package kubelets

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/rollcall-dev/rollcall/e2e/fleet"
)

const (
	// quiet is the shortest time between two looks at the whole cluster, which a burst of events would otherwise ask for.
	quiet = 100 * time.Millisecond
	// retry is the time until the next look after a mark that failed.
	retry = time.Second
)

// injector carries faults from a pod to its node or its neighbour. It keeps no state: all of it is in annotations.
type injector struct {
	client kubernetes.Interface
	log    *slog.Logger
}

// run decides and marks after each change of a node or pod, until ctx ends.
func (i *injector) run(ctx context.Context) error { //nolint:gocyclo // one loop, seen whole
	factory := informers.NewSharedInformerFactory(i.client, 0)
	nodes, pods := factory.Core().V1().Nodes(), factory.Core().V1().Pods()
	changed := make(chan struct{}, 1)
	notify := func() {
		select {
		case changed <- struct{}{}:
		default: // A look that sees this change as well is due already.
		}
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { notify() },
		UpdateFunc: func(any, any) { notify() },
		DeleteFunc: func(any) { notify() },
	}
	for _, informer := range []cache.SharedIndexInformer{nodes.Informer(), pods.Informer()} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return fmt.Errorf("watch for faults: %w", err)
		}
	}
	factory.StartWithContext(ctx)
	factory.WaitForCacheSync(ctx.Done())

	var alarm <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-alarm:
		}
		again, err := i.look(ctx, nodes.Lister(), pods.Lister())
		if err != nil {
			return err
		}
		alarm = nil
		if again > 0 {
			alarm = time.After(again)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(quiet):
		}
	}
}

// look marks what has to be marked now and returns the time until the next look, zero if only a change calls for one.
func (i *injector) look(ctx context.Context, nodes listers.NodeLister, pods listers.PodLister) (time.Duration, error) {
	allNodes, err := nodes.List(labels.Everything())
	if err != nil {
		return 0, fmt.Errorf("list nodes: %w", err)
	}
	allPods, err := pods.List(labels.Everything())
	if err != nil {
		return 0, fmt.Errorf("list pods: %w", err)
	}
	marks, again := decide(allNodes, allPods, time.Now())
	for _, m := range marks {
		switch err := i.apply(ctx, m); {
		case err == nil:
			i.log.Info("mark", "namespace", m.Namespace, "name", m.Name, "cause", m.Cause)
		case apierrors.IsNotFound(err), apierrors.IsConflict(err): // Gone, or replaced by another of the same name.
		default:
			i.log.Warn("mark", "namespace", m.Namespace, "name", m.Name, "error", err)
			again = retry
		}
	}
	return again, nil
}

// apply writes one mark. The UID in the patch makes it fail on another object of the same name.
func (i *injector) apply(ctx context.Context, m mark) error {
	var value any // Null takes the annotation away.
	if m.Cause != "" {
		value = m.Cause
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid":         m.UID,
		"annotations": map[string]any{fleet.NotReadyAnnotation: value},
	}})
	if err != nil {
		return fmt.Errorf("encode patch of %s: %w", m.Name, err)
	}
	if m.Namespace == "" {
		_, err = i.client.CoreV1().Nodes().Patch(ctx, m.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	} else {
		_, err = i.client.CoreV1().Pods(m.Namespace).Patch(ctx, m.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	}
	return err
}
