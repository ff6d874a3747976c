package watch

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// Placement is where a pod template wants to run.
type Placement struct {
	affinity    nodeaffinity.RequiredNodeAffinity
	tolerations []corev1.Toleration
	// next is where another one wants to run that is on its way; nil for none.
	next *Placement
	// virtual is whether it asks for virtual nodes.
	virtual bool
}

// Towards is the placement with the one that is to follow it: nodes that only one of
// the two wants are lost or won.
func (p Placement) Towards(next Placement) Placement {
	p.next = &next
	return p
}

// Change is whether the node is lost or won on the way to the placement that is to
// follow. One whose agent only that would lose, to a taint that passes, is lost too:
// the DaemonSet controller does not wait for it to pass.
func (p Placement) Change(n *corev1.Node) (lost, won bool) {
	if p.next == nil {
		return false, false
	}
	was, is := p.Eligible(n), p.next.Eligible(n)
	return was && (!is || p.next.evicts(n) && !p.evicts(n)), is && !was
}

// NewPlacement reads the placement of a template: node selector, required node
// affinity, and its tolerations with those that the DaemonSet controller adds.
func NewPlacement(t *corev1.PodTemplateSpec) Placement {
	return Placement{
		affinity:    nodeaffinity.GetRequiredNodeAffinity(&corev1.Pod{Spec: t.Spec}),
		tolerations: slices.Concat(t.Spec.Tolerations, daemonTolerations(t.Spec.HostNetwork)),
		virtual:     asksForVirtual(&t.Spec),
	}
}

// daemonTolerations are what the DaemonSet controller adds to every pod
// (k8s.io/kubernetes pkg/controller/daemon/util.AddOrUpdateDaemonPodTolerations).
func daemonTolerations(hostNetwork bool) []corev1.Toleration {
	exists := func(key string, effect corev1.TaintEffect) corev1.Toleration {
		return corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: effect}
	}
	out := []corev1.Toleration{
		exists(corev1.TaintNodeNotReady, corev1.TaintEffectNoExecute),
		exists(corev1.TaintNodeUnreachable, corev1.TaintEffectNoExecute),
		exists(corev1.TaintNodeDiskPressure, corev1.TaintEffectNoSchedule),
		exists(corev1.TaintNodeMemoryPressure, corev1.TaintEffectNoSchedule),
		exists(corev1.TaintNodePIDPressure, corev1.TaintEffectNoSchedule),
		exists(corev1.TaintNodeUnschedulable, corev1.TaintEffectNoSchedule),
	}
	if hostNetwork {
		out = append(out, exists(corev1.TaintNodeNetworkUnavailable, corev1.TaintEffectNoSchedule))
	}
	return out
}

// Eligible is whether the node should have an agent: selector and affinity
// match, no lasting taint keeps it out, and it is not virtual unless that is asked
// for. A passing taint (NotReady, disk pressure, an autoscaler's) makes an agent
// absent, not unwanted.
func (p Placement) Eligible(n *corev1.Node) bool {
	if match, err := p.affinity.Match(n); err != nil || !match || virtual(n) && !p.virtual {
		return false
	}
	for i := range n.Spec.Taints {
		if t := &n.Spec.Taints[i]; !passing(t.Key) && p.repels(t) {
			return false
		}
	}
	return true
}

// evicts is whether Kubernetes would end a pod of this placement on the node, by a
// taint that lasts or by one that passes.
func (p Placement) evicts(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Effect == corev1.TaintEffectNoExecute && p.repels(&t) })
}

// Schedulable is whether the DaemonSet controller would make a pod for the node
// now. The taint that forbids it is returned, as key=value:effect.
func (p Placement) Schedulable(n *corev1.Node) (bool, string) {
	if match, err := p.affinity.Match(n); err != nil || !match {
		return false, ""
	}
	for i := range n.Spec.Taints {
		if t := &n.Spec.Taints[i]; p.repels(t) {
			return false, fmt.Sprintf("%s=%s:%s", t.Key, t.Value, t.Effect)
		}
	}
	return true, ""
}

func (p Placement) repels(t *corev1.Taint) bool {
	if t.Effect != corev1.TaintEffectNoSchedule && t.Effect != corev1.TaintEffectNoExecute {
		return false
	}
	return !slices.ContainsFunc(p.tolerations, func(tol corev1.Toleration) bool { return tolerates(tol, t) })
}

// tolerates follows corev1.Toleration.ToleratesTaint, whose signature changes
// between Kubernetes versions.
func tolerates(tol corev1.Toleration, t *corev1.Taint) bool {
	switch {
	case tol.Effect != "" && tol.Effect != t.Effect, tol.Key != "" && tol.Key != t.Key:
		return false
	case tol.Operator == corev1.TolerationOpExists:
		return true
	case tol.Operator == "" || tol.Operator == corev1.TolerationOpEqual:
		return tol.Value == t.Value
	default:
		return false
	}
}

// passing taints come and go with the node's condition or announce its end.
func passing(key string) bool {
	return strings.HasPrefix(key, "node.kubernetes.io/") || strings.HasPrefix(key, "node.cloudprovider.kubernetes.io/") || announcesEnd(key)
}

// announcesEnd is whether an autoscaler taints a node so before it deletes it.
func announcesEnd(key string) bool {
	switch key {
	case "ToBeDeletedByClusterAutoscaler", "DeletionCandidateOfClusterAutoscaler", "karpenter.sh/disrupted", "karpenter.sh/disruption",
		"node.cloudprovider.kubernetes.io/shutdown":
		return true
	default:
		return false
	}
}
