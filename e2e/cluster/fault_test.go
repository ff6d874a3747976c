package cluster_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/e2e/cluster"
)

// allowance is how much longer than documented a fault may take: a second for the API's timestamps, the rest for a
// machine that is busy.
const allowance = 8 * time.Second

func isReady(a agent) bool   { return a.ready == corev1.ConditionTrue }
func isUnready(a agent) bool { return a.ready == corev1.ConditionFalse }

// fault creates a DaemonSet of one pod, with that tag on that node, in a namespace of the same name.
func fault(t *testing.T, c *cluster.Cluster, tag, node string) (namespaceName string) {
	t.Helper()
	ns := namespace(t, c, tag)
	daemonSet(t, c, ns, "agent", tag, node, appsv1.OnDeleteDaemonSetStrategyType)
	return ns
}

// between fails the test unless d is as documented.
func between(t *testing.T, what string, d, documented time.Duration) {
	t.Helper()
	if d < documented || d > documented+allowance {
		t.Errorf("%s took %s, want %s, at most %s more", what, d, documented, allowance)
	}
}

func testBad(t *testing.T, c *cluster.Cluster) {
	ns := fault(t, c, "bad", "node-0")
	awaitAgent(t, c, ns, "agent", patience, func(a agent) bool {
		if isReady(a) {
			t.Errorf("became Ready: %s", a)
		}
		return a.restarts >= 2 && a.waiting == "CrashLoopBackOff" && isUnready(a)
	})
}

func testStuck(t *testing.T, c *cluster.Cluster) {
	ns := fault(t, c, "stuck", "node-1")
	stuck := func(a agent) bool {
		return a.phase == corev1.PodRunning && isUnready(a) && a.restarts == 0 && a.waiting == ""
	}
	first := awaitAgent(t, c, ns, "agent", patience, stuck)
	throughout(t, 8*time.Second, "the stuck pod", func(ctx context.Context) (bool, string) {
		pod, err := c.Client.CoreV1().Pods(ns).Get(ctx, first.pod.Name, metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		return stuck(describe(pod)), describe(pod).String()
	})
}

func testFlaky(t *testing.T, c *cluster.Cluster) {
	ns := fault(t, c, "flaky", "node-2")
	ready := awaitAgent(t, c, ns, "agent", patience, isReady)
	failed := awaitAgent(t, c, ns, "agent", patience, isUnready)
	between(t, "the time from Ready to the first crash", failed.since.Sub(ready.since), 5*time.Second)
	looping := awaitAgent(t, c, ns, "agent", patience, func(a agent) bool { return a.restarts >= 2 && isUnready(a) })
	if !looping.since.Equal(failed.since) {
		t.Errorf("is not Ready since %s, want since the first crash at %s", looping.since, failed.since)
	}
}

// testLate updates the pod on the way, as rollcall does: that must not start the 45 s anew.
func testLate(t *testing.T, c *cluster.Cluster) {
	ns := fault(t, c, "late", "node-3")
	ready := awaitAgent(t, c, ns, "agent", patience, isReady)
	eventually(t, time.Minute, "half of the time", func(context.Context) (bool, string) {
		return time.Since(ready.since) > 20*time.Second, "not yet over"
	})
	label := []byte(`{"metadata":{"labels":{"touched":"true"}}}`)
	if _, err := c.Client.CoreV1().Pods(ns).Patch(t.Context(), ready.pod.Name, types.MergePatchType, label, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	failed := awaitAgent(t, c, ns, "agent", time.Minute, isUnready)
	between(t, "the time from Ready to the first crash", failed.since.Sub(ready.since), 45*time.Second)
	awaitAgent(t, c, ns, "agent", patience, func(a agent) bool { return a.restarts >= 1 && isUnready(a) })
}

func testSlow(t *testing.T, c *cluster.Cluster) {
	ns := fault(t, c, "slow", "node-4")
	ready := awaitAgent(t, c, ns, "agent", patience, isReady)
	between(t, "the time from bound to Ready", ready.since.Sub(ready.bound), 10*time.Second)
}

func testSlowDeath(t *testing.T, c *cluster.Cluster) {
	ns := fault(t, c, "slowdeath", "node-5")
	took := deletePod(t, c, ns, awaitAgent(t, c, ns, "agent", patience, isReady))
	between(t, "the time from deletion to the end", took, 14*time.Second)
}

func testDeath(t *testing.T, c *cluster.Cluster) {
	ns := fault(t, c, "healthy", "node-6")
	took := deletePod(t, c, ns, awaitAgent(t, c, ns, "agent", patience, isReady))
	between(t, "the time from deletion to the end", took, 0)
}

// deletePod deletes a pod and returns how long it took to be gone.
func deletePod(t *testing.T, c *cluster.Cluster, namespace string, a agent) time.Duration {
	t.Helper()
	from := time.Now()
	pods := c.Client.CoreV1().Pods(namespace)
	if err := pods.Delete(t.Context(), a.pod.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "pod "+a.pod.Name, func(ctx context.Context) (bool, string) {
		_, err := pods.Get(ctx, a.pod.Name, metav1.GetOptions{})
		return apierrors.IsNotFound(err), "still there"
	})
	return time.Since(from)
}

func testKiller(t *testing.T, c *cluster.Cluster) {
	const node = "node-7"
	ns := fault(t, c, "killer", node)
	ready := awaitAgent(t, c, ns, "agent", patience, isReady)
	down := awaitNode(t, c, node, time.Minute, corev1.ConditionFalse)
	between(t, "the time from the killer's Ready to the node's fall", down.LastTransitionTime.Sub(ready.since), 20*time.Second)
	throughout(t, 5*time.Second, node, func(ctx context.Context) (bool, string) {
		condition := awaitNode(t, c, node, patience, corev1.ConditionFalse)
		return condition.LastTransitionTime.Equal(&down.LastTransitionTime), fmt.Sprintf("%+v", condition)
	})
	if err := c.Client.AppsV1().DaemonSets(ns).Delete(t.Context(), "agent", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitNode(t, c, node, patience, corev1.ConditionTrue)
}

func testNoisy(t *testing.T, c *cluster.Cluster) {
	const node = "node-8"
	ns := namespace(t, c, "a-noisy") // Before all others by name: of several neighbours the first one suffers.
	daemonSet(t, c, ns, "neighbour", "v1", node, appsv1.OnDeleteDaemonSetStrategyType)
	awaitAgent(t, c, ns, "neighbour", patience, isReady)
	daemonSet(t, c, ns, "source", "noisy", node, appsv1.OnDeleteDaemonSetStrategyType)
	awaitAgent(t, c, ns, "source", patience, isReady)
	victim := awaitAgent(t, c, ns, "neighbour", patience, isUnready)
	if err := c.Client.AppsV1().DaemonSets(ns).Delete(t.Context(), "source", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	restored := awaitAgent(t, c, ns, "neighbour", patience, isReady)
	if restored.pod.UID != victim.pod.UID || restored.restarts != 0 {
		t.Errorf("want the same pod, not restarted; got %s in place of %s, %s", restored.pod.Name, victim.pod.Name, restored)
	}
}
