package apply

import (
	"context"
	"errors"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"

	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// A DaemonSet is made again for its selector only when somebody asks for it, at rest, and
// when each of its pods and no other one matches.
func TestRecreates(t *testing.T) {
	t.Parallel()
	type world struct {
		declared *unstructured.Unstructured
		live     *appsv1.DaemonSet
		rollout  *v1alpha1.NodeRollout
		pods     []*corev1.Pod
	}
	set := func(fields ...string) func(*world) {
		return func(w *world) {
			_ = unstructured.SetNestedField(w.declared.Object, fields[0], fields[1:]...)
		}
	}
	cases := map[string]struct {
		change func(*world)
		want   bool
		words  string
	}{
		"asked for, at rest, with pods that match": {change: func(*world) {}, want: true},
		"the selector is the same": {change: func(w *world) {
			w.live.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"role": "node"}}
		}},
		"there is none":          {change: func(w *world) { w.live = nil }},
		"nobody asks for it":     {change: set("false", "metadata", "annotations", v1alpha1.AnnotationRecreate), words: `set its annotation rollcall.dev/recreate: "true"`},
		"nothing is proven":      {change: func(w *world) { w.rollout.Status.Proven = nil }, words: "nothing of it is proven"},
		"a rollout is on":        {change: func(w *world) { w.rollout.Status.Phase = v1alpha1.PhaseSoaking }, words: "when its rollout is over, which is Soaking"},
		"a version was rejected": {change: func(w *world) { w.rollout.Status.Phase = v1alpha1.PhaseRejected }, want: true},
		"its nodes go back": {change: func(w *world) {
			w.rollout.Status.Phase, w.rollout.Status.InFlight = v1alpha1.PhaseRejected, []v1alpha1.InFlight{{Node: "n"}}
		}, words: "when its rollout is over"},
		"a pulse is open":      {change: func(w *world) { w.live.Spec.Template = *withGate(&w.live.Spec.Template) }, words: "when its rollout is over"},
		"it is being deleted":  {change: func(w *world) { w.live.DeletionTimestamp = ptr.To(metav1.Now()) }, words: "when it is gone"},
		"a pod does not match": {change: func(w *world) { delete(w.pods[1].Labels, "role") }, words: "1 of its 2 pods do not match the new one (such as b)"},
		"no template matches":  {change: func(w *world) { w.live.Spec.Template.Labels, w.pods = nil, nil }, words: "first add the labels"},
		"a pod of nobody matches": {change: func(w *world) {
			w.pods = append(w.pods, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "stray", Labels: map[string]string{"role": "node"}}})
		}, words: "1 pods that nobody controls match the new one (such as stray)"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own := []metav1.OwnerReference{{Kind: "DaemonSet", Name: "agent", UID: "one", Controller: ptr.To(true)}}
			both := map[string]string{"app": "agent", "role": "node"}
			pod := func(name string) *corev1.Pod {
				return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, OwnerReferences: own, Labels: map[string]string{"app": "agent", "role": "node"}}}
			}
			w := world{
				declared: &unstructured.Unstructured{Object: map[string]any{
					"apiVersion": "apps/v1", "kind": "DaemonSet",
					"metadata": map[string]any{"namespace": "ns", "name": "agent", "annotations": map[string]any{v1alpha1.AnnotationRecreate: "true"}},
					"spec":     map[string]any{"selector": map[string]any{"matchLabels": map[string]any{"role": "node"}}},
				}},
				live: &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "agent", UID: "one"}, Spec: appsv1.DaemonSetSpec{
					Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "agent"}},
					Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: both}},
				}},
				rollout: &v1alpha1.NodeRollout{Status: v1alpha1.NodeRolloutStatus{Phase: v1alpha1.PhaseProven, Proven: &v1alpha1.Version{Digest: "v1"}}},
				pods:    []*corev1.Pod{pod("a"), pod("b")},
			}
			c.change(&w)
			client := fake.NewClientset()
			for _, p := range w.pods {
				if err := client.Tracker().Add(p); err != nil {
					t.Fatal(err)
				}
			}
			r := &Rollouts{Kube: client}
			d := Declaration{DaemonSet: render.DaemonSet{Object: render.Object{Unstructured: w.declared, Source: "agent.yaml"}, Pinned: w.declared}}

			got, err := r.recreates(context.Background(), d, claimed{live: w.live, rollout: w.rollout})

			var held *Error
			if errors.As(err, &held) != (c.words != "") || err != nil && (held.Reason != ReasonImmutable || !strings.Contains(held.Message, c.words)) {
				t.Errorf("it is held by %v, want %q", err, c.words)
			}
			if got != c.want {
				t.Errorf("it is made again: %t, want %t", got, c.want)
			}
		})
	}
}

// Each kind says in its own words that a field cannot be changed.
func TestImmutable(t *testing.T) {
	t.Parallel()
	for words, want := range map[string]bool{
		`DaemonSet.apps "x" is invalid: spec.selector: Invalid value: {}: field is immutable`:                                                             true,
		`Service "x" is invalid: spec.clusterIPs[0]: Invalid value: ["10.0.0.2"]: may not change once set`:                                                true,
		`RoleBinding.rbac.authorization.k8s.io "x" is invalid: roleRef: Invalid value: {}: cannot change roleRef`:                                         true,
		`StorageClass.storage.k8s.io "x" is invalid: parameters: Forbidden: updates to parameters are forbidden.`:                                         true,
		`StatefulSet.apps "x" is invalid: spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals' are forbidden`:        true,
		`PriorityClass.scheduling.k8s.io "x" is invalid: value: Forbidden: may not be changed in an update.`:                                              true,
		`PersistentVolumeClaim "x" is invalid: spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName`: true,
		`ConfigMap "x" is invalid: data[a b]: Invalid value: "a b": a valid config key must consist of alphanumeric characters`:                           false,
	} {
		if got := immutable(errors.New(words)); got != want {
			t.Errorf("%s: %t, want %t", words, got, want)
		}
	}
}
