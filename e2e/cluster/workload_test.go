package cluster_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/rollcall-dev/rollcall/e2e/cluster"
)

const patience = 30 * time.Second

// namespace creates a namespace, and waits for the ServiceAccount that its pods need.
func namespace(t *testing.T, c *cluster.Cluster, name string) string {
	t.Helper()
	object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := c.Client.CoreV1().Namespaces().Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatalf("create namespace %s: %v", name, err)
	}
	eventually(t, patience, "the namespace's ServiceAccount", func(ctx context.Context) (bool, string) {
		_, err := c.Client.CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, fmt.Sprint(err)
	})
	return name
}

// daemonSet creates a DaemonSet whose only container has an image of that tag. An empty node is every node.
func daemonSet(t *testing.T, c *cluster.Cluster, namespace, name, tag, node string, strategy appsv1.DaemonSetUpdateStrategyType) {
	t.Helper()
	labels := map[string]string{"app": name}
	object := &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: appsv1.DaemonSetSpec{
			Selector:       &metav1.LabelSelector{MatchLabels: labels},
			UpdateStrategy: appsv1.DaemonSetUpdateStrategy{Type: strategy},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "agent", Image: "example.com:5000/agent:" + tag}}},
			},
		},
	}
	if node != "" {
		object.Spec.Template.Spec.NodeSelector = map[string]string{corev1.LabelHostname: node}
	}
	if _, err := c.Client.AppsV1().DaemonSets(namespace).Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatalf("create DaemonSet %s: %v", name, err)
	}
}

// agent is what a test asks about the one pod of a DaemonSet that runs on one node.
type agent struct {
	pod      *corev1.Pod
	phase    corev1.PodPhase
	ready    corev1.ConditionStatus
	since    time.Time
	bound    time.Time
	restarts int32
	waiting  string
}

func (a agent) String() string {
	return fmt.Sprintf("phase=%s ready=%q since %s, restarts=%d waiting=%q", a.phase, a.ready, a.since.Format(time.TimeOnly), a.restarts, a.waiting)
}

func describe(pod *corev1.Pod) agent {
	a := agent{pod: pod, phase: pod.Status.Phase}
	for _, condition := range pod.Status.Conditions {
		switch condition.Type {
		case corev1.PodReady:
			a.ready, a.since = condition.Status, condition.LastTransitionTime.Time
		case corev1.PodScheduled:
			a.bound = condition.LastTransitionTime.Time
		}
	}
	for _, status := range pod.Status.ContainerStatuses {
		a.restarts += status.RestartCount
		if status.State.Waiting != nil {
			a.waiting = status.State.Waiting.Reason
		}
	}
	return a
}

// awaitAgent waits until the one pod of the app in the namespace is as wanted, and returns it.
func awaitAgent(t *testing.T, c *cluster.Cluster, namespace, app string, timeout time.Duration, want func(agent) bool) agent {
	t.Helper()
	var found agent
	eventually(t, timeout, "the pod of "+app, func(ctx context.Context) (bool, string) {
		pods, err := c.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + app})
		if err != nil {
			return false, err.Error()
		}
		if len(pods.Items) != 1 {
			return false, fmt.Sprintf("%d pods", len(pods.Items))
		}
		found = describe(&pods.Items[0])
		return want(found), found.String()
	})
	return found
}

// awaitDaemonSet waits until the DaemonSet has n pods, all of the current template, Ready and available.
func awaitDaemonSet(t *testing.T, c *cluster.Cluster, namespace, name string, n int32) { //nolint:unparam // as kubectl names it
	t.Helper()
	eventually(t, patience, "DaemonSet "+name, func(ctx context.Context) (bool, string) {
		object, err := c.Client.AppsV1().DaemonSets(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		status := object.Status
		done := status.ObservedGeneration == object.Generation && status.NumberReady == n && status.UpdatedNumberScheduled == n
		return done, fmt.Sprintf("%d ready, %d updated of %d", status.NumberReady, status.UpdatedNumberScheduled, n)
	})
}

// awaitNode waits until the Ready condition of the node has that status, and returns the condition.
func awaitNode(t *testing.T, c *cluster.Cluster, name string, timeout time.Duration, want corev1.ConditionStatus) corev1.NodeCondition {
	t.Helper()
	var ready corev1.NodeCondition
	eventually(t, timeout, "node "+name, func(ctx context.Context) (bool, string) {
		node, err := c.Client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		for _, condition := range node.Status.Conditions {
			if condition.Type == corev1.NodeReady {
				ready = condition
			}
		}
		return ready.Status == want, fmt.Sprintf("Ready=%s", ready.Status)
	})
	return ready
}

// eventually polls until check says true, or fails the test with the last state that check described.
func eventually(t *testing.T, timeout time.Duration, what string, check func(ctx context.Context) (ok bool, state string)) {
	t.Helper()
	last := "never looked"
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, timeout, true, func(ctx context.Context) (bool, error) {
		ok, state := check(ctx)
		if ctx.Err() == nil {
			last = state
		}
		return ok, nil
	})
	if err != nil {
		t.Fatalf("%s is not as wanted after %s: %s", what, timeout, last)
	}
}

// throughout fails the test if check says false before d has passed.
func throughout(t *testing.T, d time.Duration, what string, check func(ctx context.Context) (ok bool, state string)) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, d, true, func(ctx context.Context) (bool, error) {
		if ok, state := check(ctx); !ok && ctx.Err() == nil {
			return false, fmt.Errorf("%s: %s", what, state)
		}
		return false, nil
	})
	if !wait.Interrupted(err) {
		t.Fatal(err)
	}
}
