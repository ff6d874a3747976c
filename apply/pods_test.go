package apply

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/health"
)

func TestLagging(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		generation, observed int64
		wanted               *int32
		replicas, updated    int32
		want                 int
	}{
		"all are updated":                                  {2, 2, ptr.To[int32](3), 3, 3, 0},
		"some are not":                                     {2, 2, ptr.To[int32](3), 3, 1, 2},
		"surplus pods are old ones":                        {2, 2, ptr.To[int32](3), 4, 3, 1},
		"pods that are to come have not followed":          {2, 2, ptr.To[int32](3), 0, 0, 3},
		"one is the default":                               {2, 2, nil, 0, 0, 1},
		"none is wanted and none is there":                 {2, 2, ptr.To[int32](0), 0, 0, 0},
		"an unseen template has reached nobody":            {3, 2, ptr.To[int32](3), 3, 3, 3},
		"an unseen template counts, even with no pod":      {3, 2, ptr.To[int32](0), 0, 0, 1},
		"an unseen scaling down leaves the pods there are": {3, 2, ptr.To[int32](1), 5, 5, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := lagging(c.generation, c.observed, c.wanted, c.replicas, c.updated); got != c.want {
				t.Errorf("%d pods lag, want %d", got, c.want)
			}
		})
	}
}

func TestOutdated(t *testing.T) {
	t.Parallel()
	w := workload{uid: "ours", revisions: map[string]string{"a": "old", "b": "new", "gated-b": "new", "c": ""}, current: "new"}
	for name, c := range map[string]struct {
		owner, hash string
		change      func(*workload)
		want        bool
	}{
		"the current version":                               {owner: "ours", hash: "b"},
		"the current version, made with rollcall's gate":    {owner: "ours", hash: "gated-b"},
		"an older version":                                  {owner: "ours", hash: "a", want: true},
		"a version that is neither":                         {owner: "ours", hash: "c", want: true},
		"a revision that is gone":                           {owner: "ours", hash: "d", want: true},
		"another controller's pod":                          {owner: "theirs", hash: "a"},
		"a pod that nobody controls, before it is adopted":  {hash: "a", want: true},
		"while nothing is proven every pod":                 {owner: "ours", hash: "c", change: func(w *workload) { w.current = "" }, want: true},
		"no DaemonSet's: what its controller counts counts": {owner: "ours", hash: "a", change: func(w *workload) { w.revisions = nil }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, p := w, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{appsv1.ControllerRevisionHashLabelKey: c.hash}}}
			if c.owner != "" {
				p.OwnerReferences = []metav1.OwnerReference{{UID: types.UID(c.owner), Controller: ptr.To(true)}}
			}
			if c.change != nil {
				c.change(&w)
			}
			if got := w.outdated(p); got != c.want {
				t.Errorf("outdated is %t", got)
			}
		})
	}
}

func TestReadBy(t *testing.T) {
	t.Parallel()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "agents"}, Spec: corev1.PodSpec{
		ServiceAccountName: "agent",
		Volumes:            []corev1.Volume{{VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "config"}}}}},
		EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
			EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "debug"}}}},
		}}},
	}}
	want := []diff.Reference{{Kind: "ConfigMap", Namespace: "agents", Name: "config"}, {Kind: "Secret", Namespace: "agents", Name: "debug"}, {Kind: "ServiceAccount", Namespace: "agents", Name: "agent"}}
	if d := cmp.Diff(want, readBy(p)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestStragglers(t *testing.T) {
	t.Parallel()
	node := func(name string, change func(*health.Node)) health.Node {
		n := health.Node{Name: name, Eligible: true, Ready: true, Agents: []health.Agent{{Digest: "new", Ready: true}}}
		change(&n)
		return n
	}
	old := func(n *health.Node) { n.Agents[0].Digest = "old" }
	for name, c := range map[string]struct {
		change func(*health.Node)
		want   bool
	}{
		"the proven version":                     {func(*health.Node) {}, false},
		"another version":                        {old, true},
		"a version that nobody knows":            {func(n *health.Node) { n.Agents[0].Digest = "" }, true},
		"another version on a node out of reach": {func(n *health.Node) { old(n); n.Ready = false }, true},
		"another version on its way out":         {func(n *health.Node) { old(n); n.Agents[0].Terminating = true }, true},
		"another version beside the proven one":  {func(n *health.Node) { n.Agents = append(n.Agents, health.Agent{Digest: "old"}) }, true},
		"another version on a node held out":     {func(n *health.Node) { old(n); n.Held = true }, false},
		"another version where none should be":   {func(n *health.Node) { old(n); n.Eligible = false }, false},
		"another version that waits for a gate":  {func(n *health.Node) { old(n); n.Agents[0].Gated = true }, false},
		"another version that has failed":        {func(n *health.Node) { old(n); n.Agents[0].Failed = true }, false},
		"no agent at all":                        {func(n *health.Node) { n.Agents = nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fleet := []health.Node{node("n-1", func(*health.Node) {}), node("n-2", c.change)}
			got := stragglers(fleet, "new")
			if (got != "") != c.want {
				t.Errorf("stragglers are %q", got)
			}
			if c.want && !strings.HasPrefix(got, "1 of 2 eligible nodes still run another version (first n-2): ") {
				t.Errorf("the message is %q", got)
			}
		})
	}
}
