package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// crowd watches the pods of several DaemonSets and their NodeRollouts, event by
// event.
type crowd struct {
	mu sync.Mutex
	// runs are by DaemonSet, tag and node when the first such pod was bound, and when
	// it was Ready.
	runs map[string]run
	// ready are by node and DaemonSet the Ready pods, and born those that had one once.
	ready, born map[string]map[string]bool
	// inFlight are by node the rollouts that have it in flight.
	inFlight map[string][]string
	// seenInFlight are the rollouts that ever had a node in flight.
	seenInFlight map[string]bool
	// atOnce is whether several rollouts ever had nodes in flight at the same time.
	atOnce bool
	wrong  []string
}

func recordTogether(t *testing.T, w *world) *crowd {
	t.Helper()
	r := &crowd{runs: map[string]run{}, ready: map[string]map[string]bool{}, born: map[string]map[string]bool{}, inFlight: map[string][]string{}, seenInFlight: map[string]bool{}}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(cancel)
	r.watchPods(t, ctx, w.cluster.Client)
	rollouts := w.kinds.NodeRolloutInformer()
	_, err := rollouts.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { r.seeRollout(o.(*v1alpha1.NodeRollout)) },
		UpdateFunc: func(_, o any) { r.seeRollout(o.(*v1alpha1.NodeRollout)) },
	})
	if err != nil {
		t.Fatalf("watch rollouts: %v", err)
	}
	go rollouts.RunWithContext(ctx)
	cache.WaitForCacheSync(ctx.Done(), rollouts.HasSynced)
	return r
}

func (r *crowd) watchPods(t *testing.T, ctx context.Context, client kubernetes.Interface) { //nolint:revive // the test comes first here
	t.Helper()
	factory := informers.NewSharedInformerFactory(client, 0)
	_, err := factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { r.see(o.(*corev1.Pod), true) },
		UpdateFunc: func(_, o any) { r.see(o.(*corev1.Pod), true) },
		DeleteFunc: func(o any) {
			if p, ok := o.(*corev1.Pod); ok {
				r.see(p, false)
			}
		},
	})
	if err != nil {
		t.Fatalf("watch pods: %v", err)
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
}

func (r *crowd) see(p *corev1.Pod, there bool) {
	name, node := p.Labels["app"], p.Spec.NodeName
	if p.Labels["fleet"] != "together" || node == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key := name + " " + tag(p) + " " + node
	x, known := r.runs[key]
	if !known {
		x = run{pod: p.UID, tag: tag(p), bound: time.Now()}
	}
	if podReady(p) && x.ready.IsZero() {
		x.ready = time.Now()
	}
	r.runs[key] = x
	if r.ready[node] == nil {
		r.ready[node], r.born[node] = map[string]bool{}, map[string]bool{}
	}
	r.ready[node][name] = there && podReady(p) && p.DeletionTimestamp == nil
	r.born[node][name] = r.born[node][name] || r.ready[node][name]
	var without []string
	for _, other := range slices.Sorted(maps.Keys(r.born[node])) {
		if r.born[node][other] && !r.ready[node][other] {
			without = append(without, other)
		}
	}
	if len(without) > 1 {
		r.wrong = append(r.wrong, fmt.Sprintf("%s is without %v at once", node, without))
	}
}

func (r *crowd) seeRollout(n *v1alpha1.NodeRollout) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for node, names := range r.inFlight {
		r.inFlight[node] = slices.DeleteFunc(names, func(name string) bool { return name == n.Name })
	}
	for _, f := range n.Status.InFlight {
		r.seenInFlight[n.Name] = true
		r.inFlight[f.Node] = append(r.inFlight[f.Node], n.Name)
		if len(r.inFlight[f.Node]) > 1 {
			r.wrong = append(r.wrong, fmt.Sprintf("%s is in flight for %v", f.Node, r.inFlight[f.Node]))
		}
	}
	moving := map[string]bool{}
	for _, names := range r.inFlight {
		for _, name := range names {
			moving[name] = true
		}
	}
	r.atOnce = r.atOnce || len(moving) > 1
}

// wantApart fails when a node was without two agents at once, or in two
// replacements.
func (r *crowd) wantApart(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.wrong {
		t.Error(s)
	}
}

// wantAfter fails when a pod of the DaemonSet was bound to a node before that of
// the other was Ready there.
func (r *crowd) wantAfter(t *testing.T, name, tag, before, beforeTag string, nodes []string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range nodes {
		mine, its := r.runs[name+" "+tag+" "+n], r.runs[before+" "+beforeTag+" "+n]
		if mine.bound.IsZero() || its.ready.IsZero() || mine.bound.Before(its.ready) {
			t.Errorf("on %s %s %s came at %s, and %s %s was Ready at %s", n, name, tag, mine.bound.Format(time.StampMilli), before, beforeTag, its.ready.Format(time.StampMilli))
		}
	}
}

// nodesOf are the nodes on which the DaemonSet ever ran the tag.
func (r *crowd) nodesOf(name, tag string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for key := range r.runs {
		if node, is := strings.CutPrefix(key, name+" "+tag+" "); is {
			out = append(out, node)
		}
	}
	slices.Sort(out)
	return out
}

// shared is one DaemonSet of several.
func shared(name, tag, after string) string {
	m := strings.ReplaceAll(manifest(tag), "example-daemonset", name)
	m = strings.ReplaceAll(m, "app: example", "app: "+name+"\n        fleet: together")
	m = strings.Replace(m, "labels:\n    app: "+name+"\n        fleet: together", "annotations: {rollcall.dev/after: \""+after+"\"}\n  labels:\n    app: "+name, 1)
	return strings.Replace(m, "matchLabels:\n      app: "+name+"\n        fleet: together", "matchLabels:\n      app: "+name, 1)
}

// waitNamed waits until the NodeRollout of that name is in the phase for the reason.
func (w *world) waitNamed(name string, phase v1alpha1.Phase, reason string) *v1alpha1.NodeRollout {
	w.t.Helper()
	var last *v1alpha1.NodeRollout
	w.until(name+" is "+string(phase)+" for "+reason, time.Minute, func() (bool, string) {
		n, err := w.kinds.NodeRollouts(metav1.NamespaceDefault).Get(w.t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		last = n
		return n.Status.Phase == phase && n.Status.Reason == reason, describe(n)
	})
	return last
}

// One push changes three DaemonSets on the same nodes.
func TestTwoDaemonSetsDueAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 12)
	w.policy(quick(soak(0, 1)))
	names := []string{"cni", "logs", "metrics"}
	files := func(tag string) map[string]string {
		out := map[string]string{}
		for _, n := range names {
			out[n+".yaml"] = shared(n, tag, "")
		}
		return out
	}
	first := w.push("v1", files("v1"))
	w.follow()
	w.waitProven(first, 2*time.Minute)

	w.act(t, "no node is without two of them, or in two replacements", func(t *testing.T) {
		r := recordTogether(t, w)
		w.waitProven(w.deliverFiles(files("v2")), 5*time.Minute)
		r.wantApart(t)
		if got := slices.Sorted(maps.Keys(r.seenInFlight)); !slices.Equal(got, names) {
			t.Errorf("in flight were nodes of %v, want all of %v", got, names)
		}
		if !r.atOnce {
			t.Error("one rollout waited for the other to end, though there are nodes for both")
		}
		for _, n := range names {
			if got := r.nodesOf(n, "v2"); len(got) != 12 {
				t.Errorf("%s v2 ran on %d nodes, want 12", n, len(got))
			}
		}
	})
	w.act(t, "nor when rollcall is killed again and again", func(t *testing.T) {
		r := recordTogether(t, w)
		commit := w.deliverFiles(files("v3"))
		for range 4 {
			time.Sleep(3 * time.Second)
			w.must(w.control.Kill(), "kill rollcall")
			w.startController()
		}
		w.waitProven(commit, 5*time.Minute)
		r.wantApart(t)
		if got := slices.Sorted(maps.Keys(r.seenInFlight)); !slices.Equal(got, names) {
			t.Errorf("in flight were nodes of %v, want all of %v", got, names)
		}
	})
	w.act(t, "nor when one of them is bad and the others are not", func(t *testing.T) {
		w.startController() // the one before ended with its act
		r := recordTogether(t, w)
		next := files("v4")
		next["logs.yaml"] = shared("logs", "bad", "")
		w.deliverFiles(next)
		w.waitNamed("logs", v1alpha1.PhaseRejected, "CannotStart")
		w.waitNamed("cni", v1alpha1.PhaseProven, "Proven")
		w.waitNamed("metrics", v1alpha1.PhaseProven, "Proven")
		for _, n := range []string{"cni", "metrics"} {
			if got := r.nodesOf(n, "v4"); len(got) != 12 {
				t.Errorf("%s v4 ran on %d nodes, want 12", n, len(got))
			}
		}
	})
}

// A DNS agent changes on each node only where the network is at the version that
// Git declares.
func TestNetworkThenDNS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 9)
	w.policy(quick(soak(0, 1)))
	files := func(cni, dns string) map[string]string {
		// The one that follows is the first by name, and in the first file.
		return map[string]string{"a.yaml": shared("a-dns", dns, "cni"), "b.yaml": shared("cni", cni, "")}
	}
	r := recordTogether(t, w)
	first := w.push("v1", files("v1", "v1"))
	w.follow()
	w.waitProven(first, 3*time.Minute)
	nodes := w.nodes()

	w.act(t, "at the first install", func(t *testing.T) {
		r.wantAfter(t, "a-dns", "v1", "cni", "v1", nodes)
	})
	w.act(t, "in one commit that changes both", func(t *testing.T) {
		r := recordTogether(t, w)
		w.waitProven(w.deliverFiles(files("v2", "v2")), 5*time.Minute)
		r.wantAfter(t, "a-dns", "v2", "cni", "v2", nodes)
		r.wantApart(t)
	})
	w.act(t, "a bad network keeps it where it is", func(t *testing.T) {
		r := recordTogether(t, w)
		w.deliverFiles(files("bad", "v3"))
		w.waitNamed("cni", v1alpha1.PhaseRejected, "CannotStart")
		n := w.waitNamed("a-dns", v1alpha1.PhaseHeld, "WaitsForDependency")
		if !strings.Contains(n.Status.Message, "default/cni") || !strings.Contains(n.Status.Message, "rejected (CannotStart)") {
			t.Errorf("the message is %q", n.Status.Message)
		}
		time.Sleep(3 * time.Second)
		if got := r.nodesOf("cni", "bad"); len(got) == 0 || len(got) > 2 {
			t.Errorf("the bad network ran on %v, want 1 or 2 nodes", got)
		}
		if got := r.nodesOf("a-dns", "v3"); len(got) > 0 {
			t.Errorf("it changed on %v", got)
		}
	})
	w.act(t, "and it goes on when that is fixed", func(t *testing.T) {
		r := recordTogether(t, w)
		w.waitProven(w.deliverFiles(files("v4", "v3")), 5*time.Minute)
		r.wantAfter(t, "a-dns", "v3", "cni", "v4", nodes)
	})
	w.act(t, "two that wait for each other say so", func(t *testing.T) {
		w.deliverFiles(map[string]string{"a.yaml": shared("a-dns", "v5", "cni"), "b.yaml": shared("cni", "v5", "a-dns")})
		for _, name := range []string{"cni", "a-dns"} {
			n := w.waitNamed(name, v1alpha1.PhaseHeld, "DependencyInvalid")
			if !strings.Contains(n.Status.Message, "comes after itself") {
				t.Errorf("the message is %q", n.Status.Message)
			}
		}
		w.waitProven(w.deliverFiles(files("v5", "v5")), 5*time.Minute)
	})
	w.act(t, "what there is not is named", func(t *testing.T) {
		w.deliverFiles(map[string]string{"a.yaml": shared("a-dns", "v6", "cni, kube-system/nothing")})
		n := w.waitNamed("a-dns", v1alpha1.PhaseHeld, "DependencyInvalid")
		if !strings.Contains(n.Status.Message, "no DaemonSet kube-system/nothing") {
			t.Errorf("the message is %q", n.Status.Message)
		}
		w.waitProven(w.deliverFiles(files("v5", "v6")), 5*time.Minute)
	})
}

func TestBreaker(t *testing.T) {
	t.Parallel()
	w := settled(t, 10, quick(soak(0, 1), breaker))
	sick := []string{"node-1", "node-2", "node-3", "node-4"}
	ready := func(is bool) {
		for _, n := range sick {
			w.must(w.cluster.SetNodeReady(t.Context(), n, is), "change node "+n)
		}
	}
	w.act(t, "nothing is begun while too much of the fleet is sick", func(t *testing.T) {
		ready(false)
		before := w.uids()
		commit := w.deliver("v2")
		n := w.waitReason(v1alpha1.PhaseHeld, "BreakerOpen")
		if !strings.Contains(n.Status.Message, "4 of 10 nodes are sick") || !strings.Contains(n.Status.Message, "(30%: 3), such as node-1, node-2, node-3: nothing") {
			t.Errorf("the message is %q", n.Status.Message)
		}
		w.wantQuiet(3 * time.Second)
		w.wantSame(before)
		ready(true)
		w.waitProven(commit, 2*time.Minute)
	})
	w.act(t, "what fails goes back all the same", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		w.changePolicy(quick(soak(0, 20), breaker))
		w.deliver("flaky")
		canaries := w.waitSoaking(r, "canary", "flaky")
		sick = but(w.nodes(), canaries...)[:4]
		ready(false)
		w.waitRollout("it is rejected", 2*time.Minute, func(n *v1alpha1.NodeRollout) bool { return len(n.Status.Rejected) > 0 })
		w.waitTag("v2", canaries)
		r.wantRadius(t, "flaky")
		ready(true)
	})
}

func breaker(p *v1alpha1.RolloutPolicySpec) {
	p.Breaker = &v1alpha1.Breaker{MaxSickNodes: intstr.FromString("30%")}
}
