package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	quantity "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

func (s *standstill) meta(name, kind string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, UID: types.UID(kind + "-" + name), ResourceVersion: "1", Generation: 1, CreationTimestamp: metav1.NewTime(time.Unix(1_700_000_000, 0))}
}

func nodeNamed(i int) string {
	return fmt.Sprintf("ip-10-%d-%d-%d.eu-central-1.compute.internal", i>>16, i>>8&255, i&255)
}

// node is one as it is after some months: images, annotations, managed fields, and the
// labels of a cloud.
func (s *standstill) node(i int) *corev1.Node {
	n := &corev1.Node{ObjectMeta: s.meta(nodeNamed(i), "node")}
	n.Labels = map[string]string{corev1.LabelHostname: n.Name, corev1.LabelTopologyZone: fmt.Sprint("zone-", i%3)}
	for j := range 20 {
		n.Labels[fmt.Sprintf("label-%d.cloud.example.com/of-a-node-pool", j)] = fmt.Sprint("value-", j)
	}
	n.Annotations = map[string]string{"csi.volume.kubernetes.io/nodeid": strings.Repeat("a", 300)}
	n.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubelet", FieldsV1: &metav1.FieldsV1{Raw: make([]byte, 4096)}}}
	for j := range 50 {
		n.Status.Images = append(n.Status.Images, corev1.ContainerImage{Names: []string{fmt.Sprintf("registry.example.com/team-%d/image@sha256:%064d", j, j)}, SizeBytes: 1 << 28})
	}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastTransitionTime: n.CreationTimestamp}}
	n.Status.Capacity = corev1.ResourceList{corev1.ResourceCPU: quantity.MustParse("16"), corev1.ResourceMemory: quantity.MustParse("64Gi")}
	return n
}

// pod is one agent with what agents have: mounts, environment, three containers.
func (s *standstill) pod(i int) *corev1.Pod {
	set, controls := i%s.daemonSets, true
	owner := fmt.Sprint("agent-", set)
	p := &corev1.Pod{ObjectMeta: s.meta(fmt.Sprintf("%s-%05x", owner, i), "pod")}
	p.Namespace, p.Spec.NodeName = "kube-system", nodeNamed(i/s.daemonSets)
	p.Labels = map[string]string{"app": owner, appsv1.ControllerRevisionHashLabelKey: "7d9f8c6b5", "pod-template-generation": "7"}
	p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "DaemonSet", Name: owner, UID: types.UID("daemonset-" + owner), Controller: &controls}}
	p.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kube-controller-manager", FieldsV1: &metav1.FieldsV1{Raw: make([]byte, 2048)}}, {Manager: "kubelet", FieldsV1: &metav1.FieldsV1{Raw: make([]byte, 1024)}}}
	p.Spec.Containers = containers()
	for _, c := range p.Spec.Containers {
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{Name: c.Name, Image: c.Image, ImageID: "sha256:" + strings.Repeat("a", 64), ContainerID: "containerd://" + strings.Repeat("b", 64), Ready: true})
	}
	p.Status.Phase = corev1.PodRunning
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: p.CreationTimestamp}}
	return p
}

func containers() (out []corev1.Container) {
	for j := range 3 {
		c := corev1.Container{Name: fmt.Sprint("container-", j), Image: "registry.example.com/agent:v1.2.3", Args: []string{"--verbose", "--config=/etc/agent/config.yaml"}}
		for k := range 20 {
			c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprint("SETTING_", k), Value: "a value"})
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: fmt.Sprint("volume-", k), MountPath: fmt.Sprint("/mnt/", k)})
		}
		out = append(out, c)
	}
	return out
}

func (s *standstill) daemonSet(name string) *appsv1.DaemonSet {
	ds := &appsv1.DaemonSet{ObjectMeta: s.meta(name, "daemonset")}
	ds.Namespace = "kube-system"
	ds.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}
	ds.Spec.UpdateStrategy.Type = appsv1.OnDeleteDaemonSetStrategyType
	ds.Spec.Template = corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": name}}, Spec: corev1.PodSpec{Containers: containers()}}
	ds.Status.ObservedGeneration = 1
	return ds
}

func (s *standstill) revision(i int) *appsv1.ControllerRevision {
	owner, controls := fmt.Sprint("agent-", i), true
	r := &appsv1.ControllerRevision{ObjectMeta: s.meta(owner+"-7d9f8c6b5", "revision"), Revision: 1}
	r.Namespace = "kube-system"
	r.Labels = map[string]string{"app": owner, appsv1.ControllerRevisionHashLabelKey: "7d9f8c6b5"}
	r.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "DaemonSet", Name: owner, UID: types.UID("daemonset-" + owner), Controller: &controls}}
	raw, err := json.Marshal(map[string]any{"spec": map[string]any{"template": s.daemonSet(owner).Spec.Template}})
	if err != nil {
		panic(err)
	}
	r.Data = runtime.RawExtension{Raw: raw}
	return r
}
