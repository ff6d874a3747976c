// Package fleet describes the fake nodes of a test cluster: what they are called, which labels they carry, and
// the marks by which a test or an injected fault steers their kubelets.
package fleet

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// KubeletLabel says whether the fake kubelet of a node runs. While it is KubeletRunning, KWOK keeps the node
	// Ready, renews its lease and plays its pods. With any other value the node is as if its power were cut.
	KubeletLabel = "e2e.rollcall.dev/kubelet"
	// KubeletRunning is the value of a node that works.
	KubeletRunning = "running"
	// KubeletStopped is the value of a node without power.
	KubeletStopped = "stopped"

	// NotReadyAnnotation on a node or a pod makes its kubelet report it as not Ready for as long as it is there.
	// The value is the cause, which becomes the message of the condition.
	NotReadyAnnotation = "e2e.rollcall.dev/not-ready"

	// KwokAnnotation marks every fake node, as in KWOK's own documentation.
	KwokAnnotation = "kwok.x-k8s.io/node"

	// PoolLabel puts each node into one of two pools: PoolGeneral, or every fourth node PoolEdge.
	PoolLabel = "pool"
	// PoolGeneral is the pool of most nodes.
	PoolGeneral = "general"
	// PoolEdge is the pool of every fourth node.
	PoolEdge = "edge"

	namePrefix     = "node-"
	kubeletVersion = "v1.36.3"
)

// Node returns the fake node of that index, counted from 0. Zones are dealt in turn ("zone-a", "zone-b", ...);
// every fourth node is in PoolEdge and every fifth is arm64, so that the three kinds of group do not coincide.
func Node(index, zones int) *corev1.Node {
	name := namePrefix + strconv.Itoa(index)
	arch, pool := "amd64", PoolGeneral
	if index%5 == 4 {
		arch = "arm64"
	}
	if index%4 == 3 {
		pool = PoolEdge
	}
	capacity := corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("32"),
		corev1.ResourceMemory: resource.MustParse("256Gi"),
		corev1.ResourcePods:   resource.MustParse("110"),
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Annotations: map[string]string{KwokAnnotation: "fake", "node.alpha.kubernetes.io/ttl": "0"},
			Labels: map[string]string{
				corev1.LabelHostname:     name,
				corev1.LabelOSStable:     "linux",
				corev1.LabelArchStable:   arch,
				corev1.LabelTopologyZone: zoneName(index % max(zones, 1)),
				PoolLabel:                pool,
				KubeletLabel:             KubeletRunning,
			},
		},
		Status: corev1.NodeStatus{
			Capacity:    capacity,
			Allocatable: maps.Clone(capacity),
			NodeInfo:    corev1.NodeSystemInfo{Architecture: arch, OperatingSystem: "linux", KubeletVersion: kubeletVersion},
		},
	}
}

// zoneName returns zone-a to zone-z, and zone-26 and so on after these.
func zoneName(index int) string {
	if index < 26 {
		return "zone-" + string(rune('a'+index))
	}
	return fmt.Sprintf("zone-%d", index)
}

// NextIndex returns the index after the highest of the fake nodes given.
func NextIndex(nodes []corev1.Node) int {
	next := 0
	for _, node := range nodes {
		index, err := strconv.Atoi(strings.TrimPrefix(node.Name, namePrefix))
		if err == nil && index >= next {
			next = index + 1
		}
	}
	return next
}

// Ready says whether the node's Ready condition is True.
func Ready(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// joined says whether the node is Ready and carries no taint: new nodes stay tainted until the node lifecycle
// controller has seen them Ready.
func joined(node *corev1.Node) bool {
	return Ready(node) && len(node.Spec.Taints) == 0
}
