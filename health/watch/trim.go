package watch

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// trimPod keeps what decisions read of the pods of DaemonSets, and nothing but the
// name of any other.
func trimPod(o any) (any, error) {
	p, ok := o.(*corev1.Pod)
	if !ok {
		return o, nil
	}
	if ref := metav1.GetControllerOfNoCopy(p); ref == nil || ref.Kind != daemonSetKind {
		return &stranger{shared(p.Namespace), p.Name, p.ResourceVersion}, nil
	}
	noLater(p.Status.Conditions, time.Now())
	return newEntry(p), nil
}

// trimRevision empties the controller revisions of others.
func trimRevision(o any) (any, error) {
	r, ok := o.(*appsv1.ControllerRevision)
	if !ok {
		return o, nil
	}
	out := &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Name: r.Name, Namespace: r.Namespace, UID: r.UID, ResourceVersion: r.ResourceVersion, Labels: r.Labels,
			CreationTimestamp: r.CreationTimestamp, DeletionTimestamp: r.DeletionTimestamp, OwnerReferences: r.OwnerReferences,
		},
		Revision: r.Revision,
	}
	if ref := metav1.GetControllerOfNoCopy(r); ref != nil && ref.Kind == daemonSetKind {
		out.Data = r.Data
	}
	return out, nil
}

// trimDaemonSet keeps what tells that something has changed: decisions read
// DaemonSets live.
func trimDaemonSet(o any) (any, error) {
	ds, ok := o.(*appsv1.DaemonSet)
	if !ok || ds.Spec.Selector == nil { // no whole one is without
		return o, nil
	}
	out := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{
		Name: ds.Name, Namespace: ds.Namespace, UID: ds.UID, ResourceVersion: ds.ResourceVersion,
		Labels: map[string]string{v1alpha1.LabelOwner: ds.Labels[v1alpha1.LabelOwner]}, Annotations: map[string]string{annotationAround: Around(ds)},
	}}
	out.Spec.Template.Spec.SchedulingGates = ds.Spec.Template.Spec.SchedulingGates
	return out, nil
}

// noLater takes times that are yet to come, by a node's clock that is ahead, for
// those at which they were seen: what waits for them would wait for hours.
func noLater(conditions []corev1.PodCondition, seen time.Time) {
	for i := range conditions {
		if c := &conditions[i]; c.LastTransitionTime.After(seen) {
			c.LastTransitionTime = metav1.NewTime(seen)
		}
	}
}

func trimNode(o any) (any, error) {
	n, ok := o.(*corev1.Node)
	if !ok {
		return o, nil
	}
	var ready []corev1.NodeCondition
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			ready = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: shared(c.Status), LastTransitionTime: c.LastTransitionTime}}
		}
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: shared(n.Name), UID: n.UID, ResourceVersion: n.ResourceVersion, Labels: sharedLabels(n.Labels),
			CreationTimestamp: n.CreationTimestamp, DeletionTimestamp: n.DeletionTimestamp,
		},
		Spec:   corev1.NodeSpec{Unschedulable: n.Spec.Unschedulable, Taints: n.Spec.Taints},
		Status: corev1.NodeStatus{Conditions: ready},
	}, nil
}

// sharedLabels are the labels, in a map that is no larger than they are.
func sharedLabels(labels map[string]string) map[string]string {
	out := make(map[string]string, len(labels))
	for k, v := range labels {
		out[shared(k)] = shared(v)
	}
	return out
}

// nodeChanged leaves out heartbeats.
func nodeChanged(old, new *corev1.Node) bool {
	if old.UID != new.UID || old.Spec.Unschedulable != new.Spec.Unschedulable || !old.DeletionTimestamp.Equal(new.DeletionTimestamp) ||
		old.Labels[v1alpha1.LabelHold] != new.Labels[v1alpha1.LabelHold] {
		return true
	}
	return ready(old) != ready(new) || !equality.Semantic.DeepEqual(old.Spec.Taints, new.Spec.Taints) || !equality.Semantic.DeepEqual(old.Labels, new.Labels)
}

func ready(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}
