package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/rollcall-dev/rollcall/e2e/cluster"
)

// adoptable is a world in which `kubectl apply` has installed a manifest and
// rollcall follows no repository yet.
func adoptable(t *testing.T, nodes int, text string) *world {
	t.Helper()
	w := newWorldWith(t, cluster.Options{Nodes: nodes, Zones: 3})
	w.policy(quick(soak(0, 2)))
	var ds appsv1.DaemonSet
	w.must(yaml.Unmarshal([]byte(text), &ds), "read manifest")
	last, err := yaml.ToJSON([]byte(text))
	w.must(err, "read manifest")
	ds.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: string(last)}
	_, err = w.cluster.Client.AppsV1().DaemonSets(metav1.NamespaceDefault).Create(t.Context(), &ds, metav1.CreateOptions{FieldManager: "kubectl-client-side-apply"})
	w.must(err, "create DaemonSet")
	w.waitUpdated(int32(nodes))
	return w
}

// withEnv is the manifest with one more variable.
func withEnv(tag string) string {
	return strings.Replace(manifest(tag), "        resources:\n", "        env:\n        - {name: LEVEL, value: debug}\n        resources:\n", 1)
}

// Somebody has used `kubectl rollout restart` before, as somebody always has:
// its annotation is no reason to restart every pod.
func TestAdoptionOfWhatGitDeclaresRestartsNothing(t *testing.T) {
	t.Parallel()
	w := adoptable(t, 4, manifest("v1"))
	w.patchDaemonSet("kubectl-rollout", restartPatch)
	w.until("Kubernetes has restarted every pod", time.Minute, func() (bool, string) {
		s := w.daemonSet().Status
		return s.ObservedGeneration == 2 && s.UpdatedNumberScheduled == 4 && s.NumberAvailable == 4, s.String()
	})
	before, template := w.uids(), w.daemonSet().Spec.Template

	commit := w.pushTag("v1")
	w.follow()
	n := w.waitProven(commit, time.Minute)

	w.waitRest(template, 10*time.Second)
	w.wantSame(before)
	ds := w.daemonSet()
	if _, stays := ds.Annotations[corev1.LastAppliedConfigAnnotation]; stays || slices.ContainsFunc(ds.ManagedFields, byKubectl) {
		t.Errorf("kubectl has annotations %v and fields %v of it, want rollcall to have them", ds.Annotations, ds.ManagedFields)
	}
	if len(n.Status.Rollouts) != 1 {
		t.Errorf("rollouts: %+v, want the adopted one", n.Status.Rollouts)
	}
	w.wantQuiet(3 * time.Second)
	w.waitUpdated(4)
}

func byKubectl(f metav1.ManagedFieldsEntry) bool { return f.Manager == "kubectl-client-side-apply" }

func TestAdoptionOfAnotherTemplateRollsInWaves(t *testing.T) {
	t.Parallel()
	w := adoptable(t, 9, withEnv("v1"))
	before, template := w.uids(), w.daemonSet().Spec.Template
	r := record(t, w.cluster.Client)

	bad := w.pushTag("bad")
	w.follow()
	n := w.waitRejected(bad, time.Minute)
	r.wantRadius(t, "bad")
	w.waitTag("v1", w.nodes())
	for _, node := range r.nodesOf("bad") {
		delete(before, node)
	}
	w.wantSame(before)
	if got := w.daemonSet().Spec.Template; !equality.Semantic.DeepEqual(got, template) {
		t.Errorf("after the return the template is %v, want the adopted one, %v", got, template)
	}
	if !strings.HasPrefix(n.Status.Proven.Digest, "adopted:") {
		t.Errorf("proven is %+v, want what was adopted", n.Status.Proven)
	}

	same := w.uids()
	revert := w.push("what was adopted", map[string]string{"daemonset.yaml": withEnv("v1")})
	w.poke()
	w.waitProven(revert, time.Minute)
	w.wantSame(same)

	good := w.deliver("v2")
	w.waitProven(good, 2*time.Minute)
	w.waitTag("v2", w.nodes())
	r.wantWorst(t, 3)
	for node, p := range w.agents() {
		if env := p.Spec.Containers[0].Env; len(env) > 0 {
			t.Errorf("the pod on %s still has %v, which Git does not declare", node, env)
		}
	}
}

// What kubectl once applied and Git leaves out is a difference, though a
// server-side apply by another manager would keep it.
func TestAdoptionNoticesWhatGitLeavesOut(t *testing.T) {
	t.Parallel()
	w := adoptable(t, 3, withEnv("v1"))
	commit := w.pushTag("v1")
	w.follow()
	w.waitProven(commit, time.Minute)
	for node, p := range w.agents() {
		if env := p.Spec.Containers[0].Env; len(env) > 0 {
			t.Errorf("proven, but the pod on %s has %v, which Git does not declare", node, env)
		}
	}
}

// halfWay is a world in which Kubernetes itself is rolling a version out that
// never gets Ready, and has come as far as its own budget of one node.
func halfWay(t *testing.T, nodes int) (w *world, r *recorder, broken string) {
	t.Helper()
	w = adoptable(t, nodes, manifest("v1"))
	w.patchDaemonSet("kubectl-rollout", restartPatch)
	w.until("Kubernetes has restarted every pod", time.Minute, func() (bool, string) {
		s := w.daemonSet().Status
		return s.ObservedGeneration == 2 && s.UpdatedNumberScheduled == int32(nodes) && s.NumberAvailable == int32(nodes), s.String()
	})
	r = record(t, w.cluster.Client)
	w.patchDaemonSet("kubectl-set", `{"spec":{"template":{"spec":{"containers":[{"name":"example-container","image":"example-image:stuck"}]}}}}`)
	w.until("Kubernetes has replaced one pod", time.Minute, func() (bool, string) {
		return len(r.nodesOf("stuck")) == 1 && len(w.agents()) == nodes-1, fmt.Sprint(r.nodesOf("stuck"))
	})
	return w, r, r.nodesOf("stuck")[0]
}

// Nothing has proven the template of a DaemonSet that Kubernetes is in the middle
// of rolling out: what most of its pods run is adopted, and what Git declares
// goes in waves (promises P1 and P3).
func TestAdoptionHalfWayOfWhatGitDeclares(t *testing.T) {
	t.Parallel()
	w, r, broken := halfWay(t, 9)
	before := w.uids()

	bad := w.pushTag("stuck")
	w.follow()
	n := w.waitRejected(bad, time.Minute)

	if got := but(r.nodesOf("stuck"), broken); len(got) > 2 {
		t.Errorf("stuck ran on %v beside %s, want no more than the canaries", got, broken)
	}
	w.waitTag("v1", w.nodes())
	for _, node := range r.nodesOf("stuck") {
		delete(before, node)
	}
	w.wantSame(before)
	r.wantWorst(t, 3)
	if !strings.HasPrefix(n.Status.Proven.Digest, "adopted:") || n.Status.Proven.Commit != "" {
		t.Errorf("proven is %+v, want what most pods ran, which no commit declares", n.Status.Proven)
	}
}

func TestAdoptionHalfWayAwayFromWhatGitDeclares(t *testing.T) {
	t.Parallel()
	w, r, broken := halfWay(t, 9)
	before := w.uids()

	commit := w.pushTag("v1")
	w.follow()
	w.waitProven(commit, time.Minute)

	w.waitTag("v1", w.nodes())
	w.wantSame(before)
	if got := but(r.nodesOf("stuck"), broken); len(got) > 0 {
		t.Errorf("stuck ran on %v beside %s", got, broken)
	}
	if proven := w.rollout().Status.Proven; proven.Commit != commit || strings.HasPrefix(proven.Digest, "adopted:") {
		t.Errorf("proven is %+v, want the version of commit %s", proven, commit)
	}
	w.waitUpdated(9)
}
