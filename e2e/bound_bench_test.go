package e2e

import (
	"context"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"github.com/rollcall-dev/rollcall/e2e/cluster"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// BenchmarkLowerBound measures how much longer a healthy change takes than it has
// to: each wave has as many rounds as its nodes fill the budget, and each round
// lasts as long as a pod needs to be Ready, and readyFor. How long a pod needs is
// measured beside it, in Kubernetes' own RollingUpdate with the same budget and
// the same minReadySeconds. Pods are Ready 10 s after they were bound.
// ROLLCALL_BENCH_NODES is how many nodes there are; 100 and 1,000 otherwise.
func BenchmarkLowerBound(b *testing.B) {
	sizes := []int{100, 1000}
	if n, err := strconv.Atoi(os.Getenv("ROLLCALL_BENCH_NODES")); err == nil {
		sizes = []int{n}
	}
	for _, nodes := range sizes {
		b.Run(strconv.Itoa(nodes), func(b *testing.B) { benchmarkLowerBound(b, nodes) })
	}
}

func benchmarkLowerBound(b *testing.B, nodes int) {
	b.Helper()
	const readyFor = 5 * time.Second
	budget := nodes / 10
	w := newWorldWith(b, cluster.Options{Nodes: nodes, Zones: 3})
	w.policy(quick(tenths, func(p *v1alpha1.RolloutPolicySpec) { p.Health.ReadyFor = metav1.Duration{Duration: readyFor} }))
	first := w.pushTag("v0:slow")
	w.follow()
	w.waitProven(first, 15*time.Minute)
	w.createNative(int32(budget), int32(nodes), int32(readyFor.Seconds()))
	b.ResetTimer()
	for i := range b.N {
		out := w.watchOutages()
		native := elapsed(func() { w.rollNative("v"+stamp(b, i)+":slow", int32(nodes)) })
		podReady := out.median()
		before := w.usage()
		took := elapsed(func() { w.waitProven(w.deliver("v"+stamp(b, i)+":slow"), 15*time.Minute) })
		cpu := w.usage().CPU - before.CPU

		round := (podReady + readyFor).Seconds()
		b.ReportMetric(took.Seconds()/(float64(1+rounds(nodes/10-1, budget)+rounds(nodes-nodes/10, budget))*round), "x_lower_bound")
		b.ReportMetric(native.Seconds()/(float64(rounds(nodes, budget))*round), "x_lower_bound-native")
		b.ReportMetric(took.Seconds()/native.Seconds(), "x_native")
		b.ReportMetric(podReady.Seconds(), "s-pod-ready")
		b.ReportMetric(native.Seconds(), "s-native")
		b.ReportMetric(took.Seconds(), "s-rollcall")
		b.ReportMetric(cpu.Seconds()*1000/float64(nodes), "CPU-s/1000nodes")
	}
}

// rounds is how often the budget is filled by so many nodes.
func rounds(nodes, budget int) int { return (nodes + budget - 1) / budget }

func elapsed(what func()) time.Duration {
	began := time.Now()
	what()
	return time.Since(began)
}

// outages measures for how long nodes are without an agent of the DaemonSet
// native while it is replaced.
type outages struct {
	mu    sync.Mutex
	since map[string]time.Time
	took  []time.Duration
}

// watchOutages measures from now on.
func (w *world) watchOutages() *outages {
	w.t.Helper()
	o := &outages{since: map[string]time.Time{}}
	factory := informers.NewSharedInformerFactoryWithOptions(w.cluster.Client, 0, informers.WithTweakListOptions(func(l *metav1.ListOptions) { l.LabelSelector = "app=native" }))
	_, err := factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(p any) { o.see(p.(*corev1.Pod)) },
		UpdateFunc: func(_, p any) { o.see(p.(*corev1.Pod)) },
	})
	w.must(err, "watch pods")
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	w.t.Cleanup(cancel)
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	return o
}

func (o *outages) see(p *corev1.Pod) {
	o.mu.Lock()
	defer o.mu.Unlock()
	since, out := o.since[p.Spec.NodeName]
	switch {
	case p.DeletionTimestamp != nil && !out:
		o.since[p.Spec.NodeName] = time.Now()
	case p.DeletionTimestamp == nil && podReady(p) && out:
		o.took = append(o.took, time.Since(since))
		delete(o.since, p.Spec.NodeName)
	}
}

// median is that of the outages so far.
func (o *outages) median() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	slices.Sort(o.took)
	return o.took[len(o.took)/2]
}
