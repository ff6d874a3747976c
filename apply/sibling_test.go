package apply

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"
)

func ofImage(image string) *corev1.PodTemplateSpec {
	return &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "agent", Image: image}}}}
}

// controlledBy is the revision as the DaemonSet's own.
func controlledBy(by *appsv1.DaemonSet, hash string, number int64, t *corev1.PodTemplateSpec) *appsv1.ControllerRevision {
	out := revisionOf(by.Name+"-"+hash, number, t)
	out.Namespace, out.Labels = by.Namespace, map[string]string{"app": "agent", appsv1.ControllerRevisionHashLabelKey: hash}
	out.OwnerReferences = []metav1.OwnerReference{{Kind: "DaemonSet", Name: by.Name, UID: by.UID, Controller: ptr.To(true)}}
	return out
}

// Two DaemonSets with the same labels, of which one's name begins with the other's:
// each has its own revisions, even such as have the hash of the other's.
func TestASiblingsRevisionsAreItsOwn(t *testing.T) {
	t.Parallel()
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "agent"}}
	mine := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "agent", Namespace: "ns", UID: "mine"}, Spec: appsv1.DaemonSetSpec{Selector: selector}}
	sibling := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "agent-gpu", Namespace: "ns", UID: "theirs"}, Spec: appsv1.DaemonSetSpec{Selector: selector}}
	former := mine.DeepCopy()
	former.UID = "deleted and made again"
	orphan := controlledBy(mine, "0rphan", 9, ofImage("a:3"))
	orphan.OwnerReferences = nil
	old := controlledBy(former, "f0rmer", 8, ofImage("a:4"))
	r := &Rollouts{Kube: fake.NewClientset(controlledBy(mine, "1", 1, ofImage("a:1")), controlledBy(sibling, "1", 7, ofImage("a:2")), orphan, old)}
	for _, c := range []struct {
		of   *appsv1.DaemonSet
		want []string
	}{{mine, []string{"agent-1"}}, {sibling, []string{"agent-gpu-1"}}} {
		found, err := r.liveRevisions(t.Context(), c.of)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, o := range found {
			names = append(names, o.Name)
		}
		if d := cmp.Diff(c.want, names); d != "" {
			t.Errorf("revisions of %s (-want +got):\n%s", c.of.Name, d)
		}
	}
}

// When two templates have one hash, the DaemonSet controller counts the collision and
// hashes again: the later revision's name says nothing of its content. Revisions are
// told apart by what is in them, and which one is live is not by their number.
func TestRevisionsAfterACollision(t *testing.T) {
	t.Parallel()
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "agent", Namespace: "ns", UID: "mine"}, Status: appsv1.DaemonSetStatus{CollisionCount: ptr.To[int32](1)}}
	digest := func(t *corev1.PodTemplateSpec) string {
		return map[string]string{"a:1": "one", "a:2": "two"}[t.Spec.Containers[0].Image]
	}
	got, err := newRevisions([]*appsv1.ControllerRevision{
		controlledBy(ds, "abc", 3, ofImage("a:1")), controlledBy(ds, "rehashed", 2, ofImage("a:2")), controlledBy(ds, "gated", 4, withGate(ofImage("a:2"))),
	}, ofImage("a:2"), digest)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]string{"abc": "one", "rehashed": "two", "gated": "two"}, got.digests); d != "" {
		t.Errorf("versions by hash (-want +got):\n%s", d)
	}
	if got.live != "rehashed" || got.names["two"] != "agent-rehashed" || got.names["one"] != "agent-abc" {
		t.Errorf("the live hash is %q, and the names are %v", got.live, got.names)
	}
}
