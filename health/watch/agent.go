package watch

import (
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/health"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// newAgent reads what rollcall needs to know of one pod.
func newAgent(p *corev1.Pod) health.Agent {
	a := health.Agent{
		Name:        p.Name,
		UID:         p.UID,
		Version:     p.ResourceVersion,
		Revision:    p.Labels[appsv1.ControllerRevisionHashLabelKey],
		Created:     p.CreationTimestamp.Time,
		Gated:       gated(p.Spec.SchedulingGates),
		Unbound:     p.Spec.NodeName == "",
		Terminating: p.DeletionTimestamp != nil,
		Failed:      p.Status.Phase == corev1.PodFailed,
		Trouble:     trouble(p),
	}
	if p.DeletionTimestamp != nil { // that is when it has to be gone
		a.Deleted = p.DeletionTimestamp.Time
		if grace := p.DeletionGracePeriodSeconds; grace != nil {
			a.Deleted = a.Deleted.Add(-time.Duration(*grace) * time.Second)
		}
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			a.Ready, a.ReadySince = c.Status == corev1.ConditionTrue, c.LastTransitionTime.Time
		}
	}
	if a.ReadySince.Before(a.Created) {
		a.ReadySince = a.Created // the node's clock is behind: no pod is Ready before it exists
	}
	for _, c := range statuses(p) {
		a.Restarts += c.RestartCount
	}
	return a
}

// gated is whether rollcall's gate is among these.
func gated(gates []corev1.PodSchedulingGate) bool {
	return slices.ContainsFunc(gates, func(g corev1.PodSchedulingGate) bool { return g.Name == v1alpha1.WaveGate })
}

func statuses(p *corev1.Pod) []corev1.ContainerStatus {
	return slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses)
}

// trouble is the first waiting reason that is not a normal start, else the last
// termination of a container that is not Ready, else why the pod has no node.
func trouble(p *corev1.Pod) health.Trouble {
	for _, c := range statuses(p) {
		if w := c.State.Waiting; w != nil && !starting(w.Reason) {
			return health.Trouble{Reason: w.Reason, Message: w.Message}
		}
	}
	for _, c := range statuses(p) {
		if t := termination(c); t != nil {
			return health.Trouble{Reason: t.Reason, Message: t.Message}
		}
	}
	if t := homeless(p); t.Reason != "" {
		return t
	}
	return health.Trouble{Reason: p.Status.Reason, Message: p.Status.Message}
}

// homeless is why the pod has no node; empty when it has one, or is about to.
func homeless(p *corev1.Pod) health.Trouble {
	for _, c := range p.Status.Conditions {
		switch {
		case c.Type != corev1.PodScheduled || c.Status != corev1.ConditionFalse:
		case c.Reason == corev1.PodReasonSchedulingGated:
			return health.Trouble{Reason: health.ReasonGated, Message: "the pod waits for its scheduling gates: " + gateNames(p)}
		case c.Reason == corev1.PodReasonUnschedulable:
			return health.Trouble{Reason: health.ReasonUnschedulable, Message: c.Message}
		}
	}
	return health.Trouble{}
}

func gateNames(p *corev1.Pod) string {
	names := make([]string, 0, len(p.Spec.SchedulingGates))
	for _, g := range p.Spec.SchedulingGates {
		names = append(names, g.Name)
	}
	return strings.Join(names, ", ")
}

// starting are the waiting reasons of a container on its normal way up.
func starting(reason string) bool {
	return reason == "" || reason == "ContainerCreating" || reason == "PodInitializing"
}

// termination is how a container ended that should not have; nil when it runs
// well, or has done its work.
func termination(c corev1.ContainerStatus) *corev1.ContainerStateTerminated {
	if t := c.State.Terminated; t != nil && t.ExitCode != 0 {
		return t
	}
	if t := c.LastTerminationState.Terminated; t != nil && !c.Ready {
		return t
	}
	return nil
}

// nodeOf is the node that the pod is bound to, or meant for: the DaemonSet
// controller names it in the pod's affinity before the scheduler binds it.
func nodeOf(p *corev1.Pod) string {
	if p.Spec.NodeName != "" {
		return p.Spec.NodeName
	}
	if p.Spec.Affinity == nil || p.Spec.Affinity.NodeAffinity == nil || p.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return ""
	}
	for _, term := range p.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, f := range term.MatchFields {
			if f.Key == metav1.ObjectNameField && f.Operator == corev1.NodeSelectorOpIn && len(f.Values) == 1 {
				return f.Values[0]
			}
		}
	}
	return ""
}

// newNode reads what rollcall needs to know of one node.
func newNode(n *corev1.Node, p Placement, groupBy []string) health.Node {
	out := health.Node{
		Name:     n.Name,
		UID:      n.UID,
		Labels:   n.Labels,
		Created:  n.CreationTimestamp.Time,
		Cordoned: n.Spec.Unschedulable,
		Held:     n.Labels[v1alpha1.LabelHold] == "true",
		Virtual:  virtual(n),
		Eligible: p.Eligible(n),
		Leaving:  n.Spec.Unschedulable || n.DeletionTimestamp != nil,
	}
	out.Lost, out.Won = p.Change(n)
	if out.Won {
		p = *p.next
	}
	out.Schedulable, out.Taint = p.Schedulable(n)
	for _, t := range n.Spec.Taints {
		out.Leaving = out.Leaving || announcesEnd(t.Key)
	}
	out.Unreported = true
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			out.Ready, out.ReadySince = c.Status == corev1.ConditionTrue, c.LastTransitionTime.Time
			out.Unreported = c.Status == corev1.ConditionUnknown
		}
	}
	for _, key := range groupBy {
		out.Groups = append(out.Groups, n.Labels[key])
	}
	return out
}
