package e2e

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// recorder watches the agent's pods and remembers, event by event, which image
// ran where and how many nodes were without a Ready agent at once.
type recorder struct {
	mu sync.Mutex
	// runs are the pods that were bound to each node, in that order.
	runs map[string][]run
	// ready are the nodes with a Ready agent now, by pod name.
	ready map[string]map[string]bool
	// born are the nodes that had a Ready agent once.
	born map[string]bool
	// excused nodes are not rollcall's doing.
	excused map[string]bool
	// leaving nodes are excused when a gated pod stands in the place of their agent.
	leaving []string
	// worst is the most nodes that were without a Ready agent at once.
	worst   int
	worstAt string
}

// run is one pod on its node.
type run struct {
	pod types.UID
	tag string
	// bound is when the recorder learned of it, and ready when that it was Ready;
	// zero before.
	bound, ready time.Time
}

func record(t *testing.T, client kubernetes.Interface) *recorder {
	t.Helper()
	return recordIn(t, client, metav1.NamespaceAll)
}

// recordIn is record of the agents of one namespace.
func recordIn(t *testing.T, client kubernetes.Interface, namespace string) *recorder {
	t.Helper()
	r := &recorder{runs: map[string][]run{}, ready: map[string]map[string]bool{}, born: map[string]bool{}, excused: map[string]bool{}}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace))
	pods := factory.Core().V1().Pods().Informer()
	_, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { r.see(o.(*corev1.Pod)) },
		UpdateFunc: func(_, o any) { r.see(o.(*corev1.Pod)) },
		DeleteFunc: func(o any) {
			if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = gone.Obj
			}
			r.gone(o.(*corev1.Pod))
		},
	})
	if err != nil {
		t.Fatalf("watch pods: %v", err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(cancel)
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	return r
}

func (r *recorder) see(p *corev1.Pod) {
	if p.Labels["app"] != "example" {
		return
	}
	if p.Spec.NodeName == "" {
		r.leave(p)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	node := p.Spec.NodeName
	i := slices.IndexFunc(r.runs[node], func(x run) bool { return x.pod == p.UID })
	if i < 0 {
		i = len(r.runs[node])
		r.runs[node] = append(r.runs[node], run{pod: p.UID, tag: tag(p), bound: time.Now()})
	}
	if x := &r.runs[node][i]; podReady(p) && x.ready.IsZero() {
		x.ready = time.Now()
	}
	if r.ready[node] == nil {
		r.ready[node] = map[string]bool{}
	}
	if podReady(p) && p.DeletionTimestamp == nil {
		r.ready[node][p.Name] = true
		r.born[node] = true
	} else {
		delete(r.ready[node], p.Name)
	}
	r.measure()
}

func (r *recorder) gone(p *corev1.Pod) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ready[p.Spec.NodeName] != nil {
		delete(r.ready[p.Spec.NodeName], p.Name)
	}
	r.measure()
}

func (r *recorder) measure() {
	var without []string
	for node := range r.born {
		if len(r.ready[node]) == 0 && !r.excused[node] {
			without = append(without, node)
		}
	}
	if len(without) > r.worst {
		slices.Sort(without)
		r.worst, r.worstAt = len(without), fmt.Sprintf("%s: %v", time.Now().Format(time.TimeOnly), without)
	}
}

// excuse leaves a node out of the count of unavailable nodes.
func (r *recorder) excuse(nodes ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range nodes {
		r.excused[n] = true
	}
}

// blame counts nodes again that were excused.
func (r *recorder) blame(nodes ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range nodes {
		delete(r.excused, n)
	}
}

// nodesOf are the nodes that a pod of the tag was ever bound to, by name.
func (r *recorder) nodesOf(tag string) []string {
	return slices.Sorted(slices.Values(r.order(tag)))
}

// order are the nodes that a pod of the tag was ever bound to, in the order in
// which they first were.
func (r *recorder) order(tag string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := map[string]time.Time{}
	for node, runs := range r.runs {
		for _, x := range runs {
			if _, known := first[node]; x.tag == tag && !known {
				first[node] = x.bound
			}
		}
	}
	return slices.SortedFunc(maps.Keys(first), func(a, b string) int {
		return cmp.Or(first[a].Compare(first[b]), cmp.Compare(a, b))
	})
}

// firstBeyond is when a pod of the tag was first bound to a node that is none
// of these; zero if none was.
func (r *recorder) firstBeyond(tag string, nodes []string) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	var first time.Time
	for node, runs := range r.runs {
		for _, x := range runs {
			if x.tag == tag && !slices.Contains(nodes, node) && (first.IsZero() || x.bound.Before(first)) {
				first = x.bound
			}
		}
	}
	return first
}

// history are the tags of the pods that were bound to the node, in that order.
func (r *recorder) history(node string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var tags []string
	for _, x := range r.runs[node] {
		tags = append(tags, x.tag)
	}
	return tags
}

// count counts the pods of the tag that were bound to these nodes.
func (r *recorder) count(nodes []string, tag string) int {
	count := 0
	for _, n := range nodes {
		for _, ran := range r.history(n) {
			if ran == tag {
				count++
			}
		}
	}
	return count
}

// wantTags fails when a pod of any other tag was ever bound to a node.
func (r *recorder) wantTags(t *testing.T, tags ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for node, runs := range r.runs {
		for _, x := range runs {
			if !slices.Contains(tags, x.tag) {
				t.Errorf("on %s ran %s, want only %v", node, x.tag, tags)
			}
		}
	}
}

// wantHistory fails when another sequence of tags was on a node.
func (r *recorder) wantHistory(t *testing.T, nodes []string, tags ...string) {
	t.Helper()
	for _, n := range nodes {
		if got := r.history(n); !slices.Equal(got, tags) {
			t.Errorf("on %s ran %v, want %v", n, got, tags)
		}
	}
}

// wantWorst fails when more nodes were without a Ready agent at once.
func (r *recorder) wantWorst(t *testing.T, most int) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.worst > most {
		t.Errorf("%d nodes were without a Ready agent at once, at most %d allowed; %s", r.worst, most, r.worstAt)
	}
}

func podReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}
