package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/rollcall-dev/rollcall/apply/kinds"
	"github.com/rollcall-dev/rollcall/e2e/cluster"
	"github.com/rollcall-dev/rollcall/e2e/gitserver"
	"github.com/rollcall-dev/rollcall/e2e/product"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// agent is the DaemonSet of most scenarios: the one that every tutorial shows.
const agent = "example-daemonset"

// world is a cluster, a Git server with one repository, and rollcall between
// them. Scenarios act by git push and read the API.
type world struct {
	t       testing.TB
	dir     string
	cluster *cluster.Cluster
	kinds   *kinds.Client
	git     *gitserver.Server
	repo    *gitserver.Repo
	control *product.Controller
	options product.Options
}

// newWorld starts everything but the GitSync.
func newWorld(t testing.TB, nodes int) *world {
	t.Helper()
	return newWorldWith(t, cluster.Options{Nodes: nodes, Zones: 3})
}

// newWorldWith is newWorld on a cluster of its own make.
func newWorldWith(t testing.TB, o cluster.Options) *world {
	t.Helper()
	w := idleWorld(t, o)
	w.startController()
	return w
}

// idleWorld is newWorldWith but for rollcall, which is to run as the chart's
// account: what the chart's roles lack, no scenario has.
func idleWorld(t testing.TB, o cluster.Options) *world {
	t.Helper()
	return idleWorldWith(t, o, forScenarios)
}

// idleWorldWith is idleWorld with other values of the chart.
func idleWorldWith(t testing.TB, o cluster.Options, values string) *world {
	t.Helper()
	w := &world{t: t, dir: scratch(t)}
	o.Dir = filepath.Join(w.dir, "cluster")
	var err error
	w.cluster, err = cluster.Start(t.Context(), o)
	w.must(err, "start cluster")
	t.Cleanup(func() { w.must(w.cluster.Stop(), "stop cluster") })
	w.must(product.InstallCRDs(t.Context(), w.cluster.Dynamic), "install CRDs")
	w.kinds, err = kinds.NewClient(w.cluster.Config)
	w.must(err, "make client")
	w.git, err = gitserver.Start(t.Context(), gitserver.Options{Dir: filepath.Join(w.dir, "git")})
	w.must(err, "start git server")
	t.Cleanup(func() { w.must(w.git.Close(), "stop git server") })
	w.repo, err = w.git.NewRepo(t.Context(), "fleet")
	w.must(err, "make repository")
	w.installAccount(values)
	account, _, err := w.cluster.LogIn(t.Context(), releaseNamespace, release)
	w.must(err, "log in as the chart's account")
	w.options = product.Options{Kubeconfig: account, Dir: w.dir}
	return w
}

// scratch is a folder that is kept when the test fails, for its logs.
func scratch(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rollcall-e2e-") //nolint:usetesting // it is kept when the test fails
	if err != nil {
		t.Fatalf("make folder: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("logs are in %s", dir)
			return
		}
		_ = os.RemoveAll(dir)
	})
	return dir
}

func (w *world) must(err error, what string) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
}

func (w *world) startController() {
	w.t.Helper()
	c, err := product.Start(context.WithoutCancel(w.t.Context()), w.options)
	w.must(err, "start rollcall")
	w.control = c
	w.t.Cleanup(func() { _ = c.Kill() })
}

// manifest is the tutorial's DaemonSet with an image tag.
func manifest(tag string) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: example-daemonset
  labels:
    app: example
spec:
  selector:
    matchLabels:
      app: example
  template:
    metadata:
      labels:
        app: example
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: example-container
        image: example-image:%s
        resources:
          requests:
            cpu: 10m
`, tag)
}

// push writes files, removes those whose content is empty, commits and pushes them, and
// returns the commit.
func (w *world) push(message string, files map[string]string) string {
	w.t.Helper()
	for name, content := range files {
		if content == "" {
			w.must(w.repo.Remove(name), "remove "+name)
			continue
		}
		w.must(w.repo.Write(name, content), "write "+name)
	}
	commit, err := w.repo.Commit(w.t.Context(), message)
	w.must(err, "commit")
	w.must(w.repo.Push(w.t.Context()), "push")
	return commit
}

// pushTag pushes the tutorial's DaemonSet with an image tag.
func (w *world) pushTag(tag string) string {
	w.t.Helper()
	return w.push("image tag "+tag, map[string]string{"daemonset.yaml": manifest(tag)})
}

// follow makes the GitSync, with the shortest interval there is.
func (w *world) follow(change ...func(*v1alpha1.GitSync)) *v1alpha1.GitSync {
	w.t.Helper()
	gs := &v1alpha1.GitSync{
		ObjectMeta: metav1.ObjectMeta{Name: "fleet", Namespace: metav1.NamespaceDefault},
		Spec: v1alpha1.GitSyncSpec{Prune: true, Source: v1alpha1.GitSource{
			URL: w.repo.URL, InsecureHTTP: true, Ref: v1alpha1.GitRef{Branch: "main"}, Path: ".", Interval: metav1.Duration{Duration: 5 * time.Second},
		}},
	}
	for _, c := range change {
		c(gs)
	}
	out, err := w.kinds.GitSyncs(gs.Namespace).Create(w.t.Context(), gs, metav1.CreateOptions{})
	w.must(err, "create GitSync")
	return out
}

// poke asks for a pass now, as `kubectl annotate` does.
func (w *world) poke() {
	w.t.Helper()
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:"%d"}}}`, v1alpha1.AnnotationReconcileAt, time.Now().UnixNano())
	_, err := w.kinds.GitSyncs(metav1.NamespaceDefault).Patch(w.t.Context(), "fleet", "application/merge-patch+json", []byte(patch), metav1.PatchOptions{})
	w.must(err, "annotate GitSync")
}

// deliver pushes a tag and asks for a pass.
func (w *world) deliver(tag string) string {
	w.t.Helper()
	commit := w.pushTag(tag)
	w.poke()
	return commit
}

// deliverFiles pushes files and asks for a pass.
func (w *world) deliverFiles(files map[string]string) string {
	w.t.Helper()
	commit := w.push("files", files)
	w.poke()
	return commit
}

// policy makes the RolloutPolicy "default".
func (w *world) policy(spec v1alpha1.RolloutPolicySpec) {
	w.t.Helper()
	_, err := w.kinds.RolloutPolicies().Create(w.t.Context(), &v1alpha1.RolloutPolicy{ObjectMeta: metav1.ObjectMeta{Name: "default"}, Spec: spec}, metav1.CreateOptions{})
	w.must(err, "create RolloutPolicy")
}

// waitRollout waits until the NodeRollout of the agent is as wanted.
func (w *world) waitRollout(what string, within time.Duration, want func(*v1alpha1.NodeRollout) bool) *v1alpha1.NodeRollout {
	w.t.Helper()
	var last *v1alpha1.NodeRollout
	err := wait.PollUntilContextTimeout(w.t.Context(), 100*time.Millisecond, within, true, func(ctx context.Context) (bool, error) {
		n, err := w.kinds.NodeRollouts(metav1.NamespaceDefault).Get(ctx, agent, metav1.GetOptions{})
		if err != nil {
			return false, nil //nolint:nilerr // it may not be there yet, or the API server is restarting
		}
		last = n
		return want(n), nil
	})
	if err != nil {
		w.t.Fatalf("wait until %s: %v; last: %s", what, err, describe(last))
	}
	return last
}

func describe(n *v1alpha1.NodeRollout) string {
	if n == nil {
		return "no NodeRollout"
	}
	s := n.Status
	return fmt.Sprintf("phase %s reason %s: %s; nodes %+v; in flight %d; failing %v", s.Phase, s.Reason, s.Message, s.Nodes, len(s.InFlight), s.Failing)
}

// waitProven waits until the commit is proven on every node.
func (w *world) waitProven(commit string, within time.Duration) *v1alpha1.GitSync {
	w.t.Helper()
	return w.waitSync("commit "+commit[:8]+" is proven", within, func(gs *v1alpha1.GitSync) bool { return gs.Status.Proven == commit })
}

// waitSync waits until the GitSync is as wanted.
func (w *world) waitSync(what string, within time.Duration, want func(*v1alpha1.GitSync) bool) *v1alpha1.GitSync {
	w.t.Helper()
	var last *v1alpha1.GitSync
	err := wait.PollUntilContextTimeout(w.t.Context(), 100*time.Millisecond, within, true, func(ctx context.Context) (bool, error) {
		gs, err := w.kinds.GitSyncs(metav1.NamespaceDefault).Get(ctx, "fleet", metav1.GetOptions{})
		if err != nil {
			return false, nil //nolint:nilerr // as in waitRollout
		}
		last = gs
		return want(gs), nil
	})
	if err != nil {
		rollout, _ := w.kinds.NodeRollouts(metav1.NamespaceDefault).Get(w.t.Context(), agent, metav1.GetOptions{})
		w.t.Fatalf("wait until %s: %v; last: %+v; rollout: %s", what, err, last.Status, describe(rollout))
	}
	return last
}

// daemonSet reads the agent's DaemonSet.
func (w *world) daemonSet() *appsv1.DaemonSet {
	w.t.Helper()
	ds, err := w.cluster.Client.AppsV1().DaemonSets(metav1.NamespaceDefault).Get(w.t.Context(), agent, metav1.GetOptions{})
	w.must(err, "get DaemonSet")
	return ds
}

// pods reads the agent's pods.
func (w *world) pods() []corev1.Pod {
	w.t.Helper()
	list, err := w.cluster.Client.CoreV1().Pods(metav1.NamespaceDefault).List(w.t.Context(), metav1.ListOptions{LabelSelector: "app=example"})
	w.must(err, "list pods")
	return list.Items
}

// tags counts the agent's pods by image tag.
func (w *world) tags() map[string]int {
	w.t.Helper()
	out := map[string]int{}
	for _, p := range w.pods() {
		out[tag(&p)]++
	}
	return out
}

func tag(p *corev1.Pod) string {
	_, after, _ := strings.Cut(p.Spec.Containers[0].Image, ":")
	return after
}

// waitUpdated waits until Kubernetes itself counts so many updated pods.
func (w *world) waitUpdated(nodes int32) {
	w.t.Helper()
	var ds *appsv1.DaemonSet
	err := wait.PollUntilContextTimeout(w.t.Context(), 100*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		ds = w.daemonSet()
		return ds.Status.UpdatedNumberScheduled == nodes && ds.Status.NumberAvailable == nodes, nil
	})
	if err != nil {
		w.t.Errorf("DaemonSet status: %d updated and %d available, want %d", ds.Status.UpdatedNumberScheduled, ds.Status.NumberAvailable, nodes)
	}
}

// waitRejected waits until the commit is rejected and every node has a Ready
// agent again.
func (w *world) waitRejected(commit string, within time.Duration) *v1alpha1.NodeRollout {
	w.t.Helper()
	return w.waitRollout("commit "+commit[:8]+" is rejected and its nodes are back", within, func(n *v1alpha1.NodeRollout) bool {
		s := n.Status
		return s.Phase == v1alpha1.PhaseRejected && s.Candidate != nil && s.Candidate.Commit == commit && s.Nodes.Present == s.Nodes.Eligible
	})
}

// eventually polls until want is true.
func (w *world) eventually(what string, within time.Duration, want func() (bool, error)) {
	w.t.Helper()
	err := wait.PollUntilContextTimeout(w.t.Context(), 100*time.Millisecond, within, true, func(context.Context) (bool, error) { return want() })
	if err != nil {
		w.t.Fatalf("wait until %s: %v", what, err)
	}
}
