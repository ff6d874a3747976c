package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-dev/rollcall/e2e/gitserver"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// tenant is one namespace of a world with a repository and a GitSync "fleet" of
// its own, so that many scenarios share a cluster.
type tenant struct {
	t         *testing.T
	w         *world
	namespace string
	repo      *gitserver.Repo
}

// together runs the scenarios of one world, each as a tenant, a few at a time:
// they mostly wait, so that more run than there are CPUs.
func together(t *testing.T, w *world, scenarios map[string]func(*tenant)) {
	t.Helper()
	var running errgroup.Group
	running.SetLimit(5)
	for _, name := range slices.Sorted(maps.Keys(scenarios)) {
		running.Go(func() error {
			t.Run(name, func(t *testing.T) { scenarios[name](newTenant(t, w, name)) })
			return nil
		})
	}
	_ = running.Wait() // the tests say what went wrong
}

func newTenant(t *testing.T, w *world, scenario string) *tenant {
	t.Helper()
	n := &tenant{t: t, w: w, namespace: strings.ReplaceAll(strings.ToLower(scenario), " ", "-")}
	n.namespaceOf(n.namespace)
	var err error
	n.repo, err = w.git.NewRepo(t.Context(), n.namespace)
	n.must(err, "make repository")
	return n
}

// hurried is a policy of a canary wave and the rest, over in seconds.
func hurried() v1alpha1.RolloutPolicySpec {
	second := metav1.Duration{Duration: time.Second}
	three := intstr.FromInt32(3)
	return v1alpha1.RolloutPolicySpec{
		Waves: []v1alpha1.Wave{
			{Name: "canary", UpTo: intstr.FromInt32(2), Soak: metav1.Duration{Duration: 2 * time.Second}},
			{Name: "rest", UpTo: intstr.FromString("100%")},
		},
		MaxUnavailable: &three,
		Health:         v1alpha1.HealthSpec{ReadyFor: second, Deadline: metav1.Duration{Duration: 20 * time.Second}},
		OnFailure:      v1alpha1.OnFailureReturn,
	}
}

func (n *tenant) must(err error, what string) {
	n.t.Helper()
	if err != nil {
		n.t.Fatalf("%s: %v", what, err)
	}
}

func (n *tenant) namespaceOf(name string) {
	n.t.Helper()
	_, err := n.w.cluster.Client.CoreV1().Namespaces().Create(n.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	n.must(err, "create namespace")
}

// push writes files, removes those whose content is empty, commits and pushes.
func (n *tenant) push(message string, files map[string]string) string {
	n.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if files[name] == "" {
			n.must(n.repo.Remove(name), "remove "+name)
			continue
		}
		n.must(n.repo.Write(name, files[name]), "write "+name)
	}
	commit, err := n.repo.Commit(n.t.Context(), message)
	n.must(err, "commit")
	n.must(n.repo.Push(n.t.Context()), "push")
	return commit
}

// deliver pushes and asks for a pass.
func (n *tenant) deliver(message string, files map[string]string) string {
	n.t.Helper()
	commit := n.push(message, files)
	n.poke()
	return commit
}

func (n *tenant) follow(change ...func(*v1alpha1.GitSync)) {
	n.t.Helper()
	gs := &v1alpha1.GitSync{
		ObjectMeta: metav1.ObjectMeta{Name: "fleet", Namespace: n.namespace},
		Spec: v1alpha1.GitSyncSpec{Prune: true, Source: v1alpha1.GitSource{
			URL: n.repo.URL, InsecureHTTP: true, Ref: v1alpha1.GitRef{Branch: "main"}, Path: ".", Interval: metav1.Duration{Duration: 5 * time.Second},
		}},
	}
	for _, c := range change {
		c(gs)
	}
	_, err := n.w.kinds.GitSyncs(n.namespace).Create(n.t.Context(), gs, metav1.CreateOptions{})
	n.must(err, "create GitSync")
}

// followAfter pushes a first commit and makes the GitSync.
func (n *tenant) followAfter(files map[string]string) string {
	n.t.Helper()
	commit := n.push("first", files)
	n.follow()
	return commit
}

// edit changes the GitSync's spec or metadata.
func (n *tenant) edit(change func(*v1alpha1.GitSync)) {
	n.t.Helper()
	client := n.w.kinds.GitSyncs(n.namespace)
	n.eventually("the GitSync is edited", func(ctx context.Context) (string, error) {
		gs, err := client.Get(ctx, "fleet", metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		change(gs)
		_, err = client.Update(ctx, gs, metav1.UpdateOptions{})
		if apierrors.IsConflict(err) {
			return "it was written meanwhile", nil
		}
		return "", err
	})
}

// poke asks for a pass now, as `kubectl annotate` does, and returns the value.
func (n *tenant) poke() string {
	n.t.Helper()
	at := fmt.Sprint(time.Now().UnixNano())
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.AnnotationReconcileAt, at)
	_, err := n.w.kinds.GitSyncs(n.namespace).Patch(n.t.Context(), "fleet", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	n.must(err, "annotate GitSync")
	return at
}

// patience is how long a scenario waits for one thing: many run at once.
const patience = 90 * time.Second

// eventually polls until check returns no complaint; the last one is reported.
func (n *tenant) eventually(what string, check func(context.Context) (complaint string, err error)) {
	n.t.Helper()
	last := ""
	err := wait.PollUntilContextTimeout(n.t.Context(), 150*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		var err error
		last, err = check(ctx)
		return last == "", err
	})
	if err != nil {
		n.t.Fatalf("wait until %s: %v; last: %s", what, err, last)
	}
}

// waitSync waits until a GitSync of the tenant is as wanted. All that it sees
// on the way obeys the rules of kstatus.
func (n *tenant) waitSync(name, what string, want func(*v1alpha1.GitSync) bool) *v1alpha1.GitSync {
	n.t.Helper()
	var last *v1alpha1.GitSync
	n.eventually(what, func(ctx context.Context) (string, error) {
		gs, err := n.w.kinds.GitSyncs(n.namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err.Error(), nil //nolint:nilerr // it may not be there yet, or the API server is busy
		}
		last = gs
		n.wantKstatus(gs)
		if want(gs) {
			return "", nil
		}
		rollout, _ := n.w.kinds.NodeRollouts(n.namespace).Get(ctx, agent, metav1.GetOptions{})
		return fmt.Sprintf("applied %.8s, proven %.8s, %v; rollout: %s", gs.Status.Applied, gs.Status.Proven, gs.Status.Conditions, describe(rollout)), nil
	})
	return last
}

// wantKstatus checks the conditions of a GitSync that a pass has seen.
func (n *tenant) wantKstatus(gs *v1alpha1.GitSync) {
	n.t.Helper()
	if gs.Status.ObservedGeneration == 0 {
		return
	}
	var extra []string
	for _, c := range gs.Status.Conditions {
		if c.ObservedGeneration != gs.Status.ObservedGeneration || c.Reason == "" || c.Message == "" {
			n.t.Errorf("condition %+v: want the status's observedGeneration %d, a reason and a message", c, gs.Status.ObservedGeneration)
		}
		switch c.Type {
		case "Ready":
		case "Reconciling", "Stalled":
			extra = append(extra, c.Type)
			if c.Status != metav1.ConditionTrue {
				n.t.Errorf("condition %s is %s: want it only while it is true", c.Type, c.Status)
			}
		default:
			n.t.Errorf("condition %s is not one of kstatus", c.Type)
		}
	}
	ready := apimeta.FindStatusCondition(gs.Status.Conditions, "Ready")
	switch {
	case ready == nil:
		n.t.Errorf("condition Ready is missing: %+v", gs.Status.Conditions)
	case ready.Status == metav1.ConditionTrue && len(extra) > 0:
		n.t.Errorf("the GitSync is Ready and %v", extra)
	case ready.Status == metav1.ConditionFalse && len(extra) != 1:
		n.t.Errorf("the GitSync is not Ready and %v: want one of Reconciling and Stalled", extra)
	}
}

// waitProven waits until the commit is proven on every node.
func (n *tenant) waitProven(commit string) *v1alpha1.GitSync {
	n.t.Helper()
	return n.waitSync("fleet", "commit "+commit[:8]+" is proven", func(gs *v1alpha1.GitSync) bool {
		return gs.Status.Proven == commit && apimeta.IsStatusConditionTrue(gs.Status.Conditions, "Ready")
	})
}

// waitHeld waits until a GitSync says why it does not go on, in the condition
// and in an event, and that this names the words.
func (n *tenant) waitHeld(name, reason string, words ...string) *v1alpha1.GitSync {
	n.t.Helper()
	gs := n.waitSync(name, "it is held by "+reason, func(gs *v1alpha1.GitSync) bool {
		ready := apimeta.FindStatusCondition(gs.Status.Conditions, "Ready")
		return ready != nil && ready.Status == metav1.ConditionFalse && ready.Reason == reason && gs.Status.ObservedGeneration == gs.Generation
	})
	message := apimeta.FindStatusCondition(gs.Status.Conditions, "Ready").Message
	n.t.Logf("%s: %s", reason, message)
	for _, word := range words {
		if !strings.Contains(message, word) {
			n.t.Errorf("%s: the message is %q, want it to name %q", reason, message, word)
		}
	}
	n.eventually("an event says "+reason, func(ctx context.Context) (string, error) {
		events, err := n.w.cluster.Client.CoreV1().Events(n.namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return "", err
		}
		if !slices.ContainsFunc(events.Items, func(e corev1.Event) bool { return e.InvolvedObject.Name == name && e.Reason == reason }) {
			return "no such event", nil
		}
		return "", nil
	})
	return gs
}

// waitRollout waits until the NodeRollout of the agent is as wanted.
func (n *tenant) waitRollout(what string, want func(*v1alpha1.NodeRollout) bool) *v1alpha1.NodeRollout {
	n.t.Helper()
	var last *v1alpha1.NodeRollout
	n.eventually(what, func(ctx context.Context) (string, error) {
		r, err := n.w.kinds.NodeRollouts(n.namespace).Get(ctx, agent, metav1.GetOptions{})
		if err != nil {
			return err.Error(), nil //nolint:nilerr // as in waitSync
		}
		last = r
		if want(r) {
			return "", nil
		}
		return describe(r), nil
	})
	return last
}

// pods reads the tenant's agents.
func (n *tenant) pods() []corev1.Pod {
	n.t.Helper()
	list, err := n.w.cluster.Client.CoreV1().Pods(n.namespace).List(n.t.Context(), metav1.ListOptions{})
	n.must(err, "list pods")
	return list.Items
}

// tags counts the agents by image tag.
func (n *tenant) tags() map[string]int {
	n.t.Helper()
	out := map[string]int{}
	for _, p := range n.pods() {
		out[tag(&p)]++
	}
	return out
}

// state is what runs and what is declared: pods, templates of DaemonSets,
// ConfigMaps and Secrets with their content, each with its UID. What rollcall
// records for itself is left out.
func (n *tenant) state() map[string]string {
	n.t.Helper()
	out := map[string]string{}
	sets, err := n.w.cluster.Client.AppsV1().DaemonSets(n.namespace).List(n.t.Context(), metav1.ListOptions{})
	n.must(err, "list DaemonSets")
	for _, ds := range sets.Items {
		out["daemonset "+ds.Name] = string(ds.UID) + " " + ds.Spec.Template.String()
	}
	for _, p := range n.pods() {
		out["pod "+p.Name] = string(p.UID) + " " + tag(&p)
	}
	for _, cm := range n.configMaps() {
		out["configmap "+cm.Name] = fmt.Sprint(cm.UID, cm.Data)
	}
	secrets, err := n.w.cluster.Client.CoreV1().Secrets(n.namespace).List(n.t.Context(), metav1.ListOptions{})
	n.must(err, "list Secrets")
	for _, s := range secrets.Items {
		out["secret "+s.Name] = fmt.Sprint(s.UID, s.Data)
	}
	return out
}

// configMaps are those that are not rollcall's own records.
func (n *tenant) configMaps() []corev1.ConfigMap {
	n.t.Helper()
	list, err := n.w.cluster.Client.CoreV1().ConfigMaps(n.namespace).List(n.t.Context(), metav1.ListOptions{})
	n.must(err, "list ConfigMaps")
	return slices.DeleteFunc(list.Items, func(cm corev1.ConfigMap) bool {
		return cm.Name == "kube-root-ca.crt" || strings.Contains(cm.Name, ".rollcall-")
	})
}

// wantUnchanged fails when something restarted, changed or went.
func (n *tenant) wantUnchanged(before map[string]string) {
	n.t.Helper()
	if d := cmp.Diff(before, n.state()); d != "" {
		n.t.Errorf("what ran has changed (-before +after):\n%s", d)
	}
}

// wantStill is wantUnchanged over two more passes.
func (n *tenant) wantStill(before map[string]string) {
	n.t.Helper()
	for range 2 {
		at := n.poke()
		n.waitSync("fleet", "the poke is answered", func(gs *v1alpha1.GitSync) bool { return gs.Status.LastHandledReconcileAt == at })
		n.wantUnchanged(before)
	}
}

// hasConfigMap is whether there is a ConfigMap of that name.
func (n *tenant) hasConfigMap(name string) bool {
	n.t.Helper()
	return slices.ContainsFunc(n.configMaps(), func(cm corev1.ConfigMap) bool { return cm.Name == name })
}

// waitPruned waits until the ConfigMap extra is gone.
func (n *tenant) waitPruned() {
	n.t.Helper()
	n.eventually("ConfigMap extra is pruned", func(context.Context) (string, error) {
		if n.hasConfigMap("extra") {
			return "it is there", nil
		}
		return "", nil
	})
}

// plainConfig is a ConfigMap with one key.
func plainConfig(name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\ndata:\n  key: %q\n", name, value)
}
