package watch

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// trimPod drops what no decision reads. A pod that no DaemonSet controls keeps
// nothing but its name.
func trimPod(o any) (any, error) {
	p, ok := o.(*corev1.Pod)
	if !ok {
		return o, nil
	}
	keep := metav1.ObjectMeta{
		Name: p.Name, Namespace: p.Namespace, UID: p.UID, ResourceVersion: p.ResourceVersion,
		CreationTimestamp: p.CreationTimestamp, DeletionTimestamp: p.DeletionTimestamp,
		DeletionGracePeriodSeconds: p.DeletionGracePeriodSeconds,
	}
	if ref := metav1.GetControllerOf(p); ref == nil || ref.Kind != "DaemonSet" {
		return &corev1.Pod{ObjectMeta: keep}, nil
	}
	keep.OwnerReferences, keep.Labels = p.OwnerReferences, p.Labels
	noLater(p.Status.Conditions, time.Now())
	p.Status.HostIPs, p.Status.PodIPs, p.Status.EphemeralContainerStatuses = nil, nil, nil
	return &corev1.Pod{ObjectMeta: keep, Status: p.Status, Spec: corev1.PodSpec{
		NodeName: p.Spec.NodeName, Affinity: p.Spec.Affinity, SchedulingGates: p.Spec.SchedulingGates,
	}}, nil
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
	ready := slices.DeleteFunc(slices.Clone(n.Status.Conditions), func(c corev1.NodeCondition) bool { return c.Type != corev1.NodeReady })
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: n.Name, UID: n.UID, ResourceVersion: n.ResourceVersion, Labels: n.Labels,
			CreationTimestamp: n.CreationTimestamp, DeletionTimestamp: n.DeletionTimestamp,
		},
		Spec:   corev1.NodeSpec{Unschedulable: n.Spec.Unschedulable, Taints: n.Spec.Taints},
		Status: corev1.NodeStatus{Conditions: ready},
	}, nil
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
