package e2e

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// TestOurs shows that what others write to what Git declares, webhooks first of all, neither restarts anything nor keeps
// rollcall busy, and that what a GitSync ignores is left to them.
func TestOurs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 6)
	w.policy(hurried())
	together(t, w, map[string]func(*tenant){
		"rewritten images": rewrittenImages,
		"rewritten later":  rewrittenLater,
		"ignored":          ignored,
		"ignored template": ignoredTemplate,
		"masked":           masked,
		"planned move":     plannedMove,
	})
}

// mirrored is a webhook that has images pulled from a mirror, as in argo-cd#17568 and argo-cd#17572, and stamps what it
// sees with another value each time.
func mirrored() *webhook {
	h := &webhook{}
	h.change = func(o *unstructured.Unstructured) {
		_ = unstructured.SetNestedField(o.Object, fmt.Sprint(h.seen.Load()), "metadata", "annotations", "stamped")
		containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
		first := containers[0].(map[string]any)
		first["image"] = "mirror.example.com/" + strings.TrimPrefix(first["image"].(string), "mirror.example.com/")
		_ = unstructured.SetNestedSlice(o.Object, containers, "spec", "template", "spec", "containers")
	}
	return h
}

// images are those of the agents, by tag.
func (n *tenant) images() map[string]int {
	n.t.Helper()
	out := map[string]int{}
	for _, p := range n.pods() {
		out[p.Spec.Containers[0].Image]++
	}
	return out
}

// wantImages fails unless all agents run the image.
func (n *tenant) wantImages(image string) {
	n.t.Helper()
	if got := n.images(); len(got) != 1 || got[image] != 6 {
		n.t.Errorf("images are %v, want 6 of %s", got, image)
	}
}

func rewrittenImages(n *tenant) {
	hook := mirrored()
	hook.install(n.t, n.w.cluster.Client, n.namespace, "apps", "daemonsets")
	n.waitProven(n.followAfter(map[string]string{"daemonset.yaml": manifest("v1")}))
	n.wantImages("mirror.example.com/example-image:v1")
	n.waitAtRest()
	n.wantRestful(hook)
	n.wantPlan(0, map[string]string{"daemonset.yaml": manifest("v1")})
	next := n.wantPlan(2, map[string]string{"daemonset.yaml": manifest("v2")})
	if ds := next.DaemonSets[0]; ds.Verdict != "Rollout" || len(ds.Fields) != 1 || ds.Fields[0].To != `"mirror.example.com/example-image:v2"` {
		n.t.Errorf("of the next image the plan says %+v", ds)
	}
	n.waitProven(n.deliver("next", map[string]string{"daemonset.yaml": manifest("v2")}))
	n.wantImages("mirror.example.com/example-image:v2")
	n.waitAtRest()
	n.wantRestful(hook)
}

// rewrittenLater is a webhook that comes when the agents run: what runs is not restarted for it.
func rewrittenLater(n *tenant) {
	n.waitProven(n.followAfter(map[string]string{"daemonset.yaml": manifest("v1")}))
	n.waitAtRest()
	hook := mirrored()
	hook.install(n.t, n.w.cluster.Client, n.namespace, "apps", "daemonsets")
	before := n.state()
	labelled := strings.Replace(manifest("v1"), "    app: example\nspec:", "    app: example\n    more: \"yes\"\nspec:", 1)
	n.waitProven(n.deliver("a label", map[string]string{"daemonset.yaml": labelled}))
	n.waitAtRest()
	after := n.state()
	delete(before, "daemonset "+agent)
	delete(after, "daemonset "+agent)
	for name, was := range before {
		if after[name] != was {
			n.t.Errorf("%s was %s, and is %s", name, was, after[name])
		}
	}
	n.wantRestful(hook)
	n.waitProven(n.deliver("next", map[string]string{"daemonset.yaml": manifest("v2")}))
	n.wantImages("mirror.example.com/example-image:v2")
}

// wantRestful fails when passes at rest write, or try, the DaemonSet.
func (n *tenant) wantRestful(hook *webhook) {
	n.t.Helper()
	before, generation, asked := n.state(), n.daemonSet().Generation, hook.seen.Load()
	n.wantStill(before)
	if got := n.daemonSet().Generation; got != generation {
		n.t.Errorf("the DaemonSet was written at rest: generation %d, was %d", got, generation)
	}
	if got := hook.seen.Load(); got > asked+4 { // a pass that was asked for tries what it declares, once
		n.t.Errorf("two passes at rest asked the webhook %d times", got-asked)
	}
}

func (n *tenant) daemonSet() *appsv1.DaemonSet {
	n.t.Helper()
	ds, err := n.w.cluster.Client.AppsV1().DaemonSets(n.namespace).Get(n.t.Context(), agent, metav1.GetOptions{})
	n.must(err, "get DaemonSet")
	return ds
}

const scaled = `apiVersion: apps/v1
kind: Deployment
metadata: {name: gateway}
spec:
  replicas: 1
  selector: {matchLabels: {app: gateway}}
  template:
    metadata: {labels: {app: gateway}}
    spec: {containers: [{name: gateway, image: "gateway:1"}]}
`

// ignored is a field of a Deployment, and an annotation of a DaemonSet, that others have from some day on.
func ignored(n *tenant) {
	annotated := strings.Replace(manifest("v1"), "metadata:\n", "metadata:\n  annotations: {example.com/tuned: git, example.com/other: \"1\"}\n", 1)
	files := map[string]string{"daemonset.yaml": annotated, "deployment.yaml": scaled}
	n.waitProven(n.followAfter(files))
	n.waitAtRest()
	before := n.state()
	n.edit(func(gs *v1alpha1.GitSync) {
		gs.Spec.Ignore = []v1alpha1.IgnoreRule{{Pointer: "/spec/replicas", Kind: "Deployment"}, {Pointer: "/metadata/annotations/example.com~1tuned"}}
	})
	at := n.poke()
	n.waitSync("fleet", "the rules are heeded", func(gs *v1alpha1.GitSync) bool {
		return gs.Status.LastHandledReconcileAt == at && gs.Status.ObservedGeneration == gs.Generation
	})
	if got := n.daemonSet().Annotations["example.com/tuned"]; got != "git" {
		n.t.Errorf("what is ignored from now on was taken away: the annotation is %q", got)
	}
	apps := n.w.cluster.Client.AppsV1()
	_, err := apps.Deployments(n.namespace).Patch(n.t.Context(), "gateway", types.MergePatchType, []byte(`{"spec":{"replicas":4}}`), metav1.PatchOptions{FieldManager: "kube-controller-manager"})
	n.must(err, "scale")
	_, err = apps.DaemonSets(n.namespace).Patch(n.t.Context(), agent, types.MergePatchType, []byte(`{"metadata":{"annotations":{"example.com/tuned":"tuner"}}}`), metav1.PatchOptions{FieldManager: "tuner"})
	n.must(err, "annotate")
	n.waitProven(n.deliver("next", map[string]string{"daemonset.yaml": strings.Replace(annotated, `other: "1"`, `other: "2"`, 1), "deployment.yaml": strings.Replace(scaled, "replicas: 1", "replicas: 2", 1)}))
	n.wantAgentsUnchanged(before)
	if got := n.daemonSet().Annotations; got["example.com/tuned"] != "tuner" || got["example.com/other"] != "2" {
		n.t.Errorf("annotations are %v, want the tuner's and Git's", got)
	}
	d, err := apps.Deployments(n.namespace).Get(n.t.Context(), "gateway", metav1.GetOptions{})
	n.must(err, "get Deployment")
	if *d.Spec.Replicas != 4 {
		n.t.Errorf("%d replicas, want the autoscaler's 4", *d.Spec.Replicas)
	}
	n.wantPlan(0, map[string]string{"daemonset.yaml": strings.Replace(annotated, `other: "1"`, `other: "2"`, 1), "deployment.yaml": scaled})
	n.wantStill(n.state())
}

// wantAgentsUnchanged leaves the pods of the Deployment aside, which others scale.
func (n *tenant) wantAgentsUnchanged(before map[string]string) {
	n.t.Helper()
	after := n.state()
	for _, of := range []map[string]string{before, after} {
		maps.DeleteFunc(of, func(name, _ string) bool { return strings.HasPrefix(name, "pod gateway-") })
	}
	if d := cmp.Diff(before, after); d != "" {
		n.t.Errorf("what ran has changed (-before +after):\n%s", d)
	}
}

// ignoredTemplate is a rule that a rollout could not heed: it is refused, and what runs goes on.
func ignoredTemplate(n *tenant) {
	n.waitProven(n.followAfter(map[string]string{"daemonset.yaml": manifest("v1")}))
	before := n.state()
	n.edit(func(gs *v1alpha1.GitSync) {
		gs.Spec.Ignore = []v1alpha1.IgnoreRule{{Pointer: "/spec/template/spec/containers/0/image"}}
	})
	n.deliver("next", map[string]string{"daemonset.yaml": manifest("v2")})
	n.waitHeld("fleet", "Invalid", "DaemonSet "+n.namespace+"/"+agent, "daemonset.yaml", "spec.ignore: pointer /spec/template/spec/containers/0/image", "rollcall.dev/rollout: native")
	n.wantUnchanged(before)
	n.edit(func(gs *v1alpha1.GitSync) { gs.Spec.Ignore[0].Kind = "Deployment" })
	n.waitSync("fleet", "it goes on", func(gs *v1alpha1.GitSync) bool { return gs.Status.Proven != "" && n.tags()["v2"] == 6 })
}
