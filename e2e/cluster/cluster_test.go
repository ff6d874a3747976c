package cluster_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/rollcall-dev/rollcall/e2e/cluster"
	"github.com/rollcall-dev/rollcall/e2e/fleet"
)

const nodes = 20

// TestCluster shows what a cluster does, on one cluster that all cases share. Each case has a namespace, and each
// fault a node, of its own.
func TestCluster(t *testing.T) {
	t.Parallel()
	c := start(t, cluster.Options{Nodes: nodes, Zones: 3, Audit: true})
	cases := map[string]func(*testing.T, *cluster.Cluster){
		"nodes are Ready, untainted and dealt over zones":            testNodes,
		"a DaemonSet with OnDelete reaches all nodes":                testOnDelete,
		"a DaemonSet with RollingUpdate reaches all nodes twice":     testRollingUpdate,
		"a gated pod waits for its gate":                             testGate,
		"a ServiceAccount may do nothing that no role lets it do":    testPowerless,
		"the audit log counts requests by user and verb":             testAudit,
		"a node is not Ready while a test says so":                   testSetNodeReady,
		"a lost node takes its pods along, and brings them back":     testLostNode,
		"bad crash-loops and is never Ready":                         testBad,
		"stuck runs, is never Ready and never restarts":              testStuck,
		"flaky fails 5 s after Ready and crash-loops":                testFlaky,
		"late fails 45 s after Ready, whatever updates the pod":      testLate,
		"slow needs 10 s to Ready":                                   testSlow,
		"slowdeath needs 15 s to end":                                testSlowDeath,
		"a healthy pod ends at once":                                 testDeath,
		"killer takes its node down after 20 s, while it is there":   testKiller,
		"noisy takes a pod of another owner down, while it is there": testNoisy,
	}
	t.Run("shared", func(t *testing.T) {
		for name, run := range cases {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				run(t, c)
			})
		}
	})
	t.Run("nodes come and go", func(t *testing.T) { testNodesComeAndGo(t, c) })
}

// start starts a cluster that ends with the test.
func start(t *testing.T, opts cluster.Options) *cluster.Cluster {
	t.Helper()
	c, err := cluster.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func testNodes(t *testing.T, c *cluster.Cluster) {
	list, err := c.Client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, node := range list.Items {
		got[node.Labels[corev1.LabelTopologyZone]]++
		got[node.Labels[corev1.LabelArchStable]]++
		got[node.Labels[corev1.LabelOSStable]]++
		got[node.Labels[fleet.PoolLabel]]++
	}
	want := map[string]int{
		"zone-a": 7, "zone-b": 7, "zone-c": 6, "amd64": 16, "arm64": 4, "linux": 20, fleet.PoolGeneral: 15, fleet.PoolEdge: 5,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("nodes by label (-want +got):\n%s", diff)
	}
}

func testOnDelete(t *testing.T, c *cluster.Cluster) {
	ns := namespace(t, c, "on-delete")
	daemonSet(t, c, ns, "agent", "v1", "", appsv1.OnDeleteDaemonSetStrategyType)
	awaitDaemonSet(t, c, ns, "agent", nodes)
}

func testRollingUpdate(t *testing.T, c *cluster.Cluster) {
	ns := namespace(t, c, "rolling-update")
	daemonSet(t, c, ns, "agent", "v1", "", appsv1.RollingUpdateDaemonSetStrategyType)
	awaitDaemonSet(t, c, ns, "agent", nodes)
	patch := `{"spec":{"updateStrategy":{"rollingUpdate":{"maxUnavailable":"50%"}},
		"template":{"spec":{"containers":[{"name":"agent","image":"example.com/agent:v2"}]}}}}`
	_, err := c.Client.AppsV1().DaemonSets(ns).Patch(t.Context(), "agent", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	awaitDaemonSet(t, c, ns, "agent", nodes)
}

func testGate(t *testing.T, c *cluster.Cluster) {
	ns := namespace(t, c, "gate")
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "gated", Labels: map[string]string{"app": "gated"}},
		Spec: corev1.PodSpec{
			SchedulingGates: []corev1.PodSchedulingGate{{Name: "example.com/gate"}},
			Containers:      []corev1.Container{{Name: "agent", Image: "example.com/agent:v1"}},
		},
	}
	pods := c.Client.CoreV1().Pods(ns)
	if _, err := pods.Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	throughout(t, 3*time.Second, "the gated pod", func(ctx context.Context) (bool, string) {
		pod, err := pods.Get(ctx, "gated", metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		return pod.Status.Phase == corev1.PodPending && pod.Spec.NodeName == "", describe(pod).String()
	})
	open := []byte(`[{"op":"remove","path":"/spec/schedulingGates"}]`)
	if _, err := pods.Patch(t.Context(), "gated", types.JSONPatchType, open, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitAgent(t, c, ns, "gated", patience, func(a agent) bool { return a.ready == corev1.ConditionTrue })
}

func testPowerless(t *testing.T, c *cluster.Cluster) {
	ns := namespace(t, c, "powerless")
	path, _, err := c.LogIn(t.Context(), ns, "default")
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("list nodes as a ServiceAccount without a role: want a 403, got %v", err)
	}
}

func testAudit(t *testing.T, c *cluster.Cluster) {
	ns := namespace(t, c, "audit")
	_, config, err := c.LogIn(t.Context(), ns, "default")
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := client.CoreV1().Secrets(ns).Get(t.Context(), "none", metav1.GetOptions{}); err == nil {
			t.Error("a ServiceAccount without a role could read a Secret")
		}
	}
	want := map[string]int{"get secrets 403": 3}
	eventually(t, patience, "the audit log", func(context.Context) (bool, string) {
		got := auditedRequests(t, c.AuditLog, "system:serviceaccount:"+ns+":default")
		return maps.Equal(got, want), fmt.Sprint(got)
	})
}

// auditedRequests counts the requests of a user by verb, resource and answer.
func auditedRequests(t *testing.T, path, user string) map[string]int {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	count := map[string]int{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var event auditv1.Event
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			continue // The last line may be half written.
		}
		if event.User.Username == user {
			count[fmt.Sprintf("%s %s %d", event.Verb, event.ObjectRef.Resource, event.ResponseStatus.Code)]++
		}
	}
	return count
}

func testSetNodeReady(t *testing.T, c *cluster.Cluster) {
	const node = "node-10"
	before := time.Now().Truncate(time.Second)
	if err := c.SetNodeReady(t.Context(), node, false); err != nil {
		t.Fatal(err)
	}
	throughout(t, 5*time.Second, node, func(ctx context.Context) (bool, string) {
		object, err := c.Client.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
		return err == nil && !fleet.Ready(object), fmt.Sprintf("Ready (%v)", err)
	})
	if err := c.SetNodeReady(t.Context(), node, true); err != nil {
		t.Fatal(err)
	}
	if ready := awaitNode(t, c, node, patience, corev1.ConditionTrue); ready.LastTransitionTime.Time.Before(before) {
		t.Errorf("node is Ready since %s, want after %s, when it was not", ready.LastTransitionTime, before)
	}
}

func testLostNode(t *testing.T, c *cluster.Cluster) {
	const node = "node-11"
	ns := namespace(t, c, "lost-node")
	daemonSet(t, c, ns, "agent", "v1", node, appsv1.OnDeleteDaemonSetStrategyType)
	first := awaitAgent(t, c, ns, "agent", patience, func(a agent) bool { return a.ready == corev1.ConditionTrue })
	if err := c.StopKubelet(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	awaitNode(t, c, node, patience, corev1.ConditionUnknown)
	throughout(t, 3*time.Second, "the pod of a lost node", func(ctx context.Context) (bool, string) {
		pod, err := c.Client.CoreV1().Pods(ns).Get(ctx, first.pod.Name, metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		a := describe(pod)
		return a.ready == corev1.ConditionFalse && a.phase == corev1.PodRunning, a.String()
	})
	if err := c.StartKubelet(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	again := awaitAgent(t, c, ns, "agent", patience, func(a agent) bool { return a.ready == corev1.ConditionTrue })
	if again.pod.UID != first.pod.UID || again.restarts != 0 {
		t.Errorf("want the same pod, not restarted; got %s in place of %s, %s", again.pod.Name, first.pod.Name, again)
	}
}

func testNodesComeAndGo(t *testing.T, c *cluster.Cluster) {
	names, err := c.AddNodes(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"node-20", "node-21"}, names); diff != "" {
		t.Errorf("new nodes (-want +got):\n%s", diff)
	}
	awaitDaemonSet(t, c, "on-delete", "agent", nodes+2)
	for _, name := range names {
		if err := c.DeleteNode(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	throughout(t, 2*time.Second, "the nodes", func(ctx context.Context) (bool, string) {
		list, err := c.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		return err == nil && len(list.Items) == nodes, fmt.Sprintf("%d nodes (%v)", len(list.Items), err)
	})
}
