package watch

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// named is a pod of that name, made so long after the others.
func named(name string, after time.Duration) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Name, p.UID, p.CreationTimestamp = name, types.UID("uid-"+name), metav1.NewTime(made.Add(after))
	}
}

func on(node string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.NodeName = node }
}

func TestJoin(t *testing.T) {
	waiting := meant(field("metadata.name", corev1.NodeSelectorOpIn, "n2"))
	for sentence, c := range map[string]struct {
		nodes []*corev1.Node
		pods  []*corev1.Pod
		want  map[string][]string // names of pods by node, oldest first
		order []string            // of the nodes
	}{
		"nothing": {nil, nil, map[string][]string{}, nil},
		"nodes are sorted, and one without a pod is there": {
			[]*corev1.Node{node("n2"), node("n1")}, []*corev1.Pod{pod(named("a", 0))}, map[string][]string{"n1": {"a"}}, []string{"n1", "n2"},
		},
		"a pod that is meant for a node is the node's": {
			[]*corev1.Node{node("n1"), node("n2")}, []*corev1.Pod{pod(named("a", 0)), pod(waiting, named("b", 0))},
			map[string][]string{"n1": {"a"}, "n2": {"b"}}, []string{"n1", "n2"},
		},
		"of two pods on a node the oldest comes first": {
			[]*corev1.Node{node("n2")}, []*corev1.Pod{pod(waiting, named("a", time.Second)), pod(on("n2"), named("b", 0))},
			map[string][]string{"n2": {"b", "a"}}, []string{"n2"},
		},
		"of two pods of one second the order is that of their names": {
			[]*corev1.Node{node("n1")}, []*corev1.Pod{pod(named("b", 0)), pod(named("c", -time.Second)), pod(named("a", 0))},
			map[string][]string{"n1": {"c", "a", "b"}}, []string{"n1"},
		},
		"a pod of a node that is gone is nobody's": {
			[]*corev1.Node{node("n2")}, []*corev1.Pod{pod(named("a", 0))}, map[string][]string{}, []string{"n2"},
		},
		"a pod for no node is nobody's": {
			[]*corev1.Node{node("n1")}, []*corev1.Pod{pod(on(""))}, map[string][]string{}, []string{"n1"},
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			var order []string
			got := map[string][]string{}
			for _, n := range Join(c.nodes, c.pods, NewPlacement(&corev1.PodTemplateSpec{}), nil, func(revision string) string { return "digest of " + revision }) {
				order = append(order, n.Name)
				for _, a := range n.Agents {
					got[n.Name] = append(got[n.Name], a.Name)
					if a.Digest != "digest of abc" {
						t.Errorf("the digest of %s is %q, want that of its revision", a.Name, a.Digest)
					}
				}
			}
			if d := cmp.Diff(c.order, order); d != "" {
				t.Errorf("nodes (-want +got):\n%s", d)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("pods by node (-want +got):\n%s", d)
			}
		})
	}
}
