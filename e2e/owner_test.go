package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// contest is one DaemonSet that two GitSyncs declare from the same moment on,
// each with its own image tag.
type contest struct {
	name string
	// existed is whether somebody had installed it before, at v0.
	existed bool
}

func (c contest) manifest(tag string) string {
	return strings.NewReplacer("example-daemonset", c.name, "app: example", "app: "+c.name).Replace(manifest(tag))
}

// sides are the GitSyncs of the contest with their tags.
func (c contest) sides() map[string]string {
	return map[string]string{c.name + "-left": "left", c.name + "-right": "right"}
}

// contested are DaemonSets that nobody owns until two GitSyncs want them at
// once: one has each, the other says so, and nothing of the other ever runs.
func contested(n *tenant) {
	var contests []contest
	files := map[string]string{}
	for i := range 8 {
		c := contest{name: fmt.Sprintf("agent-%d", i), existed: i%2 == 0}
		contests = append(contests, c)
		for side, tag := range c.sides() {
			files[side+"/daemonset.yaml"] = c.manifest(tag)
		}
		if c.existed {
			n.install(c.manifest("v0"))
		}
	}
	n.push("both sides", files)
	ran := n.watchTags()
	var ready, done sync.WaitGroup
	ready.Add(1)
	for _, c := range contests {
		for side := range c.sides() {
			done.Go(func() {
				ready.Wait()
				n.follow(func(gs *v1alpha1.GitSync) { gs.Name, gs.Spec.Source.Path = side, side })
			})
		}
	}
	ready.Done()
	done.Wait()
	for _, c := range contests {
		n.wantOneOwner(c, ran)
	}
}

// wantOneOwner waits until the contest is over, and fails when anything is not
// the winner's.
func (n *tenant) wantOneOwner(c contest, ran func(name string) []string) {
	n.t.Helper()
	var winner string
	n.eventually("one GitSync has "+c.name+" and the other says so", func(ctx context.Context) (string, error) {
		reasons := map[string]string{}
		for side := range c.sides() {
			gs, err := n.w.kinds.GitSyncs(n.namespace).Get(ctx, side, metav1.GetOptions{})
			if err != nil {
				return "", err
			}
			reasons[readyCondition(gs).Reason] = side
			if !strings.Contains(readyCondition(gs).Message, n.namespace+".") && readyCondition(gs).Reason == "OwnedByAnother" {
				n.t.Errorf("%s: the message is %q, want it to name the owner", side, readyCondition(gs).Message)
			}
		}
		winner = reasons["Proven"]
		if winner == "" || reasons["OwnedByAnother"] == "" {
			return fmt.Sprint(reasons), nil
		}
		return "", nil
	})
	ds, err := n.w.cluster.Client.AppsV1().DaemonSets(n.namespace).Get(n.t.Context(), c.name, metav1.GetOptions{})
	n.must(err, "get DaemonSet")
	r, err := n.w.kinds.NodeRollouts(n.namespace).Get(n.t.Context(), c.name, metav1.GetOptions{})
	n.must(err, "get NodeRollout")
	owner := n.namespace + "." + winner
	if ds.Labels[v1alpha1.LabelOwner] != owner || r.Labels[v1alpha1.LabelOwner] != owner {
		n.t.Errorf("%s won, and the DaemonSet has labels %v and the NodeRollout %v", winner, ds.Labels, r.Labels)
	}
	want := []string{c.sides()[winner]}
	if c.existed {
		want = append(want, "v0")
	}
	if got := ran(c.name); !slices.Equal(got, want) {
		n.t.Errorf("%s won %s, where %v ran, want %v", winner, c.name, got, want)
	}
}

// install makes a DaemonSet as a person does who does not use rollcall.
func (n *tenant) install(manifest string) {
	n.t.Helper()
	var ds appsv1.DaemonSet
	n.must(yaml.Unmarshal([]byte(manifest), &ds), "read manifest")
	_, err := n.w.cluster.Client.AppsV1().DaemonSets(n.namespace).Create(n.t.Context(), &ds, metav1.CreateOptions{FieldManager: "kubectl-create"})
	n.must(err, "create DaemonSet")
}

// watchTags watches the pods of the tenant from now on. What it returns lists
// the image tags that ever ran for an app, sorted.
func (n *tenant) watchTags() func(app string) []string {
	n.t.Helper()
	pods := n.w.cluster.Client.CoreV1().Pods(n.namespace)
	watch, err := pods.Watch(n.t.Context(), metav1.ListOptions{}) // begins with those that are there
	n.must(err, "watch pods")
	n.t.Cleanup(watch.Stop)
	var mu sync.Mutex
	ran := map[string]map[string]bool{}
	go func() {
		for e := range watch.ResultChan() {
			p, ok := e.Object.(*corev1.Pod)
			if !ok || p.Spec.NodeName == "" {
				continue
			}
			mu.Lock()
			if ran[p.Labels["app"]] == nil {
				ran[p.Labels["app"]] = map[string]bool{}
			}
			ran[p.Labels["app"]][tag(p)] = true
			mu.Unlock()
		}
	}()
	return func(app string) []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Sorted(maps.Keys(ran[app]))
	}
}

// orphan makes the agent's DaemonSet and NodeRollout those of a GitSync that does
// not exist.
func (w *world) orphan() {
	w.t.Helper()
	patch := `{"metadata":{"labels":{"` + v1alpha1.LabelOwner + `":"default.gone"}}}`
	w.patchDaemonSet("kubectl-label", patch)
	_, err := w.kinds.NodeRollouts(metav1.NamespaceDefault).Patch(w.t.Context(), agent, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	w.must(err, "label NodeRollout")
}

// orphaned are objects whose GitSync somebody has deleted: the next one that
// declares them has them, with what was said about the rollout so far.
func orphaned(n *tenant) {
	files := map[string]string{
		"a/daemonset.yaml": manifest("v1"), "a/shared.yaml": plainConfig("shared", "1"),
		"b/daemonset.yaml": manifest("v1"), "b/shared.yaml": plainConfig("shared", "1"),
	}
	first := n.push("both", files)
	n.follow(func(gs *v1alpha1.GitSync) { gs.Spec.Source.Path = "a" })
	n.waitProven(first)
	n.waitRejected(n.deliver("bad", map[string]string{"a/daemonset.yaml": manifest("bad"), "b/daemonset.yaml": manifest("bad")}))
	n.pause(true)
	before := n.state()
	n.rival()
	n.waitHeld("rival", "OwnedByAnother", "b/daemonset.yaml", "b/shared.yaml")
	ran := n.watchTags()

	n.must(n.w.kinds.GitSyncs(n.namespace).Delete(n.t.Context(), "fleet", metav1.DeleteOptions{}), "delete GitSync")
	n.waitHeld("rival", "RolloutStopped", agent, "Held", "Paused")
	n.pause(false)
	r := n.waitRollout("it is rejected as before", func(r *v1alpha1.NodeRollout) bool { return r.Status.Phase == v1alpha1.PhaseRejected })
	n.wantUnchanged(before)
	if got := ran("example"); slices.Contains(got, "bad") {
		n.t.Errorf("%v ran after the handover: what one GitSync has rejected, the next one tried again", got)
	}
	if len(r.Status.Rejected) != 1 || r.Labels[v1alpha1.LabelOwner] != n.namespace+".rival" {
		n.t.Errorf("rejected are %v and labels %v, want the rejection of before and the rival", r.Status.Rejected, r.Labels)
	}
	for _, cm := range n.configMaps() {
		if cm.Labels[v1alpha1.LabelOwner] != n.namespace+".rival" {
			n.t.Errorf("ConfigMap %s has labels %v, want the rival's", cm.Name, cm.Labels)
		}
	}
	n.wantState(agent)
}

// managedBeside are declared fields beside the template that another manager
// holds with other values.
func managedBeside(n *tenant) {
	before := n.good()
	labelled := strings.Replace(manifest("v1"), "  labels:\n", "  labels:\n    speed: slow\n", 1)
	labelled = strings.Replace(labelled, "spec:\n", "spec:\n  minReadySeconds: 1\n", 1)
	n.tune(`{"labels":{"speed":"fast"}}`, `{"minReadySeconds":2}`)
	commit := n.deliver("the same fields", map[string]string{"daemonset.yaml": labelled, "extra.yaml": "", "fixed.yaml": plainConfig("fixed", "1")})
	n.waitHeld("fleet", "Conflict", "daemonset.yaml", "DaemonSet", agent, "metadata.labels.speed", "spec.minReadySeconds", `"node-tuner"`, "make that manager let go")
	n.wantStill(before)
	ds, err := n.w.cluster.Client.AppsV1().DaemonSets(n.namespace).Get(n.t.Context(), agent, metav1.GetOptions{})
	n.must(err, "get DaemonSet")
	if ds.Labels["speed"] != "fast" || ds.Spec.MinReadySeconds != 2 {
		n.t.Errorf("the DaemonSet has labels %v and minReadySeconds %d, want the other manager's", ds.Labels, ds.Spec.MinReadySeconds)
	}
	n.tune(`{}`, `{}`)
	n.waitProven(commit)
	n.waitPruned()
	ds, err = n.w.cluster.Client.AppsV1().DaemonSets(n.namespace).Get(n.t.Context(), agent, metav1.GetOptions{})
	n.must(err, "get DaemonSet")
	if ds.Labels["speed"] != "slow" || ds.Spec.MinReadySeconds != 1 {
		n.t.Errorf("the DaemonSet has labels %v and minReadySeconds %d, want Git's", ds.Labels, ds.Spec.MinReadySeconds)
	}
	n.tunerIsAdopted(strings.Replace(labelled, "speed: slow", "speed: slower", 1))
}

// tunerIsAdopted has the GitSync take over from the other manager: what Git
// declares is written over it, and what Git does not declare goes.
func (n *tenant) tunerIsAdopted(manifest string) {
	n.t.Helper()
	n.tune(`{"labels":{"speed":"slow","theirs":"yes"}}`, `{}`)
	commit := n.deliver("another speed", map[string]string{"daemonset.yaml": manifest})
	n.waitHeld("fleet", "Conflict", "metadata.labels.speed", `"node-tuner"`, "list it in spec.adoptFrom")
	n.edit(func(gs *v1alpha1.GitSync) { gs.Spec.AdoptFrom = []string{"node-tuner"} })
	n.waitProven(commit)
	ds, err := n.w.cluster.Client.AppsV1().DaemonSets(n.namespace).Get(n.t.Context(), agent, metav1.GetOptions{})
	n.must(err, "get DaemonSet")
	if _, stays := ds.Labels["theirs"]; stays || ds.Labels["speed"] != "slower" {
		n.t.Errorf("the DaemonSet has labels %v, want Git's alone", ds.Labels)
	}
}

// tune applies fields of the DaemonSet as another manager.
func (n *tenant) tune(metadata, spec string) {
	n.t.Helper()
	patch := fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"DaemonSet","metadata":%s,"spec":%s}`, metadata, spec)
	_, err := n.w.cluster.Client.AppsV1().DaemonSets(n.namespace).Patch(n.t.Context(), agent, types.ApplyPatchType, []byte(patch), metav1.PatchOptions{FieldManager: "node-tuner"})
	n.must(err, "apply as node-tuner")
}
