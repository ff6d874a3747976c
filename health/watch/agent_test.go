package watch

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/health"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

var (
	made  = time.Date(2020, 1, 1, 12, 0, 0, 0, time.UTC)
	later = made.Add(time.Minute)
)

// A node writes the times of its pods by its own clock; the API server writes
// when a pod was made. A soak must not begin before there was a pod.
func TestAnAgentIsNotReadyBeforeItExists(t *testing.T) {
	for sentence, c := range map[string]struct{ ready, want time.Time }{
		"a clock that is right":             {made.Add(time.Minute), made.Add(time.Minute)},
		"a clock that is an hour behind":    {made.Add(-time.Hour), made},
		"a pod that was Ready in no second": {made, made},
	} {
		p := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(made)},
			Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(c.ready)}}},
		}
		if got := newAgent(p).ReadySince; !got.Equal(c.want) {
			t.Errorf("%s: Ready since %s, want %s", sentence, got, c.want)
		}
	}
}

// pod is an agent on n1 that runs and is Ready.
func pod(change ...func(*corev1.Pod)) *corev1.Pod {
	isController := true
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "agent-1", Namespace: "kube-system", UID: "pod-1", ResourceVersion: "7", CreationTimestamp: metav1.NewTime(made),
			Labels:          map[string]string{"controller-revision-hash": "abc", "app": "agent"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "DaemonSet", Name: "agent", UID: "ds-1", Controller: &isController}},
		},
		Spec: corev1.PodSpec{NodeName: "n1", Containers: []corev1.Container{{Name: "agent", Image: "agent:1"}}},
		Status: corev1.PodStatus{
			Phase:             corev1.PodRunning,
			Conditions:        []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(later)}},
			ContainerStatuses: []corev1.ContainerStatus{well("agent")},
		},
	}
	for _, c := range change {
		c(p)
	}
	return p
}

// well is the status of a container that runs and is Ready.
func well(name string, change ...func(*corev1.ContainerStatus)) corev1.ContainerStatus {
	c := corev1.ContainerStatus{Name: name, Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	for _, f := range change {
		f(&c)
	}
	return c
}

func restarts(n int32) func(*corev1.ContainerStatus) {
	return func(c *corev1.ContainerStatus) { c.RestartCount = n }
}

func notReady(c *corev1.ContainerStatus) { c.Ready = false }

func waits(reason string) func(*corev1.ContainerStatus) {
	return func(c *corev1.ContainerStatus) {
		c.Ready, c.State = false, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "waits"}}
	}
}

func ended(reason string, code int32) func(*corev1.ContainerStatus) {
	return func(c *corev1.ContainerStatus) {
		c.Ready = code == 0 // as the kubelet says of an init container that has done its work
		c.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: reason, Message: "ended", ExitCode: code}}
	}
}

func endedBefore(reason string) func(*corev1.ContainerStatus) {
	return func(c *corev1.ContainerStatus) {
		c.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{Reason: reason, Message: "ended before", ExitCode: 1}
	}
}

func containers(all ...corev1.ContainerStatus) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Status.ContainerStatuses = all }
}

// initContainers are also those that stay beside the others: a sidecar is an
// init container with the restart policy Always.
func initContainers(all ...corev1.ContainerStatus) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Status.InitContainerStatuses = all }
}

func scheduled(status corev1.ConditionStatus, reason string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.PodScheduled, Status: status, Reason: reason, Message: "0/9 nodes"})
	}
}

func gatedBy(name string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.SchedulingGates = append(p.Spec.SchedulingGates, corev1.PodSchedulingGate{Name: name})
	}
}

func failed(p *corev1.Pod)          { p.Status.Phase = corev1.PodFailed }
func withoutStatus(p *corev1.Pod)   { p.Status = corev1.PodStatus{} }
func withoutRevision(p *corev1.Pod) { delete(p.Labels, "controller-revision-hash") }

// deleted asks for the pod to be gone 30 s after later.
func deleted(p *corev1.Pod) {
	at, grace := metav1.NewTime(later.Add(30*time.Second)), int64(30)
	p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &at, &grace
}

func unreadySince(at time.Time) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: metav1.NewTime(at)}}
	}
}

func TestAgentOfAPod(t *testing.T) {
	agent := func(change ...func(*health.Agent)) health.Agent {
		a := health.Agent{Name: "agent-1", UID: "pod-1", Version: "7", Revision: "abc", Created: made, Ready: true, ReadySince: later}
		for _, c := range change {
			c(&a)
		}
		return a
	}
	restarted := func(n int32) func(*health.Agent) { return func(a *health.Agent) { a.Restarts = n } }
	for sentence, c := range map[string]struct {
		pod  *corev1.Pod
		want health.Agent
	}{
		"one that runs well":                        {pod(), agent()},
		"restarts are summed over its containers":   {pod(containers(well("a", restarts(2)), well("b", restarts(3)))), agent(restarted(5))},
		"restarts of an init container count":       {pod(initContainers(well("init", ended("Completed", 0), restarts(4)))), agent(restarted(4))},
		"restarts of a sidecar count":               {pod(initContainers(well("proxy", restarts(1))), containers(well("a", restarts(1)))), agent(restarted(2))},
		"one that waits for its wave":               {pod(gatedBy(v1alpha1.WaveGate)), agent(func(a *health.Agent) { a.Gated = true })},
		"a gate of somebody else is not rollcall's": {pod(gatedBy("example.com/quota")), agent()},
		"rollcall's gate beside another one":        {pod(gatedBy("example.com/quota"), gatedBy(v1alpha1.WaveGate)), agent(func(a *health.Agent) { a.Gated = true })},
		"one on its way out":                        {pod(deleted), agent(func(a *health.Agent) { a.Terminating, a.Deleted = true, later })},
		"one that has failed":                       {pod(failed), agent(func(a *health.Agent) { a.Failed = true })},
		"one that is no longer Ready":               {pod(unreadySince(later.Add(time.Hour))), agent(func(a *health.Agent) { a.Ready, a.ReadySince = false, later.Add(time.Hour) })},
		"one that no kubelet has seen":              {pod(withoutStatus), agent(func(a *health.Agent) { a.Ready, a.ReadySince = false, made })},
		"one without a revision":                    {pod(withoutRevision), agent(func(a *health.Agent) { a.Revision = "" })},
	} {
		t.Run(sentence, func(t *testing.T) {
			if d := cmp.Diff(c.want, newAgent(c.pod)); d != "" {
				t.Errorf("agent (-want +got):\n%s", d)
			}
		})
	}
}

func TestTrouble(t *testing.T) {
	for sentence, c := range map[string]struct {
		pod  *corev1.Pod
		want string // the reason; empty for none
	}{
		"none while all containers run":                              {pod(), ""},
		"none while a container is being made":                       {pod(containers(well("a", waits("ContainerCreating")))), ""},
		"none while its init containers run":                         {pod(containers(well("a", waits("PodInitializing")))), ""},
		"none while a container waits without a reason":              {pod(containers(well("a", waits("")))), ""},
		"none once an init container has done its work":              {pod(initContainers(well("init", ended("Completed", 0)))), ""},
		"a waiting reason":                                           {pod(containers(well("a", waits("ImagePullBackOff")))), "ImagePullBackOff"},
		"a container that waits as always hides no other one":        {pod(containers(well("a", waits("ContainerCreating")), well("b", waits("ErrImageNeverPull")))), "ErrImageNeverPull"},
		"an init container's waiting reason goes first":              {pod(initContainers(well("init", waits("CrashLoopBackOff"))), containers(well("a", waits("PodInitializing")))), "CrashLoopBackOff"},
		"a sidecar's waiting reason":                                 {pod(initContainers(well("proxy", waits("CrashLoopBackOff"))), containers(well("a"))), "CrashLoopBackOff"},
		"the first of two waiting reasons":                           {pod(containers(well("a", waits("ErrImagePull")), well("b", waits("CrashLoopBackOff")))), "ErrImagePull"},
		"a waiting reason goes before another container's end":       {pod(containers(well("a", ended("OOMKilled", 137)), well("b", waits("CrashLoopBackOff")))), "CrashLoopBackOff"},
		"a waiting reason goes before how the same container ended":  {pod(containers(well("a", waits("CrashLoopBackOff"), endedBefore("OOMKilled")))), "CrashLoopBackOff"},
		"how a container ended":                                      {pod(containers(well("a", ended("OOMKilled", 137)))), "OOMKilled"},
		"how a container ended before, while it waits as always":     {pod(containers(well("a", waits("ContainerCreating"), endedBefore("Error")))), "Error"},
		"how a container ended before, while it is not Ready again":  {pod(containers(well("a", endedBefore("OOMKilled"), notReady))), "OOMKilled"},
		"nothing of how a container ended before, once it is Ready":  {pod(containers(well("a", endedBefore("OOMKilled")))), ""},
		"how a sidecar ended before, while it is not Ready again":    {pod(initContainers(well("proxy", endedBefore("Error"), notReady))), "Error"},
		"why no node takes it":                                       {pod(scheduled(corev1.ConditionFalse, "Unschedulable")), health.ReasonUnschedulable},
		"a gate that somebody else closed":                           {pod(scheduled(corev1.ConditionFalse, "SchedulingGated")), health.ReasonGated},
		"none of one that a node has taken":                          {pod(scheduled(corev1.ConditionTrue, "")), ""},
		"a container's end goes before why no node takes it":         {pod(scheduled(corev1.ConditionFalse, "Unschedulable"), containers(well("a", ended("Error", 1)))), "Error"},
		"the pod's own reason where no container has one":            {pod(func(p *corev1.Pod) { p.Status.Reason = "Evicted" }), "Evicted"},
		"why no node takes it goes before the pod's own reason":      {pod(scheduled(corev1.ConditionFalse, "Unschedulable"), func(p *corev1.Pod) { p.Status.Reason = "Evicted" }), health.ReasonUnschedulable},
		"a container that ended well and starts again is no trouble": {pod(containers(well("a", ended("Completed", 0)))), ""},
		"an ephemeral container is none of the agent's": {pod(func(p *corev1.Pod) {
			p.Status.EphemeralContainerStatuses = []corev1.ContainerStatus{well("debug", ended("Error", 1))}
		}), ""},
		"none of one that no kubelet has seen": {pod(withoutStatus), ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			got := trouble(c.pod)
			if got.Reason != c.want {
				t.Errorf("trouble is %+v, want reason %q", got, c.want)
			}
			if c.want != "" && c.want != "Evicted" && got.Message == "" {
				t.Errorf("%s has lost its message", got.Reason)
			}
		})
	}
}

// meant makes the pod one that the DaemonSet controller has made for the node
// and no scheduler has bound yet.
func meant(terms ...corev1.NodeSelectorTerm) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.NodeName = ""
		p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: terms},
		}}
	}
}

func field(key string, op corev1.NodeSelectorOperator, values ...string) corev1.NodeSelectorTerm {
	return corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{{Key: key, Operator: op, Values: values}}}
}

func TestNodeOfAPod(t *testing.T) {
	unbound := func(p *corev1.Pod) { p.Spec.NodeName = "" }
	zone := corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "zone", Operator: corev1.NodeSelectorOpIn, Values: []string{"a"}}}}
	both := field("metadata.name", corev1.NodeSelectorOpIn, "n2")
	both.MatchExpressions = zone.MatchExpressions
	for sentence, c := range map[string]struct {
		pod  *corev1.Pod
		want string
	}{
		"the one that it is bound to":                       {pod(), "n1"},
		"the one that it is bound to, whatever it was for":  {pod(meant(field("metadata.name", corev1.NodeSelectorOpIn, "n2")), func(p *corev1.Pod) { p.Spec.NodeName = "n1" }), "n1"},
		"the one that it was made for":                      {pod(meant(field("metadata.name", corev1.NodeSelectorOpIn, "n2"))), "n2"},
		"the one that it was made for, beside a selector":   {pod(meant(both)), "n2"},
		"the one that it was made for, in a later term":     {pod(meant(zone, field("metadata.name", corev1.NodeSelectorOpIn, "n2"))), "n2"},
		"none for one without affinity":                     {pod(unbound), ""},
		"none for one with other affinity":                  {pod(unbound, func(p *corev1.Pod) { p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{}} }), ""},
		"none for one that only prefers nodes":              {pod(unbound, func(p *corev1.Pod) { p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}} }), ""},
		"none for one that may go to any node of a zone":    {pod(meant(zone)), ""},
		"none for one that may go to one of two":            {pod(meant(field("metadata.name", corev1.NodeSelectorOpIn, "n2", "n3"))), ""},
		"none for one that may not go to a node":            {pod(meant(field("metadata.name", corev1.NodeSelectorOpNotIn, "n2"))), ""},
		"none for one whose affinity names no node by name": {pod(meant(field("metadata.uid", corev1.NodeSelectorOpIn, "n2"))), ""},
		"none for one without a term":                       {pod(meant()), ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			if got := nodeOf(c.pod); got != c.want {
				t.Errorf("node %q, want %q", got, c.want)
			}
		})
	}
}

// node is a Ready node without taints.
func node(name string, change ...func(*corev1.Node)) *corev1.Node {
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, UID: types.UID("uid-" + name), CreationTimestamp: metav1.NewTime(made), Labels: map[string]string{"zone": "a", "arch": "arm64"},
		},
		Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
			{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse, LastTransitionTime: metav1.NewTime(made)},
			{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(later)},
		}},
	}
	for _, c := range change {
		c(n)
	}
	return n
}

func labelled(key, value string) func(*corev1.Node) {
	return func(n *corev1.Node) { n.Labels[key] = value }
}

func tainted(key, value string, effect corev1.TaintEffect) func(*corev1.Node) {
	return func(n *corev1.Node) {
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Value: value, Effect: effect})
	}
}

func cordoned(n *corev1.Node) {
	n.Spec.Unschedulable = true
	tainted(corev1.TaintNodeUnschedulable, "", corev1.TaintEffectNoSchedule)(n)
}

func goingAway(n *corev1.Node) { at := metav1.NewTime(later); n.DeletionTimestamp = &at }

func nodeReady(status corev1.ConditionStatus) func(*corev1.Node) {
	return func(n *corev1.Node) { n.Status.Conditions[1].Status = status }
}

func TestNodeAsADaemonSetSeesIt(t *testing.T) {
	seen := func(change ...func(*health.Node)) health.Node {
		n := health.Node{
			Name: "n1", UID: "uid-n1", Groups: []string{"a", "arm64", ""}, Labels: map[string]string{"zone": "a", "arch": "arm64"}, Created: made, Ready: true, ReadySince: later, Eligible: true, Schedulable: true,
		}
		for _, c := range change {
			c(&n)
		}
		return n
	}
	leaving := func(n *health.Node) { n.Leaving = true }
	hold := func(value string) func(*health.Node) {
		return func(n *health.Node) { n.Labels[v1alpha1.LabelHold] = value }
	}
	keptOutBy := func(taint string) func(*health.Node) {
		return func(n *health.Node) { n.Schedulable, n.Taint = false, taint }
	}
	for sentence, c := range map[string]struct {
		node *corev1.Node
		want health.Node
	}{
		"one that is well": {node("n1"), seen()},
		"cordoned: it is leaving, and an agent may still be made for it": {node("n1", cordoned), seen(leaving, func(n *health.Node) { n.Cordoned = true })},
		"being deleted":                         {node("n1", goingAway), seen(leaving)},
		"an autoscaler will delete it":          {node("n1", tainted("ToBeDeletedByClusterAutoscaler", "1", corev1.TaintEffectNoSchedule)), seen(leaving, keptOutBy("ToBeDeletedByClusterAutoscaler=1:NoSchedule"))},
		"an autoscaler thinks of deleting it":   {node("n1", tainted("DeletionCandidateOfClusterAutoscaler", "1", corev1.TaintEffectPreferNoSchedule)), seen(leaving)},
		"Karpenter disrupts it":                 {node("n1", tainted("karpenter.sh/disrupted", "", corev1.TaintEffectNoSchedule)), seen(leaving, keptOutBy("karpenter.sh/disrupted=:NoSchedule"))},
		"its cloud has shut it down":            {node("n1", tainted("node.cloudprovider.kubernetes.io/shutdown", "", corev1.TaintEffectNoSchedule)), seen(leaving, keptOutBy("node.cloudprovider.kubernetes.io/shutdown=:NoSchedule"))},
		"another taint is no notice":            {node("n1", tainted("dedicated", "gpu", corev1.TaintEffectNoSchedule)), seen(keptOutBy("dedicated=gpu:NoSchedule"), func(n *health.Node) { n.Eligible = false })},
		"held out":                              {node("n1", labelled("rollcall.dev/hold", "true")), seen(hold("true"), func(n *health.Node) { n.Held = true })},
		"held out by nothing but the word true": {node("n1", labelled("rollcall.dev/hold", "false")), seen(hold("false"))},
		"NotReady":                              {node("n1", nodeReady(corev1.ConditionFalse)), seen(func(n *health.Node) { n.Ready = false })},
		"nobody hears of it":                    {node("n1", nodeReady(corev1.ConditionUnknown)), seen(func(n *health.Node) { n.Ready, n.Unreported = false, true })},
		"its kubelet has said nothing yet":      {node("n1", func(n *corev1.Node) { n.Status = corev1.NodeStatus{} }), seen(func(n *health.Node) { n.Ready, n.ReadySince, n.Unreported = false, time.Time{}, true })},
	} {
		t.Run(sentence, func(t *testing.T) {
			got := newNode(c.node, NewPlacement(&corev1.PodTemplateSpec{}), []string{"zone", "arch", "absent"})
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("node (-want +got):\n%s", d)
			}
		})
	}
}
