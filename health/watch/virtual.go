package watch

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// mark is a label or a taint by which virtual nodes are known; an empty value is any.
type mark struct{ key, value string }

// virtualLabels are of virtual-kubelet, which AKS, ACK and others build on, of EKS
// Fargate and of Liqo.
func virtualLabels() []mark {
	return []mark{{"type", "virtual-kubelet"}, {"eks.amazonaws.com/compute-type", "fargate"}, {"liqo.io/type", "virtual-node"}}
}

// virtualTaints are what the same have for taints.
func virtualTaints() []mark {
	return []mark{{"virtual-kubelet.io/provider", ""}, {"azure.com/aci", ""}, {"eks.amazonaws.com/compute-type", "fargate"}, {"virtual-node.liqo.io/not-allowed", ""}}
}

// virtual nodes are no machines: whatever stands behind them runs single pods, and
// most of them never one of a DaemonSet. Such a pod is Pending for ever.
func virtual(n *corev1.Node) bool {
	for _, m := range virtualLabels() {
		if n.Labels[m.key] == m.value {
			return true
		}
	}
	return slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool {
		return slices.ContainsFunc(virtualTaints(), func(m mark) bool { return m.key == t.Key && (m.value == "" || m.value == t.Value) })
	})
}

// asksForVirtual is whether a template names virtual nodes: by their label in its
// nodeSelector or required affinity, or by their taint in a toleration. To tolerate
// every taint asks for nothing.
func asksForVirtual(s *corev1.PodSpec) bool {
	for _, m := range virtualLabels() {
		if s.NodeSelector[m.key] == m.value {
			return true
		}
	}
	named := func(t corev1.Toleration) bool {
		return slices.ContainsFunc(virtualTaints(), func(m mark) bool { return m.key == t.Key })
	}
	return slices.ContainsFunc(s.Tolerations, named) || requiresVirtual(s.Affinity)
}

func requiresVirtual(a *corev1.Affinity) bool {
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return false
	}
	for _, term := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, e := range term.MatchExpressions {
			for _, m := range virtualLabels() {
				if e.Key == m.key && e.Operator == corev1.NodeSelectorOpIn && slices.Contains(e.Values, m.value) {
					return true
				}
			}
		}
	}
	return false
}
