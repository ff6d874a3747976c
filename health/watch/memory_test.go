package watch

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
)

// grown is a node as it is after some months: images, annotations, managed fields,
// and the labels of a cloud.
func grown(i int) *corev1.Node {
	n := node(fmt.Sprintf("ip-10-%d-%d-%d.eu-central-1.compute.internal", i>>16, i>>8&255, i&255), withHistory)
	n.UID, n.ResourceVersion = uid(i), fmt.Sprint(1_000_000+i)
	n.Labels["kubernetes.io/hostname"] = n.Name
	for j := range 20 {
		n.Labels[fmt.Sprintf("label-%d.cloud.example.com/of-a-node-pool", j)] = fmt.Sprintf("value-%d", j)
	}
	for j := range 50 {
		n.Status.Images = append(n.Status.Images, corev1.ContainerImage{
			Names: []string{fmt.Sprintf("registry.example.com/team-%d/image@sha256:%064d", j, j), fmt.Sprintf("registry.example.com/team-%d/image:v1.%d", j, j)}, SizeBytes: 1 << 28,
		})
	}
	for j := range 3 {
		n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: corev1.NodeConditionType(fmt.Sprintf("Pressure%d", j)), Status: corev1.ConditionFalse, Message: "kubelet has no pressure"})
	}
	n.Status.Capacity = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("16"), corev1.ResourceMemory: resource.MustParse("64Gi")}
	return n
}

// grownPod is an agent with what agents have: mounts, environment, three
// containers.
func grownPod(daemonSet, i int, node string) *corev1.Pod {
	p := pod(func(p *corev1.Pod) {
		p.Name, p.Namespace, p.UID = fmt.Sprintf("agent-%d-%05x", daemonSet, i), "kube-system", uid(daemonSet<<20+i)
		p.ResourceVersion, p.Spec.NodeName = fmt.Sprint(2_000_000+i), node
		p.Labels = map[string]string{"app": "agent", "app.kubernetes.io/name": "agent", "app.kubernetes.io/part-of": "platform",
			"controller-revision-hash": "7d9f8c6b5", "pod-template-generation": "7"}
		p.Annotations = map[string]string{"checksum/config": strings.Repeat("a", 64), "prometheus.io/scrape": "true"}
		p.OwnerReferences[0].Name, p.OwnerReferences[0].UID = fmt.Sprintf("agent-%d", daemonSet), uid(-1-daemonSet)
		p.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kube-controller-manager", FieldsV1: &metav1.FieldsV1{Raw: make([]byte, 2048)}}, {Manager: "kubelet", FieldsV1: &metav1.FieldsV1{Raw: make([]byte, 1024)}}}
	}, meant(field("metadata.name", corev1.NodeSelectorOpIn, node)))
	p.Spec.NodeName = node
	p.Spec.Containers, p.Status.ContainerStatuses = nil, nil
	for j := range 3 {
		c := corev1.Container{Name: fmt.Sprintf("container-%d", j), Image: "registry.example.com/agent:v1.2.3", Args: []string{"--verbose", "--config=/etc/agent/config.yaml"}}
		for k := range 20 {
			c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprintf("SETTING_%d", k), Value: "a value"})
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: fmt.Sprintf("volume-%d", k), MountPath: fmt.Sprintf("/mnt/%d", k)})
		}
		p.Spec.Containers = append(p.Spec.Containers, c)
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, well(c.Name, func(s *corev1.ContainerStatus) {
			s.Image, s.ImageID, s.ContainerID = c.Image, "sha256:"+strings.Repeat("a", 64), "containerd://"+strings.Repeat("b", 64)
		}))
	}
	for _, kind := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReadyToStartContainers} {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue})
	}
	return p
}

func withHistory(n *corev1.Node) {
	n.Annotations = map[string]string{"csi.volume.kubernetes.io/nodeid": strings.Repeat("a", 300), "node.alpha.kubernetes.io/ttl": "300"}
	n.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubelet", FieldsV1: &metav1.FieldsV1{Raw: make([]byte, 4096)}}}
}

func uid(i int) types.UID {
	return types.UID(fmt.Sprintf("%08x-0000-4000-8000-000000000000", uint32(i)))
}

// sent is the object as it comes out of a response: every string of its own.
func sent[T interface {
	Marshal() ([]byte, error)
	Unmarshal(data []byte) error
}](t testing.TB, in, out T) T {
	t.Helper()
	raw, err := in.Marshal()
	if err == nil {
		err = out.Unmarshal(raw)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// heap is how many bytes are in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// keep gives an object to an informer as its watch would.
func keep(t testing.TB, i cache.SharedIndexInformer, transform cache.TransformFunc, o any) {
	t.Helper()
	kept, err := transform(o)
	if err == nil {
		err = i.GetIndexer().Add(kept)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// 15,000 nodes with five agents each are to fit into 256 MiB beside all else that
// the process needs, with a garbage collector that doubles what is alive.
func TestMemoryOfALargeFleet(t *testing.T) {
	const nodes, daemonSets, foreign = 2000, 5, 5
	f, err := NewFleet(fake.NewClientset())
	if err != nil {
		t.Fatal(err)
	}
	start := heap()
	for i := range nodes {
		keep(t, f.nodes, trimNode, sent(t, grown(i), &corev1.Node{}))
	}
	perNode := (heap() - start) / nodes
	start = heap()
	for i := range nodes {
		for d := range daemonSets {
			keep(t, f.pods, trimPod, sent(t, grownPod(d, i, grown(i).Name), &corev1.Pod{}))
		}
	}
	perAgent := (heap() - start) / (nodes * daemonSets)
	start = heap()
	for i := range nodes {
		for d := range foreign {
			p := grownPod(100+d, i, "other")
			p.OwnerReferences[0].Kind = "Workflow"
			keep(t, f.pods, trimPod, sent(t, p, &corev1.Pod{}))
		}
	}
	perForeign := (heap() - start) / (nodes * foreign)
	t.Logf("bytes in use: %d for a node, %d for an agent, %d for a pod of somebody else", perNode, perAgent, perForeign)
	if all := 15000 * (perNode + 5*perAgent); all > 96<<20 {
		t.Errorf("15,000 nodes with 5 agents each take %d MiB, want at most 96", all>>20)
	}
	if perForeign > 700 {
		t.Errorf("a pod of somebody else takes %d bytes, want at most 700", perForeign)
	}
	runtime.KeepAlive(f)
}

// What the API server leaves out must be no pod of a DaemonSet.
func TestUnseen(t *testing.T) {
	for sentence, c := range map[string]struct {
		labels map[string]string
		want   string
	}{
		"a DaemonSet's":   {map[string]string{"controller-revision-hash": "7d9f8c6b5", "pod-template-generation": "7", "app": "agent"}, ""},
		"without a label": {nil, ""},
		"a Deployment's":  {map[string]string{"pod-template-hash": "7d9f8c6b5"}, "pod-template-hash"},
		"a StatefulSet's": {map[string]string{"controller-revision-hash": "web-7d9f8c6b5", "statefulset.kubernetes.io/pod-name": "web-0"}, "statefulset.kubernetes.io/pod-name"},
		"a Job's":         {map[string]string{"batch.kubernetes.io/job-name": "nightly"}, "batch.kubernetes.io/job-name"},
	} {
		if got := Unseen(c.labels); got != c.want {
			t.Errorf("%s: unseen for %q, want %q", sentence, got, c.want)
		}
	}
}
