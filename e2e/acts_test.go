package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// settled is a world whose agent is proven at v1 on every node.
func settled(t *testing.T, nodes int, p v1alpha1.RolloutPolicySpec) *world {
	t.Helper()
	w := newWorld(t, nodes)
	w.policy(p)
	first := w.pushTag("v1")
	w.follow()
	w.waitProven(first, 2*time.Minute)
	return w
}

// act plays one part of a scenario. Each part goes on from where the last one
// ended, so that none begins after one that failed.
func (w *world) act(t *testing.T, name string, play func(t *testing.T)) {
	t.Helper()
	passed := t.Run(name, func(t *testing.T) {
		w.t = t
		play(t)
	})
	w.t = t
	if !passed {
		t.FailNow()
	}
}

// soak sets the soak of the wave in seconds.
func soak(wave, seconds int) func(*v1alpha1.RolloutPolicySpec) {
	return func(p *v1alpha1.RolloutPolicySpec) {
		p.Waves[wave].Soak = metav1.Duration{Duration: time.Duration(seconds) * time.Second}
	}
}

// changePolicy replaces the RolloutPolicy "default".
func (w *world) changePolicy(spec v1alpha1.RolloutPolicySpec) {
	w.t.Helper()
	p, err := w.kinds.RolloutPolicies().Get(w.t.Context(), "default", metav1.GetOptions{})
	w.must(err, "get RolloutPolicy")
	p.Spec = spec
	_, err = w.kinds.RolloutPolicies().Update(w.t.Context(), p, metav1.UpdateOptions{})
	w.must(err, "update RolloutPolicy")
}

// until polls a condition that describes itself while it is false.
func (w *world) until(what string, within time.Duration, check func() (bool, string)) {
	w.t.Helper()
	var last string
	err := wait.PollUntilContextTimeout(w.t.Context(), 100*time.Millisecond, within, true, func(context.Context) (ok bool, _ error) {
		ok, last = check()
		return ok, nil
	})
	if err != nil {
		n, _ := w.kinds.NodeRollouts(metav1.NamespaceDefault).Get(w.t.Context(), agent, metav1.GetOptions{})
		w.t.Fatalf("wait until %s: %v; last: %s; rollout: %s", what, err, last, describe(n))
	}
}

// waitSoaking waits until every node of the wave is healthy and soaks, and
// returns the nodes that have run the tag by then.
func (w *world) waitSoaking(r *recorder, wave, tag string) []string {
	w.t.Helper()
	w.waitRollout("wave "+wave+" soaks "+tag, time.Minute, func(n *v1alpha1.NodeRollout) bool {
		s := n.Status
		return s.Phase == v1alpha1.PhaseSoaking && s.Wave != nil && s.Wave.Name == wave && len(r.order(tag)) > 0
	})
	return r.nodesOf(tag)
}

// agents are the Ready pods that are not on their way out, by node. Pods of
// nodes that are gone do not count.
func (w *world) agents() map[string]corev1.Pod {
	w.t.Helper()
	out := map[string]corev1.Pod{}
	nodes := w.nodes()
	for _, p := range w.pods() {
		if podReady(&p) && p.DeletionTimestamp == nil && slices.Contains(nodes, p.Spec.NodeName) {
			out[p.Spec.NodeName] = p
		}
	}
	return out
}

// nodes are the names of all nodes, sorted.
func (w *world) nodes() []string {
	w.t.Helper()
	list, err := w.cluster.Client.CoreV1().Nodes().List(w.t.Context(), metav1.ListOptions{})
	w.must(err, "list nodes")
	var out []string
	for _, n := range list.Items {
		out = append(out, n.Name)
	}
	slices.Sort(out)
	return out
}

// but are the names that are not among others.
func but(names []string, others ...string) []string {
	var out []string
	for _, n := range names {
		if !slices.Contains(others, n) {
			out = append(out, n)
		}
	}
	return out
}

// waitTag waits until each of these nodes has a Ready agent of the tag.
func (w *world) waitTag(tagged string, nodes []string) {
	w.t.Helper()
	w.until(fmt.Sprintf("%d nodes run %s", len(nodes), tagged), time.Minute, func() (bool, string) {
		agents := w.agents()
		var others []string
		for _, n := range nodes {
			if p, present := agents[n]; !present || tag(&p) != tagged {
				others = append(others, n)
			}
		}
		return len(others) == 0, fmt.Sprintf("not on %v", others)
	})
}

// uids are the UIDs of the Ready agents, by node.
func (w *world) uids() map[string]types.UID {
	w.t.Helper()
	out := map[string]types.UID{}
	for node, p := range w.agents() {
		out[node] = p.UID
	}
	return out
}

// wantSame fails when an agent is not the pod that it was.
func (w *world) wantSame(before map[string]types.UID) {
	w.t.Helper()
	after := w.uids()
	for _, n := range slices.Sorted(maps.Keys(before)) {
		if before[n] != after[n] {
			w.t.Errorf("on %s pod %s was replaced by %q", n, before[n], after[n])
		}
	}
}

// deletePods deletes the agents of these nodes, as `kubectl delete pod` does.
func (w *world) deletePods(nodes ...string) {
	w.t.Helper()
	agents := w.agents()
	for _, n := range nodes {
		w.must(w.cluster.Client.CoreV1().Pods(metav1.NamespaceDefault).Delete(w.t.Context(), agents[n].Name, metav1.DeleteOptions{}), "delete pod of "+n)
	}
}

// evictPods evicts the agents of these nodes, as `kubectl drain` does.
func (w *world) evictPods(nodes ...string) {
	w.t.Helper()
	agents := w.agents()
	for _, n := range nodes {
		w.evict(agents[n].Name)
	}
}

func (w *world) evict(pod string) {
	w.t.Helper()
	w.must(w.cluster.Client.PolicyV1().Evictions(metav1.NamespaceDefault).Evict(w.t.Context(), &policyv1.Eviction{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: pod},
	}), "evict pod "+pod)
}

// patchDaemonSet patches the agent's DaemonSet as a person with that field
// manager does.
func (w *world) patchDaemonSet(manager, patch string) {
	w.t.Helper()
	_, err := w.cluster.Client.AppsV1().DaemonSets(metav1.NamespaceDefault).Patch(w.t.Context(), agent, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: manager})
	w.must(err, "patch DaemonSet")
}

// patchRollout patches the spec of the NodeRollout.
func (w *world) patchRollout(spec string) {
	w.t.Helper()
	_, err := w.kinds.NodeRollouts(metav1.NamespaceDefault).Patch(w.t.Context(), agent, types.MergePatchType, []byte(`{"spec":`+spec+`}`), metav1.PatchOptions{})
	w.must(err, "patch NodeRollout")
}

// patchNode patches a node, or its subresource.
func (w *world) patchNode(node, patch string, subresource ...string) {
	w.t.Helper()
	_, err := w.cluster.Client.CoreV1().Nodes().Patch(w.t.Context(), node, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, subresource...)
	w.must(err, "patch node "+node)
}

// onGate calls act as soon as the DaemonSet carries rollcall's gate, which is
// when a pulse opens, and returns when it has. It watches from now on; start
// whatever opens the pulse with begin.
func (w *world) onGate(begin, act func()) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	watch, err := w.cluster.Client.AppsV1().DaemonSets(metav1.NamespaceDefault).Watch(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("metadata.name", agent).String(), ResourceVersion: w.daemonSet().ResourceVersion,
	})
	w.must(err, "watch DaemonSet")
	defer watch.Stop()
	begin()
	for e := range watch.ResultChan() {
		if ds, ok := e.Object.(*appsv1.DaemonSet); ok && len(ds.Spec.Template.Spec.SchedulingGates) > 0 {
			act()
			return
		}
	}
	w.t.Fatal("no pulse was opened")
}

// waitRest waits until the DaemonSet is as it was at rest: its template, and
// OnDelete.
func (w *world) waitRest(template corev1.PodTemplateSpec, within time.Duration) {
	w.t.Helper()
	w.until("the DaemonSet is restored", within, func() (bool, string) {
		ds := w.daemonSet()
		same := ds.Spec.Template.String() == template.String()
		return same && ds.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType,
			fmt.Sprintf("strategy %s, template %s", ds.Spec.UpdateStrategy.Type, ds.Spec.Template.String())
	})
}

// wantQuiet fails when a pod of the agent is made, changed or deleted within d.
func (w *world) wantQuiet(d time.Duration) {
	w.t.Helper()
	list, err := w.cluster.Client.CoreV1().Pods(metav1.NamespaceDefault).List(w.t.Context(), metav1.ListOptions{LabelSelector: "app=example"})
	w.must(err, "list pods")
	seconds := int64(d.Seconds())
	watch, err := w.cluster.Client.CoreV1().Pods(metav1.NamespaceDefault).Watch(w.t.Context(), metav1.ListOptions{
		LabelSelector: "app=example", ResourceVersion: list.ResourceVersion, TimeoutSeconds: &seconds,
	})
	w.must(err, "watch pods")
	defer watch.Stop()
	for e := range watch.ResultChan() {
		if p, ok := e.Object.(*corev1.Pod); ok {
			w.t.Errorf("pod %s on %s: %s", p.Name, p.Spec.NodeName, e.Type)
		}
	}
}

// wantEvents fails unless there is an event of the NodeRollout for each of these
// reasons that names the commit it is about.
func (w *world) wantEvents(reasons ...string) {
	w.t.Helper()
	for _, reason := range reasons {
		w.until("there is an event "+reason, 15*time.Second, func() (bool, string) {
			list, err := w.cluster.Client.CoreV1().Events(metav1.NamespaceDefault).List(w.t.Context(), metav1.ListOptions{FieldSelector: fields.AndSelectors(
				fields.OneTermEqualSelector("involvedObject.name", agent), fields.OneTermEqualSelector("reason", reason),
			).String()})
			w.must(err, "list events")
			said := slices.ContainsFunc(list.Items, func(e corev1.Event) bool { return strings.Contains(e.Message, "commit ") })
			return said, fmt.Sprintf("%d of that reason", len(list.Items))
		})
	}
}

// wantRadius fails when the tag ran on more nodes than the two canaries, or on
// none.
func (r *recorder) wantRadius(t *testing.T, tag string) {
	t.Helper()
	if got := r.nodesOf(tag); len(got) == 0 || len(got) > 2 {
		t.Errorf("%s ran on %v, want 1 or 2 nodes", tag, got)
	}
}

// readySince is when the pod's Ready condition last changed.
func readySince(p *corev1.Pod) time.Time {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.LastTransitionTime.Time
		}
	}
	return time.Time{}
}
