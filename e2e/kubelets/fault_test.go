package kubelets

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/e2e/fleet"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.January, 1, 12, 0, 0, 0, time.UTC)
	readyFor := func(d time.Duration) func(*corev1.Pod) {
		return func(pod *corev1.Pod) {
			pod.Status.Conditions = []corev1.PodCondition{{
				Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now.Add(-d)),
			}}
		}
	}
	for name, test := range map[string]struct {
		nodes []*corev1.Node
		pods  []*corev1.Pod
		want  []mark
		again time.Duration
	}{
		"healthy pods mark nothing": {
			nodes: []*corev1.Node{node("n1")},
			pods:  []*corev1.Pod{pod("ns/a", "v1", "n1", readyFor(time.Hour))},
		},
		"a killer that is not Ready yet marks nothing": {
			nodes: []*corev1.Node{node("n1")},
			pods:  []*corev1.Pod{pod("ns/a", tagKiller, "n1")},
		},
		"a killer marks its node after 20 s, and asks for another look till then": {
			nodes: []*corev1.Node{node("n1"), node("n2")},
			pods: []*corev1.Pod{
				pod("ns/a", tagKiller, "n1", readyFor(20*time.Second)),
				pod("ns/b", tagKiller, "n2", readyFor(13*time.Second)),
			},
			want:  []mark{{Name: "n1", UID: "n1", Cause: causePrefix + "a"}},
			again: 7 * time.Second,
		},
		"a marked node stays so while a killer is there, Ready or not": {
			nodes: []*corev1.Node{node("n1", markedBy("a"))},
			pods:  []*corev1.Pod{pod("ns/a", tagKiller, "n1")},
		},
		"a marked node recovers when its killer is gone": {
			nodes: []*corev1.Node{node("n1", markedBy("a"))},
			pods:  []*corev1.Pod{pod("ns/b", "v1", "n1", readyFor(time.Hour))},
			want:  []mark{{Name: "n1", UID: "n1"}},
		},
		"the mark of a test is not taken away": {
			nodes: []*corev1.Node{node("n1", func(meta *metav1.ObjectMeta) {
				meta.Annotations = map[string]string{fleet.NotReadyAnnotation: "set by a test"}
			})},
		},
		"a noisy pod marks the first Ready pod of another owner on its node": {
			nodes: []*corev1.Node{node("n1"), node("n2")},
			pods: []*corev1.Pod{
				pod("ns/z", "v1", "n1", readyFor(time.Hour)),
				pod("ns/noisy", tagNoisy, "n1", readyFor(0)),
				pod("ns/elsewhere", "v1", "n2", readyFor(time.Hour)),
				pod("ns/b-unready", "v1", "n1"),
				pod("ns/c", "v1", "n1", readyFor(time.Hour)),
			},
			want: []mark{{Namespace: "ns", Name: "c", UID: "ns/c", Cause: causePrefix + "noisy"}},
		},
		"a noisy pod spares the pods of its own owner": {
			nodes: []*corev1.Node{node("n1")},
			pods: []*corev1.Pod{
				pod("ns/a", "v1", "n1", readyFor(time.Hour), ownedBy("agents")),
				pod("ns/noisy", tagNoisy, "n1", readyFor(0), ownedBy("agents")),
			},
		},
		"a noisy pod has one victim at a time": {
			nodes: []*corev1.Node{node("n1")},
			pods: []*corev1.Pod{
				pod("ns/a", "v1", "n1", readyFor(time.Hour)),
				pod("ns/noisy", tagNoisy, "n1", readyFor(0)),
				pod("ns/victim", "v1", "n1", func(pod *corev1.Pod) { markedBy("noisy")(&pod.ObjectMeta) }),
			},
		},
		"a victim recovers when no noisy pod is left": {
			nodes: []*corev1.Node{node("n1")},
			pods:  []*corev1.Pod{pod("ns/victim", "v1", "n1", func(pod *corev1.Pod) { markedBy("noisy")(&pod.ObjectMeta) })},
			want:  []mark{{Namespace: "ns", Name: "victim", UID: "ns/victim"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, again := decide(test.nodes, test.pods, now)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("marks (-want +got):\n%s", diff)
			}
			if again != test.again {
				t.Errorf("look again after %s, want %s", again, test.again)
			}
		})
	}
}

// TestStages shows that each stage can be read, and that no stage brings a held node back.
func TestStages(t *testing.T) {
	t.Parallel()
	byKind, err := stages()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for kind, all := range byKind {
		for _, stage := range all {
			got[kind.Kind] = append(got[kind.Kind], stage.Name)
		}
	}
	want := map[string][]string{
		"Node": {"node-initialize", "node-hold-unready", "node-return"},
		"Pod": {
			"pod-ready", "pod-complete", "pod-delete", "pod-start-unready", "pod-crash", "pod-restart",
			"pod-hold-unready", "pod-repair", "pod-ready-slow", "pod-delete-slowdeath",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stages (-want +got):\n%s", diff)
	}
}

func node(name string, mutate ...func(*metav1.ObjectMeta)) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}}
	for _, f := range mutate {
		f(&n.ObjectMeta)
	}
	return n
}

// pod returns a pod, "namespace/name", of an image with that tag, on that node, whose UID is its key.
func pod(key, tag, node string, mutate ...func(*corev1.Pod)) *corev1.Pod {
	namespace, name, _ := strings.Cut(key, "/")
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(key)},
		Spec: corev1.PodSpec{
			NodeName:   node,
			Containers: []corev1.Container{{Name: "agent", Image: "example.com:5000/agent:" + tag}},
		},
	}
	for _, f := range mutate {
		f(p)
	}
	return p
}

func markedBy(pod string) func(*metav1.ObjectMeta) {
	return func(meta *metav1.ObjectMeta) {
		meta.Annotations = map[string]string{fleet.NotReadyAnnotation: causePrefix + pod}
	}
}

func ownedBy(owner types.UID) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.OwnerReferences = []metav1.OwnerReference{{UID: owner, Controller: new(true)}}
	}
}
