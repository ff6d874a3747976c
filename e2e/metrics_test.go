package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/e2e/product"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// metricsText scrapes the controller.
func (w *world) metricsText(t testing.TB) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+w.control.Address+"/metrics", nil)
	if err != nil {
		t.Fatalf("scrape metrics: %v", err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatalf("scrape metrics: %v", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("scrape metrics: %s %v", answer.Status, err)
	}
	return string(text)
}

// sample is one line of an exposition.
type sample struct {
	labels map[string]string
	value  float64
}

// samples are those of rollcall, by the name of the metric.
func (w *world) samples(t testing.TB) map[string][]sample {
	t.Helper()
	out := map[string][]sample{}
	for _, line := range regexp.MustCompile(`(?m)^(rollcall_[a-z_]+)(?:\{(.*)\})? (\S+)$`).FindAllStringSubmatch(w.metricsText(t), -1) {
		s := sample{labels: map[string]string{}}
		for _, l := range regexp.MustCompile(`([a-z_]+)="((?:[^"\\]|\\.)*)"`).FindAllStringSubmatch(line[2], -1) {
			s.labels[l[1]] = l[2]
		}
		value, err := strconv.ParseFloat(line[3], 64)
		if err != nil {
			t.Fatalf("read %q: %v", line[0], err)
		}
		s.value = value
		out[line[1]] = append(out[line[1]], s)
	}
	return out
}

// measured are the metrics that others rely on, with their labels
// beside those of a histogram.
func measured() map[string][]string {
	gitsync := []string{"name", "namespace"}
	rollout := []string{"name", "namespace"}
	with := func(labels []string, more ...string) []string {
		return slices.Sorted(slices.Values(append(slices.Clone(labels), more...)))
	}
	return map[string][]string{
		"rollcall_gitsync_info":                                 with(gitsync, "path", "ref", "url"),
		"rollcall_gitsync_ready":                                gitsync,
		"rollcall_gitsync_last_success_timestamp_seconds":       gitsync,
		"rollcall_gitsync_passes_total":                         with(gitsync, "result"),
		"rollcall_gitsync_pass_duration_seconds_count":          {"stage"},
		"rollcall_git_requests_total":                           {"op", "result"},
		"rollcall_webhooks_total":                               {"result"},
		"rollcall_prune_blocked":                                with(gitsync, "reason"),
		"rollcall_drift_objects":                                gitsync,
		"rollcall_drift_corrected_total":                        gitsync,
		"rollcall_conflicts_total":                              gitsync,
		"rollcall_fights":                                       gitsync,
		"rollcall_reverts_total":                                gitsync,
		"rollcall_noderollout_phase":                            with(rollout, "phase"),
		"rollcall_noderollout_nodes":                            with(rollout, "state"),
		"rollcall_noderollout_wave":                             rollout,
		"rollcall_noderollout_held_seconds":                     with(rollout, "reason"),
		"rollcall_noderollout_unproven_since_timestamp_seconds": rollout,
		"rollcall_noderollout_superseded":                       rollout,
		"rollcall_noderollout_replaced_total":                   rollout,
		"rollcall_noderollout_returned_total":                   rollout,
		"rollcall_noderollout_rejected_total":                   rollout,
		"rollcall_noderollout_pulse_seconds_count":              {},
		"rollcall_api_requests_total":                           {"code", "verb"},
		"rollcall_leader":                                       {},
		"rollcall_build_info":                                   {"commit", "version"},
		"rollcall_noderollout_restored_total":                   with(rollout, "field"),
	}
}

// wantMetrics checks what is exported after the scenarios of TestPrune.
func wantMetrics(t *testing.T, w *world) {
	t.Helper()
	found := w.samples(t)
	for name, labels := range measured() {
		if len(found[name]) == 0 {
			t.Errorf("metric %s is not exported", name)
			continue
		}
		for _, s := range found[name] {
			var got []string
			for l := range s.labels {
				got = append(got, l)
			}
			if slices.Sort(got); !slices.Equal(got, labels) {
				t.Errorf("metric %s has labels %v, want %v", name, got, labels)
			}
		}
	}
	wantNoIdentities(t, found)
	wantValues(t, found)
	wantAlertsMeasured(t, found)
}

// wantNoIdentities fails when a label grows with commits, nodes or pods.
func wantNoIdentities(t *testing.T, found map[string][]sample) {
	t.Helper()
	identity := regexp.MustCompile(`[0-9a-f]{40}|sha256:|^node-[0-9]+$|` + agent + `-[a-z0-9]{5}$`)
	for name, samples := range found {
		for _, s := range samples {
			for l, v := range s.labels {
				if identity.MatchString(v) && name != "rollcall_build_info" {
					t.Errorf("metric %s has label %s=%q", name, l, v)
				}
			}
		}
	}
}

// wantValues checks a few values of what the scenarios did.
func wantValues(t *testing.T, found map[string][]sample) {
	t.Helper()
	of := func(metric string, labels ...string) float64 {
		for _, s := range found[metric] {
			matches := true
			for i := 0; i < len(labels); i += 2 {
				matches = matches && s.labels[labels[i]] == labels[i+1]
			}
			if matches {
				return s.value
			}
		}
		t.Errorf("metric %s has no sample with %v", metric, labels)
		return -1
	}
	for _, want := range []struct {
		metric string
		labels []string
		most   float64
		least  float64
	}{
		{"rollcall_gitsync_ready", []string{"namespace", "renamed-file"}, 1, 1},
		{"rollcall_gitsync_passes_total", []string{"namespace", "renamed-file", "result", "ok"}, 1000, 2},
		{"rollcall_gitsync_last_success_timestamp_seconds", []string{"namespace", "renamed-file"}, float64(time.Now().Unix()), float64(time.Now().Add(-time.Minute).Unix())},
		{"rollcall_noderollout_nodes", []string{"namespace", "renamed-file", "state", "eligible"}, 6, 6},
		{"rollcall_noderollout_nodes", []string{"namespace", "renamed-file", "state", "present"}, 6, 6},
		{"rollcall_noderollout_phase", []string{"namespace", "renamed-file", "phase", "Proven"}, 1, 1},
		{"rollcall_noderollout_phase", []string{"namespace", "renamed-file", "phase", "Held"}, 0, 0},
		{"rollcall_noderollout_wave", []string{"namespace", "renamed-file"}, 0, 0},
		{"rollcall_noderollout_replaced_total", []string{"namespace", "after-proof"}, 6, 6},
		{"rollcall_noderollout_rejected_total", []string{"namespace", "rejected"}, 1, 1},
		{"rollcall_noderollout_returned_total", []string{"namespace", "rejected"}, 2, 1},
		{"rollcall_git_requests_total", []string{"op", "ls-remote", "result", "ok"}, 1e6, 9},
		{"rollcall_git_requests_total", []string{"op", "fetch", "result", "ok"}, 1e3, 9},
		{"rollcall_leader", nil, 1, 1},
		{"rollcall_gitsync_pass_duration_seconds_count", []string{"stage", "resolve"}, 1e6, 9},
		{"rollcall_gitsync_pass_duration_seconds_count", []string{"stage", "fetch"}, 1e6, 9},
		{"rollcall_gitsync_pass_duration_seconds_count", []string{"stage", "render"}, 1e6, 9},
		{"rollcall_gitsync_pass_duration_seconds_count", []string{"stage", "diff"}, 1e6, 9},
		{"rollcall_gitsync_pass_duration_seconds_count", []string{"stage", "apply"}, 1e6, 9},
		{"rollcall_gitsync_pass_duration_seconds_count", []string{"stage", "prune"}, 1e6, 9},
		{"rollcall_noderollout_held_seconds", []string{"namespace", "held", "reason", "Paused"}, 3600, 1},
		{"rollcall_noderollout_phase", []string{"namespace", "held", "phase", "Held"}, 1, 1},
		{"rollcall_conflicts_total", []string{"namespace", "drifted"}, 2, 2},
		{"rollcall_conflicts_total", []string{"namespace", "renamed-file"}, 0, 0},
		{"rollcall_drift_corrected_total", []string{"namespace", "renamed-file"}, 0, 0},
		{"rollcall_drift_objects", []string{"namespace", "renamed-file"}, 0, 0},
	} {
		if got := of(want.metric, want.labels...); got < want.least || got > want.most {
			t.Errorf("metric %s%v is %v, want %v to %v", want.metric, want.labels, got, want.least, want.most)
		}
	}
	for _, s := range found["rollcall_noderollout_phase"] {
		if s.labels["namespace"] == "by-hand" {
			t.Errorf("a DaemonSet that is gone still has a phase: %v", s.labels)
		}
	}
}

// wantAlertsMeasured fails when an alert waits for a metric that nothing
// exports.
func wantAlertsMeasured(t *testing.T, found map[string][]sample) {
	t.Helper()
	root, err := product.Root()
	if err != nil {
		t.Fatal(err)
	}
	alerts, err := os.ReadFile(filepath.Join(root, "charts", "rollcall", "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`\brollcall_[a-z_]+`).FindAllString(string(alerts), -1) {
		if len(found[name]) == 0 {
			t.Errorf("an alert reads %s, which is not exported", name)
		}
	}
}

// waitMetric waits until a metric of the tenant's GitSync "fleet" has the value.
func (n *tenant) waitMetric(name string, value float64) {
	n.t.Helper()
	n.eventually(fmt.Sprintf("%s is %v", name, value), func(context.Context) (string, error) {
		for _, s := range n.w.samples(n.t)[name] {
			if s.labels["namespace"] != n.namespace || s.labels["name"] != "fleet" {
				continue
			}
			if s.value == value {
				return "", nil
			}
			return fmt.Sprint(s.value), nil
		}
		return "it is not exported", nil
	})
}

// driftedObjects are changed behind Git's back. By a manager that may be taken
// over from, or deleted, they are made again as they were; by any other that is a
// conflict, one for each object however many passes meet it.
func driftedObjects(n *tenant) {
	commit := n.push("first", map[string]string{"daemonset.yaml": manifest("v1"), "extra.yaml": plainConfig("extra", "1"), "more.yaml": plainConfig("more", "1"), "beside.yaml": plainConfig("beside", "1")})
	n.follow()
	n.waitProven(commit)
	n.waitMetric("rollcall_drift_corrected_total", 0)
	n.write("extra", "kubectl-edit")
	n.poke()
	n.waitMetric("rollcall_drift_corrected_total", 1)
	n.waitMetric("rollcall_drift_objects", 0)
	n.wantWritten("extra", "more")

	n.write("extra", "node-tuner")
	n.write("more", "node-tuner")
	n.waitHeld("fleet", "Conflict", "extra.yaml", "node-tuner")
	n.waitSync("fleet", "both are named", func(gs *v1alpha1.GitSync) bool {
		message := readyCondition(gs).Message
		return strings.Contains(message, "2 objects are refused (2 Conflict)") && strings.Contains(message, "extra.yaml") && strings.Contains(message, "more.yaml")
	})
	n.wantStill(n.state())
	n.must(n.w.cluster.Client.CoreV1().ConfigMaps(n.namespace).Delete(n.t.Context(), "beside", metav1.DeleteOptions{}), "delete beside")
	n.eventually("what is beside is put right all the same", func(context.Context) (string, error) {
		if n.hasConfigMap("beside") {
			return "", nil
		}
		return "it is gone", nil
	})
	n.waitMetric("rollcall_conflicts_total", 2)
	n.waitMetric("rollcall_drift_objects", 2)
	for _, name := range []string{"extra", "more"} {
		n.must(n.w.cluster.Client.CoreV1().ConfigMaps(n.namespace).Delete(n.t.Context(), name, metav1.DeleteOptions{}), "delete "+name)
	}
	n.poke()
	n.waitMetric("rollcall_drift_objects", 0)
	n.waitMetric("rollcall_drift_corrected_total", 4)
	n.wantWritten("extra", "more")
	n.waitProven(commit)
}

// write changes a ConfigMap as a field manager that does not apply.
func (n *tenant) write(name, manager string) {
	n.t.Helper()
	_, err := n.w.cluster.Client.CoreV1().ConfigMaps(n.namespace).Patch(n.t.Context(), name, types.MergePatchType, fmt.Appendf(nil, `{"data":{"key":%q}}`, manager), metav1.PatchOptions{FieldManager: manager})
	n.must(err, "write ConfigMap "+name)
}

// wantWritten fails unless the ConfigMaps are as the first commit declares them.
func (n *tenant) wantWritten(names ...string) {
	n.t.Helper()
	for _, cm := range n.configMaps() {
		if slices.Contains(names, cm.Name) && cm.Data["key"] != "1" {
			n.t.Errorf("ConfigMap %s has %v, want what Git declares", cm.Name, cm.Data)
		}
	}
}

// foughtOver is an object that somebody changes back whenever it is put right. That is done less and less often, it is
// named, it stands in nobody's way, and it is over when that somebody stops.
func foughtOver(n *tenant) {
	files := map[string]string{"daemonset.yaml": manifest("v1"), "extra.yaml": plainConfig("extra", "1"), "beside.yaml": plainConfig("beside", "1")}
	n.waitProven(n.followAfter(files))
	stop, ended := make(chan struct{}), make(chan int)
	go func() { ended <- changeBack(n.overwriteConfig("extra"), stop) }()
	began := time.Now()
	n.waitHeld("fleet", "Fought", "ConfigMap "+n.namespace+"/extra: data.key by \"kubectl-edit\", 4 times", "put right at", "make that writer stop")
	n.waitMetric("rollcall_fights", 1)
	n.waitMetric("rollcall_drift_objects", 1)
	n.must(n.w.cluster.Client.CoreV1().ConfigMaps(n.namespace).Delete(n.t.Context(), "beside", metav1.DeleteOptions{}), "delete beside")
	n.eventually("what is beside is put right", func(context.Context) (string, error) {
		if n.hasConfigMap("beside") {
			return "", nil
		}
		return "it is gone", nil
	})
	commit := n.deliver("others", map[string]string{"beside.yaml": plainConfig("beside", "2")})
	n.waitSync("fleet", "another commit is applied", func(gs *v1alpha1.GitSync) bool { return gs.Status.Proven == commit })
	n.eventually("the fifth time it is put right 20 s later", func(context.Context) (string, error) {
		for _, s := range n.w.samples(n.t)["rollcall_reverts_total"] {
			if s.labels["namespace"] == n.namespace && s.value >= 6 { // that of beside is one
				return "", nil
			}
		}
		return "not yet", nil
	})
	if took := time.Since(began); took < 10*time.Second {
		n.t.Errorf("it was put right five times in %s", took)
	}
	close(stop)
	if reverts := <-ended; reverts > 6 {
		n.t.Errorf("it was put right %d times in %s", reverts, time.Since(began))
	}
	n.waitProven(commit)
	n.eventually("it is as declared", func(context.Context) (string, error) {
		for _, cm := range n.configMaps() {
			if cm.Name == "extra" && cm.Data["key"] == "1" {
				return "", nil
			}
		}
		return "it is not", nil
	})
}

// changeBack writes over what Git declares whenever change says that it is there again, and returns how often that was.
func changeBack(change func() (changed bool), stop <-chan struct{}) int {
	for reverts := 0; ; {
		select {
		case <-stop:
			return reverts
		case <-time.After(100 * time.Millisecond):
		}
		if change() {
			reverts++
		}
	}
}

// overwriteConfig is a change of the ConfigMap's key, as a manager that may be taken over from makes it.
func (n *tenant) overwriteConfig(name string) func() bool {
	configMaps := n.w.cluster.Client.CoreV1().ConfigMaps(n.namespace)
	return func() bool {
		cm, err := configMaps.Get(n.t.Context(), name, metav1.GetOptions{})
		if err != nil || cm.Data["key"] == "theirs" {
			return false
		}
		_, err = configMaps.Patch(n.t.Context(), name, types.MergePatchType, []byte(`{"data":{"key":"theirs"}}`), metav1.PatchOptions{FieldManager: "kubectl-edit"})
		return err == nil
	}
}

// foughtAgent is a DaemonSet whose label somebody changes back whenever it is put right. Its rollouts go on.
func foughtAgent(n *tenant) {
	n.good()
	client := n.w.cluster.Client.AppsV1().DaemonSets(n.namespace)
	stop, ended := make(chan struct{}), make(chan int)
	go func() {
		ended <- changeBack(func() bool {
			ds, err := client.Get(n.t.Context(), agent, metav1.GetOptions{})
			if err != nil || ds.Labels["app"] == "theirs" {
				return false
			}
			_, err = client.Patch(n.t.Context(), agent, types.MergePatchType, []byte(`{"metadata":{"labels":{"app":"theirs"}}}`), metav1.PatchOptions{FieldManager: "kubectl-edit"})
			return err == nil
		}, stop)
	}()
	began := time.Now()
	n.waitHeld("fleet", "Fought", "DaemonSet.apps "+n.namespace+"/"+agent+": metadata.labels.app by \"kubectl-edit\"", "make that writer stop")
	n.waitMetric("rollcall_fights", 1)
	time.Sleep(8 * time.Second)
	commit := n.deliver("v2", map[string]string{"daemonset.yaml": manifest("v2")})
	n.waitSync("fleet", "another version is proven", func(gs *v1alpha1.GitSync) bool { return gs.Status.Proven == commit })
	close(stop)
	if reverts, took := <-ended, time.Since(began); float64(reverts) > 12+took.Seconds()/5 {
		n.t.Errorf("it was put right %d times in %s", reverts, took)
	}
	n.waitProven(commit)
	ds, err := client.Get(n.t.Context(), agent, metav1.GetOptions{})
	n.must(err, "get DaemonSet")
	if ds.Labels["app"] != "example" {
		n.t.Errorf("the DaemonSet has labels %v, want Git's", ds.Labels)
	}
}

// leftHeld is a rollout that stays held to the end: what is exported then has its
// age.
func leftHeld(n *tenant) {
	n.good()
	n.pause(true)
	n.waitRollout("it is held", func(r *v1alpha1.NodeRollout) bool { return r.Status.Phase == v1alpha1.PhaseHeld })
	n.wantHeldGrows("Paused")
	n.wantWarning("Held", "Paused: ")
}

// wantHeldGrows waits until the age of the agent's hold is exported for the
// reason, and is found older.
func (n *tenant) wantHeldGrows(reason string) {
	n.t.Helper()
	first := -1.0
	n.eventually("rollcall_noderollout_held_seconds grows for "+reason, func(context.Context) (string, error) {
		for _, s := range n.w.samples(n.t)["rollcall_noderollout_held_seconds"] {
			switch {
			case s.labels["namespace"] != n.namespace || s.labels["name"] != agent || s.labels["reason"] != reason:
			case first < 0:
				first = s.value
			case s.value > max(first, 1):
				return "", nil
			}
		}
		return fmt.Sprintf("first seen at %v", first), nil
	})
}
