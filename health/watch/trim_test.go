package watch

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// What the cache drops must be nothing that a decision reads.
func TestATrimmedPodIsTheSameAgent(t *testing.T) {
	inflated := func(p *corev1.Pod) {
		p.Annotations = map[string]string{"example.com/a": "b"}
		p.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubelet"}}
		p.Spec.Volumes = []corev1.Volume{{Name: "host"}}
	}
	for sentence, p := range map[string]*corev1.Pod{
		"one that runs well":                 pod(inflated),
		"one that crashes":                   pod(inflated, containers(well("a", waits("CrashLoopBackOff"), endedBefore("Error"), restarts(3)))),
		"one whose sidecar crashes":          pod(inflated, initContainers(well("proxy", waits("CrashLoopBackOff"), restarts(3)))),
		"one that waits for its wave":        pod(inflated, gatedBy(v1alpha1.WaveGate), meant(field("metadata.name", corev1.NodeSelectorOpIn, "n2"))),
		"one that no node takes":             pod(inflated, scheduled(corev1.ConditionFalse, "Unschedulable")),
		"one on its way out that has failed": pod(inflated, deleted, failed),
	} {
		t.Run(sentence, func(t *testing.T) {
			agent, node := newAgent(p), nodeOf(p)
			out, err := trimPod(p.DeepCopy())
			if err != nil {
				t.Fatal(err)
			}
			trimmed := out.(*entry)
			if d := cmp.Diff(agent, trimmed.agent); d != "" {
				t.Errorf("another agent (-whole +trimmed):\n%s", d)
			}
			if trimmed.node != node {
				t.Errorf("on %q, want %q", trimmed.node, node)
			}
			namespace, name, uid, gate := ownerOf(trimmed)
			if namespace != "kube-system" || name != "agent" || uid != "ds-1" || gate != agent.Gated {
				t.Errorf("its owner is %s/%s (%s), gated %t", namespace, name, uid, gate)
			}
			if key, err := cache.MetaNamespaceKeyFunc(trimmed); key != "kube-system/agent-1" || err != nil {
				t.Errorf("its key is %q, %v", key, err)
			}
		})
	}
}

// A cluster has many more pods of others than agents.
func TestAPodOfSomebodyElseIsANameOnly(t *testing.T) {
	for sentence, orphan := range map[string]func(*corev1.Pod){
		"of a ReplicaSet": func(p *corev1.Pod) { p.OwnerReferences[0].Kind = "ReplicaSet" },
		"of nobody":       func(p *corev1.Pod) { p.OwnerReferences = nil },
		"of a DaemonSet that does not control it": func(p *corev1.Pod) { p.OwnerReferences[0].Controller = nil },
	} {
		want := &stranger{"kube-system", "agent-1", "7"}
		got, err := trimPod(pod(orphan))
		if err != nil {
			t.Fatal(err)
		}
		if s, is := got.(*stranger); !is || *s != *want {
			t.Errorf("%s: kept %+v", sentence, got)
		}
	}
}

func TestATrimmedNodeIsTheSameNode(t *testing.T) {
	inflated := func(n *corev1.Node) {
		n.Annotations = map[string]string{"example.com/a": "b"}
		n.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubelet"}}
		n.Spec.ProviderID = "cloud://1"
		n.Status.Images = []corev1.ContainerImage{{Names: []string{"agent:1"}}}
	}
	picky := NewPlacement(&corev1.PodTemplateSpec{Spec: corev1.PodSpec{NodeSelector: map[string]string{"zone": "a"}}})
	for sentence, n := range map[string]*corev1.Node{
		"one that is well":     node("n1", inflated),
		"one in another zone":  node("n1", inflated, labelled("zone", "b")),
		"one that is held":     node("n1", inflated, labelled(v1alpha1.LabelHold, "true")),
		"one that is cordoned": node("n1", inflated, cordoned),
		"one that is going":    node("n1", inflated, goingAway),
		"one with a taint":     node("n1", inflated, tainted("dedicated", "gpu", corev1.TaintEffectNoExecute)),
		"one that is NotReady": node("n1", inflated, nodeReady(corev1.ConditionUnknown)),
	} {
		t.Run(sentence, func(t *testing.T) {
			whole := n.DeepCopy()
			out, err := trimNode(n)
			if err != nil {
				t.Fatal(err)
			}
			trimmed := out.(*corev1.Node)
			if d := cmp.Diff(newNode(whole, picky, []string{"zone", "arch"}), newNode(trimmed, picky, []string{"zone", "arch"})); d != "" {
				t.Errorf("another node (-whole +trimmed):\n%s", d)
			}
			if trimmed.Annotations != nil || trimmed.ManagedFields != nil || trimmed.Spec.ProviderID != "" || trimmed.Status.Images != nil || len(trimmed.Status.Conditions) != 1 {
				t.Errorf("kept %+v", trimmed)
			}
			if d := cmp.Diff(whole, n); d != "" {
				t.Errorf("the node was changed in place (-before +after):\n%s", d)
			}
		})
	}
}

// An informer hands over what it no longer knows well in a wrapper.
func TestWhatIsNeitherPodNorNodeIsLeftAlone(t *testing.T) {
	gone := cache.DeletedFinalStateUnknown{Key: "kube-system/agent-1"}
	for name, trim := range map[string]cache.TransformFunc{"trimPod": trimPod, "trimNode": trimNode, "trimRevision": trimRevision, "trimDaemonSet": trimDaemonSet} {
		if got, err := trim(gone); err != nil || got != any(gone) {
			t.Errorf("%s made %v of it, %v", name, got, err)
		}
	}
}

// Every node says every few seconds that it lives; only a change that matters
// to a rollout may wake one.
func TestNodeChanges(t *testing.T) {
	for sentence, c := range map[string]struct {
		change func(*corev1.Node)
		want   bool
	}{
		"a heartbeat": {func(n *corev1.Node) {
			n.ResourceVersion = "8"
			n.Status.Conditions[1].LastHeartbeatTime = metav1.NewTime(later.Add(time.Minute))
			n.Status.Images = []corev1.ContainerImage{{Names: []string{"agent:1"}}}
		}, false},
		"no longer Ready":            {nodeReady(corev1.ConditionUnknown), true},
		"cordoned":                   {cordoned, true},
		"a taint":                    {tainted("dedicated", "gpu", corev1.TaintEffectNoSchedule), true},
		"held out":                   {labelled(v1alpha1.LabelHold, "true"), true},
		"another label":              {labelled("zone", "b"), true},
		"being deleted":              {goingAway, true},
		"another node, of that name": {func(n *corev1.Node) { n.UID = "other" }, true},
	} {
		if got := nodeChanged(node("n1"), node("n1", c.change)); got != c.want {
			t.Errorf("%s: %t, want %t", sentence, got, c.want)
		}
	}
}
