package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// A template has several spellings: what Git leaves out the API server adds, and
// a newer API server adds more.
func TestSpellingsOfOneTemplate(t *testing.T) {
	t.Parallel()
	w := settled(t, 6, quick(soak(0, 1)))

	w.act(t, "a commit that spells out a default touches nothing", func(t *testing.T) {
		before, generation := w.uids(), w.daemonSet().Generation
		spelled := strings.Replace(manifest("v1"), "      containers:\n", "      restartPolicy: Always\n      dnsPolicy: ClusterFirst\n      containers:\n", 1)
		commit := w.push("spell out defaults", map[string]string{"daemonset.yaml": spelled})
		w.poke()
		w.waitProven(commit, time.Minute)

		w.wantQuiet(3 * time.Second)
		w.wantSame(before)
		if got := w.daemonSet().Generation; got != generation {
			t.Errorf("the DaemonSet was written: generation %d, was %d", got, generation)
		}
	})
	w.act(t, "a default that the API server learns restarts nothing", func(t *testing.T) {
		before := w.uids()
		w.forgetDefault()
		gone := w.nodes()[0]
		w.deletePods(gone)
		delete(before, gone)
		w.waitTag("v1", w.nodes())
		w.waitRollout("it is at rest", time.Minute, func(n *v1alpha1.NodeRollout) bool { return n.Status.Phase == v1alpha1.PhaseProven })

		w.wantQuiet(3 * time.Second)
		w.wantSame(before)
	})
	w.act(t, "and the next commit rolls", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		commit := w.deliver("v2")
		w.waitProven(commit, time.Minute)
		r.wantHistory(t, w.nodes(), "v1", "v2")
		r.wantWorst(t, 3)
		w.waitUpdated(6)
	})
	w.act(t, "a DaemonSet that may have no node without it surges", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		surging := strings.Replace(manifest("v3"), "spec:\n  selector:", "spec:\n  updateStrategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 2}}\n  selector:", 1)
		w.waitProven(w.deliverFiles(map[string]string{"daemonset.yaml": surging}), time.Minute)
		w.waitTag("v3", w.nodes())
		r.wantWorst(t, 0)
	})
}

// forgetDefault takes one default out of the recorded template, as if an older
// API server had written it.
func (w *world) forgetDefault() {
	w.t.Helper()
	maps := w.cluster.Client.CoreV1().ConfigMaps(metav1.NamespaceDefault)
	state, err := maps.Get(w.t.Context(), agent+".rollcall-state", metav1.GetOptions{})
	w.must(err, "get state")
	var templates map[string]corev1.PodTemplateSpec
	w.must(json.Unmarshal([]byte(state.Data["templates.json"]), &templates), "read templates")
	for digest, t := range templates {
		t.Spec.Containers[0].TerminationMessagePolicy = ""
		templates[digest] = t
	}
	raw, err := json.Marshal(templates)
	w.must(err, "write templates")
	state.Data["templates.json"] = string(raw)
	_, err = maps.Update(w.t.Context(), state, metav1.UpdateOptions{})
	w.must(err, "update state")
}
