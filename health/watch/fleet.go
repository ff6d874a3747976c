package watch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	informerscorev1 "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/rollcall-dev/rollcall/health"
)

const byOwner = "controllerUID"

const daemonSetKind = "DaemonSet"

// others are the labels by which Kubernetes itself marks the pods of Deployments,
// Jobs and StatefulSets: most of a cluster's, and left out on the API server.
func others() []string {
	return []string{"pod-template-hash", "batch.kubernetes.io/job-name", "statefulset.kubernetes.io/pod-name"}
}

// Unseen returns the label for which pods with these are not watched; empty when
// they are.
func Unseen(labels map[string]string) string {
	for _, label := range others() {
		if _, has := labels[label]; has {
			return label
		}
	}
	return ""
}

// Fleet watches nodes, the pods of DaemonSets, DaemonSets and their controller
// revisions.
type Fleet struct {
	factory                           informers.SharedInformerFactory
	nodes, pods, revisions, daemonSet cache.SharedIndexInformer
}

// NewFleet prepares the informers; nothing is watched until Run.
func NewFleet(client kubernetes.Interface) (*Fleet, error) {
	f := informers.NewSharedInformerFactory(client, 0)
	fleet := &Fleet{
		factory: f,
		nodes:   f.Core().V1().Nodes().Informer(),
		pods: f.InformerFor(&corev1.Pod{}, func(client kubernetes.Interface, resync time.Duration) cache.SharedIndexInformer {
			return informerscorev1.NewFilteredPodInformer(client, metav1.NamespaceAll, resync, cache.Indexers{byOwner: owner},
				func(o *metav1.ListOptions) { o.LabelSelector = "!" + strings.Join(others(), ",!") })
		}),
		revisions: f.Apps().V1().ControllerRevisions().Informer(),
		daemonSet: f.Apps().V1().DaemonSets().Informer(),
	}
	err := errors.Join(
		fleet.nodes.SetTransform(trimNode),
		fleet.pods.SetTransform(trimPod),
		fleet.revisions.SetTransform(trimRevision),
		fleet.daemonSet.SetTransform(trimDaemonSet),
		fleet.revisions.AddIndexers(cache.Indexers{byOwner: owner}),
	)
	if err != nil {
		return nil, fmt.Errorf("prepare informers: %w", err)
	}
	return fleet, nil
}

// Run watches until ctx is done.
func (f *Fleet) Run(ctx context.Context) error {
	f.factory.Start(ctx.Done())
	<-ctx.Done()
	f.factory.Shutdown()
	return nil
}

// WaitForSync blocks until every informer has listed once, or ctx is done.
func (f *Fleet) WaitForSync(ctx context.Context) bool {
	return cache.WaitForCacheSync(ctx.Done(), f.nodes.HasSynced, f.pods.HasSynced, f.revisions.HasSynced, f.daemonSet.HasSynced)
}

// Synced is whether every informer has listed once. Before that, what is missing
// here may well exist.
func (f *Fleet) Synced() bool {
	return f.nodes.HasSynced() && f.pods.HasSynced() && f.revisions.HasSynced() && f.daemonSet.HasSynced()
}

// Notify calls changed with the namespace and name of a DaemonSet whenever one
// of its pods, its revisions or itself changes, and with two empty strings when
// a node changes in a way that matters to every DaemonSet. Gated is whether what
// changed carries rollcall's gate.
func (f *Fleet) Notify(changed func(namespace, name string, gated bool)) error {
	owned := func(o any) {
		if namespace, name, _, gate := ownerOf(o); name != "" {
			changed(namespace, name, gate)
		}
	}
	self := func(o any) {
		if ds, is := known(o).(*appsv1.DaemonSet); is {
			changed(ds.Namespace, ds.Name, gated(ds.Spec.Template.Spec.SchedulingGates))
		}
	}
	var errs []error
	add := func(i cache.SharedIndexInformer, h cache.ResourceEventHandler) {
		_, err := i.AddEventHandler(h)
		errs = append(errs, err)
	}
	add(f.pods, handler(owned))
	add(f.revisions, handler(owned))
	add(f.daemonSet, handler(self))
	add(f.nodes, cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { changed("", "", false) },
		DeleteFunc: func(any) { changed("", "", false) },
		UpdateFunc: func(old, new any) {
			if nodeChanged(old.(*corev1.Node), new.(*corev1.Node)) {
				changed("", "", false)
			}
		},
	})
	return errors.Join(errs...)
}

func handler(f func(any)) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{AddFunc: f, DeleteFunc: f, UpdateFunc: func(_, o any) { f(o) }}
}

// Nodes returns every node as the DaemonSet sees it, sorted by name. digestOf
// names the version of a controller-revision-hash.
func (f *Fleet) Nodes(daemonSet types.UID, p Placement, groupBy []string, digestOf func(revision string) string) []health.Node {
	var nodes []*corev1.Node
	for _, o := range f.nodes.GetStore().List() {
		nodes = append(nodes, o.(*corev1.Node))
	}
	return join(nodes, f.agents(daemonSet), p, groupBy, digestOf)
}

// agents are the pods that the DaemonSet controls.
func (f *Fleet) agents(daemonSet types.UID) []*entry {
	objects, err := f.pods.GetIndexer().ByIndex(byOwner, string(daemonSet))
	if err != nil {
		return nil // only for an index that NewFleet did not add
	}
	out := make([]*entry, 0, len(objects))
	for _, o := range objects {
		out = append(out, o.(*entry))
	}
	return out
}

// Gated are the controller-revision-hashes of the DaemonSet's pods that wait at the gate.
func (f *Fleet) Gated(daemonSet types.UID) []string {
	var out []string
	for _, e := range f.agents(daemonSet) {
		if e.agent.Gated && !e.agent.Terminating {
			out = append(out, e.agent.Revision)
		}
	}
	return out
}

// Revisions are the controller revisions that the DaemonSet owns, by name.
func (f *Fleet) Revisions(daemonSet types.UID) []*appsv1.ControllerRevision {
	objects, err := f.revisions.GetIndexer().ByIndex(byOwner, string(daemonSet))
	if err != nil {
		return nil // only for an index that NewFleet did not add
	}
	out := make([]*appsv1.ControllerRevision, 0, len(objects))
	for _, o := range objects {
		out = append(out, o.(*appsv1.ControllerRevision))
	}
	slices.SortFunc(out, func(a, b *appsv1.ControllerRevision) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// Beyond are the nodes, by name, that only the second of two placements wants.
func (f *Fleet) Beyond(first, second Placement) []string {
	var out []string
	for _, o := range f.nodes.GetStore().List() {
		if n := o.(*corev1.Node); second.Eligible(n) && !first.Eligible(n) {
			out = append(out, n.Name)
		}
	}
	slices.Sort(out)
	return out
}

// known is the object itself, also when an informer only remembers it.
func known(o any) any {
	if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
		return gone.Obj
	}
	return o
}

func owner(o any) ([]string, error) {
	if _, _, uid, _ := ownerOf(o); uid != "" {
		return []string{string(uid)}, nil
	}
	return nil, nil
}
