package e2e

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/rollcall-dev/rollcall/e2e/cluster"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// BenchmarkRollout measures, side by side in one run on one cluster, how long a
// healthy change of 100 nodes takes and how many writes it costs: by rollcall in
// one wave, and by Kubernetes' own RollingUpdate with the same maxUnavailable.
func BenchmarkRollout(b *testing.B) {
	const nodes, unavailable = 100, 10
	w := newWorldWith(b, cluster.Options{Nodes: nodes, Zones: 3, Audit: true})
	most := intstr.FromInt32(unavailable)
	w.policy(quick(func(p *v1alpha1.RolloutPolicySpec) {
		p.Waves = []v1alpha1.Wave{{Name: "all", UpTo: intstr.FromString("100%")}}
		p.MaxUnavailable = &most
		p.Health.ReadyFor = metav1.Duration{}
	}))
	first := w.pushTag("v0")
	w.follow()
	w.waitProven(first, 2*time.Minute)
	w.createNative(unavailable, nodes, 0)

	b.Run("rollcall", func(b *testing.B) {
		for i := range b.N {
			writes := w.writes()
			w.waitProven(w.deliver("v"+stamp(b, i)), 5*time.Minute)
			b.ReportMetric(float64(w.writes()["rollcall"]-writes["rollcall"])/nodes, "writes/node")
		}
	})
	b.Run("native", func(b *testing.B) {
		for i := range b.N {
			writes := w.writes()
			w.rollNative("v"+stamp(b, i), nodes)
			b.ReportMetric(float64(w.writes()["daemon-set-controller"]-writes["daemon-set-controller"])/nodes, "writes/node")
		}
	})
}

// stamp makes every change another one.
func stamp(b *testing.B, i int) string {
	b.Helper()
	return strings.ReplaceAll(time.Now().Format("150405.000000"), ".", "-") + "-" + string(rune('a'+i%26))
}

// createNative makes a DaemonSet that nobody but Kubernetes rolls, with the agent's
// image, and waits until it is on all nodes.
func (w *world) createNative(unavailable, nodes, minReady int32) {
	w.t.Helper()
	most := intstr.FromInt32(unavailable)
	ds := w.daemonSet()
	native := &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: "native", Namespace: metav1.NamespaceDefault},
		Spec: appsv1.DaemonSetSpec{
			Selector:        &metav1.LabelSelector{MatchLabels: map[string]string{"app": "native"}},
			MinReadySeconds: minReady,
			Template:        *ds.Spec.Template.DeepCopy(),
			UpdateStrategy:  appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType, RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &most}},
		},
	}
	native.Spec.Template.Labels = map[string]string{"app": "native"}
	_, err := w.cluster.Client.AppsV1().DaemonSets(native.Namespace).Create(w.t.Context(), native, metav1.CreateOptions{})
	w.must(err, "create native DaemonSet")
	w.waitNative(nodes)
}

func (w *world) rollNative(tag string, nodes int32) {
	w.t.Helper()
	client := w.cluster.Client.AppsV1().DaemonSets(metav1.NamespaceDefault)
	patch := `[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"example-image:` + tag + `"}]`
	_, err := client.Patch(w.t.Context(), "native", "application/json-patch+json", []byte(patch), metav1.PatchOptions{})
	w.must(err, "set image of native DaemonSet")
	w.waitNative(nodes)
}

func (w *world) waitNative(nodes int32) {
	w.t.Helper()
	w.eventually("native DaemonSet is updated", 5*time.Minute, func() (bool, error) {
		ds, err := w.cluster.Client.AppsV1().DaemonSets(metav1.NamespaceDefault).Get(w.t.Context(), "native", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		s := ds.Status
		return s.ObservedGeneration == ds.Generation && s.UpdatedNumberScheduled == nodes && s.NumberAvailable == nodes, nil
	})
}

// writes counts the requests that changed something, by who made them, since
// the cluster began.
func (w *world) writes() map[string]int {
	w.t.Helper()
	out := map[string]int{}
	w.auditEvents(func(e *auditv1.Event) {
		if changes(e) {
			out[writer(e)]++
		}
	})
	return out
}

// changes is whether the request asks to change something, and is no dry run. That
// of a delete is not to be told from one: its options are in the body.
func changes(e *auditv1.Event) bool {
	switch e.Verb {
	case "create", "update", "patch", "delete", "deletecollection":
		return !strings.Contains(e.RequestURI, "dryRun=")
	default:
		return false
	}
}

// auditEvents calls f for every request that has been answered.
func (w *world) auditEvents(f func(*auditv1.Event)) {
	w.t.Helper()
	file, err := os.Open(filepath.Clean(w.cluster.AuditLog))
	w.must(err, "open audit log")
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e auditv1.Event
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.Stage != auditv1.StageResponseComplete {
			continue // the last line may be half written
		}
		f(&e)
	}
	w.must(lines.Err(), "read audit log")
}

func writer(e *auditv1.Event) string {
	if strings.HasPrefix(e.UserAgent, "rollcall/") {
		return "rollcall"
	}
	if _, account, ok := strings.Cut(e.User.Username, "system:serviceaccount:kube-system:"); ok {
		return account
	}
	return e.User.Username
}
