package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/rollcall-dev/rollcall/e2e/fleet"
)

const (
	nodeTimeout = time.Minute
	pollEvery   = 100 * time.Millisecond
)

// AddNodes adds n nodes, in zones like those before, and returns their names when all are Ready and untainted.
func (c *Cluster) AddNodes(ctx context.Context, n int) ([]string, error) {
	nodes, err := c.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	return fleet.Join(ctx, c.Client, fleet.NextIndex(nodes.Items), n, c.zones)
}

// DeleteNode deletes a node. Its pods stay until the pod garbage collector takes them, up to a minute later.
func (c *Cluster) DeleteNode(ctx context.Context, name string) error {
	if err := c.Client.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return fmt.Errorf("delete node %s: %w", name, err)
	}
	return nil
}

// SetNodeReady makes the kubelet of a node report it as not Ready (Ready=False) until further notice, or as Ready
// again, and returns when the node says so. The kubelet itself works all the while: pods start, run and end.
func (c *Cluster) SetNodeReady(ctx context.Context, name string, ready bool) error {
	var cause any // Null takes the annotation away.
	if !ready {
		cause = "set by a test"
	}
	err := c.patchNode(ctx, name, "", map[string]any{"metadata": map[string]any{
		"annotations": map[string]any{fleet.NotReadyAnnotation: cause},
	}})
	if err != nil {
		return err
	}
	return c.waitNodeReady(ctx, name, ready)
}

// StopKubelet cuts the power of a node: its pods neither start nor end, and it is Unknown, and its pods not Ready, as
// the node lifecycle controller would say 50 s after the kubelet's last sign of life.
func (c *Cluster) StopKubelet(ctx context.Context, name string) error {
	if err := c.setKubelet(ctx, name, fleet.KubeletStopped); err != nil {
		return err
	}
	now := metav1.Now()
	err := c.patchNode(ctx, name, "status", map[string]any{"status": map[string]any{
		"conditions": []corev1.NodeCondition{{
			Type:               corev1.NodeReady,
			Status:             corev1.ConditionUnknown,
			Reason:             "NodeStatusUnknown",
			Message:            "Kubelet stopped posting node status.",
			LastHeartbeatTime:  now,
			LastTransitionTime: now,
		}},
	}})
	if err != nil {
		return err
	}
	// KWOK may learn of the pods before it learns of the node, and repair them once more: two looks must agree.
	agreed := 0
	err = wait.PollUntilContextTimeout(ctx, pollEvery, nodeTimeout, true, func(ctx context.Context) (bool, error) {
		marked, err := c.markPodsNotReady(ctx, name)
		if agreed++; marked > 0 {
			agreed = 0
		}
		return agreed == 2, err
	})
	if err != nil {
		return fmt.Errorf("mark pods of node %s not Ready: %w", name, err)
	}
	return nil
}

// StartKubelet gives a node its power back and returns when it is Ready. Its pods follow.
func (c *Cluster) StartKubelet(ctx context.Context, name string) error {
	if err := c.setKubelet(ctx, name, fleet.KubeletRunning); err != nil {
		return err
	}
	return c.waitNodeReady(ctx, name, true)
}

func (c *Cluster) setKubelet(ctx context.Context, node, state string) error {
	return c.patchNode(ctx, node, "", map[string]any{"metadata": map[string]any{
		"labels": map[string]any{fleet.KubeletLabel: state},
	}})
}

// patchNode applies a strategic merge patch to the node, or to its subresource if that is not empty.
func (c *Cluster) patchNode(ctx context.Context, name, subresource string, patch map[string]any) error {
	text, err := json.Marshal(patch)
	if err != nil {
		return fmt.Errorf("encode patch of node %s: %w", name, err)
	}
	var subresources []string
	if subresource != "" {
		subresources = []string{subresource}
	}
	_, err = c.Client.CoreV1().Nodes().Patch(ctx, name, types.StrategicMergePatchType, text, metav1.PatchOptions{}, subresources...)
	if err != nil {
		return fmt.Errorf("patch node %s: %w", name, err)
	}
	return nil
}

// markPodsNotReady sets the Ready condition of each Ready pod of a node to False, as the node lifecycle controller
// does, and returns how many these were.
func (c *Cluster) markPodsNotReady(ctx context.Context, node string) (int, error) {
	pods, err := c.Client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + node})
	if err != nil {
		return 0, fmt.Errorf("list pods of node %s: %w", node, err)
	}
	patch := fmt.Sprintf(`{"status":{"conditions":[{"type":"Ready","status":"False","lastTransitionTime":%q}]}}`,
		metav1.Now().UTC().Format(time.RFC3339))
	marked := 0
	for _, pod := range pods.Items {
		if !podReady(&pod) {
			continue
		}
		marked++
		_, err := c.Client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, []byte(patch),
			metav1.PatchOptions{}, "status")
		if err != nil {
			return marked, fmt.Errorf("patch pod %s: %w", pod.Name, err)
		}
	}
	return marked, nil
}

func podReady(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

func (c *Cluster) waitNodeReady(ctx context.Context, name string, ready bool) error {
	err := wait.PollUntilContextTimeout(ctx, pollEvery, nodeTimeout, true, func(ctx context.Context) (bool, error) {
		node, err := c.Client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		return err == nil && fleet.Ready(node) == ready, err
	})
	if err != nil {
		return fmt.Errorf("wait for node %s to be Ready=%t: %w", name, ready, err)
	}
	return nil
}
