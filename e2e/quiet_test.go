package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// TestNothingToDo counts what the API server is asked for when nothing has changed,
// and edits what was applied when nobody asks Git.
func TestNothingToDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4)
	w.policy(hurried())
	files := map[string]string{"daemonset.yaml": manifest("v1"), "others.yaml": accompanying, "README.md": "read me"}
	for i := range 10 {
		files[fmt.Sprintf("settings-%d.yaml", i)] = plainConfig(fmt.Sprintf("settings-%d", i), "1")
	}
	commit := w.push("an agent and what it needs", files)
	w.follow()
	w.waitProven(commit, time.Minute)
	w.act(t, "no request while nothing changes", func(t *testing.T) { w.wantRequests(t, 0) })
	w.act(t, "nor while it is only observed", func(t *testing.T) {
		w.waitMode(v1alpha1.ModeObserve, "Observed")
		w.wantRequests(t, 0)
	})
	w.act(t, "nor while a commit waits for approval", func(t *testing.T) {
		w.push("another", map[string]string{"settings-1.yaml": plainConfig("settings-1", "2")})
		w.waitMode(v1alpha1.ModeApprove, "AwaitingApproval")
		w.wantRequests(t, 0)
		commit = w.push("back", map[string]string{"settings-1.yaml": plainConfig("settings-1", "1")})
		w.waitMode(v1alpha1.ModeAuto, "Proven")
		w.waitProven(commit, time.Minute)
	})
	w.act(t, "an edit is made undone though nobody polls", w.wantEditsUndone)
	w.retime(5 * time.Second)
	w.act(t, "a commit that touches nothing that is read is written down, and that is all", func(t *testing.T) {
		w.wantRequests(t, 0)
		before, spelled := w.requests("watch")
		compared, rendered := w.stages("diff"), w.stages("render")
		commit = w.push("read me", map[string]string{"README.md": "how to read this"})
		gs := w.waitSync("it is proven", time.Minute, func(gs *v1alpha1.GitSync) bool { return gs.Status.Proven == commit })
		w.wantRequests(t, 0)
		after, now := w.requests("watch")
		if after-before > 2 { // the status, and its event
			t.Errorf("%.0f requests: before %s; after %s", after-before, spelled, now)
		}
		if w.stages("diff") != compared || w.stages("render") != rendered {
			t.Error("it was rendered or compared")
		}
		if gs.Status.Applied != commit || gs.Status.Fetched.Commit != commit || gs.Status.History[0].Outcome != "Proven" {
			t.Errorf("the status is %+v", gs.Status)
		}
	})
	commit = w.deliverFiles(map[string]string{"secret.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: token}\nstringData: {token: hunter2}\n"})
	w.waitProven(commit, time.Minute)
	w.act(t, "a Secret, which is not watched, is asked about at each poll", func(t *testing.T) { w.wantRequests(t, 1) })
}

// stages is how often passes came to a stage.
func (w *world) stages(stage string) (count float64) {
	w.t.Helper()
	for _, s := range w.samples(w.t)["rollcall_gitsync_pass_duration_seconds_count"] {
		if s.labels["stage"] == stage {
			count += s.value
		}
	}
	return count
}

// TestOneOfManyChanges counts what the API server is asked for when a commit changes one object of 500 and leaves the
// DaemonSet as it is.
func TestOneOfManyChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.policy(hurried())
	many := func(first string) string {
		docs := []string{plainConfig("settings-0", first)}
		for i := range 499 {
			docs = append(docs, plainConfig(fmt.Sprintf("settings-%d", i+1), "1"))
		}
		return strings.Join(docs, "---\n")
	}
	commit := w.push("an agent and 500 objects", map[string]string{"daemonset.yaml": manifest("v1"), "settings.yaml": many("1")})
	w.follow()
	w.waitProven(commit, 2*time.Minute)
	w.retime(5 * time.Second)
	for _, asked := range []string{"", "at once"} {
		w.wantRequests(t, 0)
		before, spelled := w.requests("put", "watch")
		commit = w.push("another value", map[string]string{"settings.yaml": many("2" + asked)})
		if asked != "" {
			w.poke()
		}
		w.waitProven(commit, time.Minute)
		w.wantRequests(t, 0)
		after, now := w.requests("put", "watch")
		if after-before > 4 {
			t.Errorf("asked %q: %.0f requests for one changed object, at most 4: before %s; after %s", asked, after-before, spelled, now)
		}
	}
	settings, err := w.cluster.Client.CoreV1().ConfigMaps("default").Get(t.Context(), "settings-0", metav1.GetOptions{})
	w.must(err, "get ConfigMap")
	if settings.Data["key"] != "2at once" {
		t.Errorf("the ConfigMap has %v", settings.Data)
	}
}

// accompanying is one object of each of some kinds.
const accompanying = `apiVersion: v1
kind: ServiceAccount
metadata: {name: agent}
---
apiVersion: v1
kind: Service
metadata: {name: agent}
spec: {clusterIP: None, selector: {app: example}, ports: [{name: metrics, port: 9100}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: agent}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: agent}
value: 1000
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: agent}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: example}}}
`

// requests sums up what rollcall asked of the API server, and what for, but for some verbs.
func (w *world) requests(but ...string) (sum float64, spelled string) {
	w.t.Helper()
	var lines []string
	for _, s := range w.samples(w.t)["rollcall_api_requests_total"] {
		if slices.Contains(but, s.labels["verb"]) {
			continue
		}
		sum += s.value
		lines = append(lines, fmt.Sprintf("%s %s: %.0f", s.labels["verb"], s.labels["code"], s.value))
	}
	return sum, strings.Join(lines, ", ")
}

// wantRequests wants so many requests for each of three polls of Git, and no others.
func (w *world) wantRequests(t *testing.T, each float64) {
	t.Helper()
	sum, spelled := 0.0, ""
	polls := w.polls()
	w.eventually("what happened before is answered", 30*time.Second, func() (bool, error) {
		before, _ := w.requests()
		polls = w.polls()
		w.eventually("Git is polled", 30*time.Second, func() (bool, error) { return w.polls() > polls, nil })
		sum, spelled = w.requests()
		polls = w.polls()
		return sum-before <= each, nil
	})
	w.eventually("Git is polled three times", 30*time.Second, func() (bool, error) { return w.polls() >= polls+3, nil })
	after, now := w.requests()
	if most := each * (w.polls() - polls + 1); after-sum > most {
		t.Errorf("%.0f requests though nothing changed, at most %.0f: before %s; after %s", after-sum, most, spelled, now)
	}
}

func (w *world) polls() float64 {
	w.t.Helper()
	for _, s := range w.samples(w.t)["rollcall_git_requests_total"] {
		if s.labels["op"] == "ls-remote" && s.labels["result"] == "ok" {
			return s.value
		}
	}
	return 0
}

// daemonSetLabel is the edit of what the DaemonSet's declaration puts right, which does not count as drift.
const daemonSetLabel = "a label of the DaemonSet"

func (w *world) wantEditsUndone(t *testing.T) {
	t.Helper()
	w.retime(time.Hour)
	client := w.cluster.Client
	edits := map[string]func() error{
		"data": func() error {
			_, err := client.CoreV1().ConfigMaps("default").Patch(t.Context(), "settings-1", types.MergePatchType, []byte(`{"data":{"key":"edited"}}`), metav1.PatchOptions{FieldManager: "kubectl-edit"})
			return err
		},
		"an object that is deleted": func() error {
			return client.CoreV1().ServiceAccounts("default").Delete(t.Context(), "agent", metav1.DeleteOptions{})
		},
		daemonSetLabel: func() error {
			_, err := client.AppsV1().DaemonSets("default").Patch(t.Context(), "example-daemonset", types.MergePatchType, []byte(`{"metadata":{"labels":{"app":"edited"}}}`), metav1.PatchOptions{FieldManager: "kubectl-edit"})
			return err
		},
		"a spec with a status": func() error {
			_, err := client.PolicyV1().PodDisruptionBudgets("default").Patch(t.Context(), "agent", types.MergePatchType, []byte(`{"spec":{"maxUnavailable":3}}`), metav1.PatchOptions{FieldManager: "kubectl-edit"})
			return err
		},
	}
	for what, edit := range edits {
		corrected := w.corrected()
		w.must(edit(), "edit "+what)
		w.eventually("the edit of "+what+" is undone", 5*time.Second, func() (bool, error) { return w.asDeclared(), nil })
		w.eventually("it is counted", 5*time.Second, func() (bool, error) { return w.corrected() > corrected || what == daemonSetLabel, nil })
	}
}

// waitMode changes the mode and waits for what that leads to.
func (w *world) waitMode(mode v1alpha1.Mode, reason string) {
	w.t.Helper()
	_, err := w.kinds.GitSyncs(metav1.NamespaceDefault).Patch(w.t.Context(), "fleet", types.MergePatchType, fmt.Appendf(nil, `{"spec":{"mode":%q}}`, mode), metav1.PatchOptions{})
	w.must(err, "patch GitSync")
	w.waitSync("it is "+reason, 30*time.Second, func(gs *v1alpha1.GitSync) bool {
		return gs.Status.ObservedGeneration == gs.Generation && readyCondition(gs).Reason == reason
	})
}

// retime changes the interval between two polls.
func (w *world) retime(interval time.Duration) {
	w.t.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"source":{"interval":%q}}}`, interval)
	_, err := w.kinds.GitSyncs(metav1.NamespaceDefault).Patch(w.t.Context(), "fleet", types.MergePatchType, patch, metav1.PatchOptions{})
	w.must(err, "patch GitSync")
	w.waitSync("the interval is "+interval.String(), 10*time.Second, func(gs *v1alpha1.GitSync) bool { return gs.Status.ObservedGeneration == gs.Generation })
}

func (w *world) corrected() float64 {
	w.t.Helper()
	for _, s := range w.samples(w.t)["rollcall_drift_corrected_total"] {
		return s.value
	}
	return 0
}

// asDeclared is whether everything that wantEditsUndone edits is as Git declares it.
func (w *world) asDeclared() bool {
	w.t.Helper()
	ctx, client := w.t.Context(), w.cluster.Client
	settings, err := client.CoreV1().ConfigMaps("default").Get(ctx, "settings-1", metav1.GetOptions{})
	if err != nil || settings.Data["key"] != "1" {
		return false
	}
	if _, err := client.CoreV1().ServiceAccounts("default").Get(ctx, "agent", metav1.GetOptions{}); err != nil {
		return false
	}
	budget, err := client.PolicyV1().PodDisruptionBudgets("default").Get(ctx, "agent", metav1.GetOptions{})
	return err == nil && budget.Spec.MaxUnavailable.IntValue() == 1 && w.daemonSet().Labels["app"] == "example"
}
