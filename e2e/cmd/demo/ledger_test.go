package main

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// pod is a pod as the watch shows it; change makes it another.
func pod(uid, node, image string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{UID: types.UID(uid), Name: uid},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Image: image}}},
	}
	for _, c := range change {
		c(p)
	}
	return p
}

func isReady(p *corev1.Pod) {
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
}

func isLeaving(p *corev1.Pod) {
	p.DeletionTimestamp = &metav1.Time{}
}

func hasRestarted(p *corev1.Pod) {
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{RestartCount: 1}}
}

func mounts(configMap string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{
			ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: configMap}},
		}}}
	}
}

// gated pods are bound to no node; the DaemonSet controller names it all the same.
func gated(node string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.NodeName = ""
		p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{node}}}}},
		}}}
	}
}

func TestLedgerCountsWhatTheWatchShows(t *testing.T) {
	type want struct {
		touched, hurt []string
		down          int
	}
	for name, c := range map[string]struct {
		events func(*ledger)
		want   want
	}{
		"a pod that becomes Ready touches and hurts nobody": {func(l *ledger) {
			l.see(pod("new", "a", "i:v2"))
			l.see(pod("new", "a", "i:v2", isReady))
		}, want{touched: []string{"a"}}},
		"a pod at the gate touches nobody": {func(l *ledger) {
			l.see(pod("new", "", "i:v2", gated("a")))
			l.gone(pod("new", "", "i:v2", gated("a")))
		}, want{}},
		"Ready and then not is hurt": {func(l *ledger) {
			l.see(pod("new", "a", "i:v2", isReady))
			l.see(pod("new", "a", "i:v2"))
			l.see(pod("new", "a", "i:v2", isReady))
		}, want{[]string{"a"}, []string{"a"}, 0}},
		"a restart is hurt": {func(l *ledger) {
			l.see(pod("new", "a", "i:v2", hasRestarted))
		}, want{[]string{"a"}, []string{"a"}, 0}},
		"deleted before it was ever Ready is hurt": {func(l *ledger) {
			l.see(pod("new", "a", "i:v2"))
			l.see(pod("new", "a", "i:v2", isLeaving))
		}, want{[]string{"a"}, []string{"a"}, 0}},
		"gone before it was ever Ready is hurt": {func(l *ledger) {
			l.see(pod("new", "a", "i:v2"))
			l.gone(pod("new", "a", "i:v2"))
		}, want{[]string{"a"}, []string{"a"}, 0}},
		"deleted while Ready is not": {func(l *ledger) {
			l.see(pod("new", "a", "i:v2", isReady))
			l.see(pod("new", "a", "i:v2", isLeaving))
			l.gone(pod("new", "a", "i:v2", isLeaving))
		}, want{touched: []string{"a"}}},
		"the way back is not the commit's doing": {func(l *ledger) {
			l.see(pod("back", "a", "i:v1"))
			l.gone(pod("back", "a", "i:v1"))
		}, want{}},
		"another ConfigMap is another version": {func(l *ledger) {
			l.see(pod("new", "a", "i:v1", mounts("c-2")))
		}, want{touched: []string{"a"}}},
		"nodes without an agent are counted at once, not in sum": {func(l *ledger) {
			l.gone(pod("old-a", "a", "i:v1"))
			l.gone(pod("old-b", "b", "i:v1"))
			l.see(pod("new-a", "a", "i:v2", isReady))
			l.see(pod("old-c", "c", "i:v1", isReady, isLeaving))
		}, want{[]string{"a"}, nil, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLedger()
			l.begin("v1")
			for _, node := range []string{"a", "b", "c"} {
				l.see(pod("old-"+node, node, "i:v1", isReady))
			}
			l.begin("v2")
			// The old agents of other nodes are there in every case.
			c.events(l)
			got := want{slices.Sorted(maps.Keys(l.act.touched)), slices.Sorted(maps.Keys(l.act.hurt)), l.act.down}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestLedgerAtRest(t *testing.T) {
	l := newLedger()
	l.begin("v1")
	l.see(pod("a", "a", "i:v1", isReady))
	if l.atRest(2) {
		t.Error("one of two nodes has no agent")
	}
	l.see(pod("b", "b", "i:v1"))
	if l.atRest(2) {
		t.Error("an agent is not Ready")
	}
	l.see(pod("b", "b", "i:v1", isReady))
	if !l.atRest(2) {
		t.Error("both nodes have a Ready agent of one version")
	}
	l.begin("v2")
	l.gone(pod("b", "b", "i:v1"))
	l.see(pod("b2", "b", "i:v2", isReady))
	if l.atRest(2) {
		t.Error("the nodes run two versions")
	}
}

func TestLedgerCells(t *testing.T) {
	l := newLedger()
	l.begin("v1")
	l.see(pod("a", "a", "i:v1", isReady))
	l.begin("v2")
	l.see(pod("b", "b", "i:v2", isReady))
	l.see(pod("c", "", "i:v2", gated("c")))
	l.see(pod("d", "d", "i:v2", hasRestarted))
	l.see(pod("e", "e", "i:v1", isReady))
	l.see(pod("e", "e", "i:v1", isReady, isLeaving))
	l.see(pod("e2", "", "i:v2", gated("e")))
	want := map[string]cell{
		"a": {state: provenReady, label: "v1"},
		"b": {state: candidateReady, label: "v2"},
		"c": {state: starting, label: "v2"},
		"d": {state: failing, label: "v2", hurt: true},
		"e": {state: starting, label: "v2"},
	}
	if diff := cmp.Diff(want, l.cells(), cmp.AllowUnexported(cell{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
