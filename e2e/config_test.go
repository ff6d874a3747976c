package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// TestConfig shows that a change of what agents read is a change of the agents
// (promise P6), and that nothing that they read is changed or taken under them.
func TestConfig(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 6)
	policy := hurried()
	policy.Waves[0].Soak = metav1.Duration{Duration: 4 * time.Second}
	w.policy(policy)
	together(t, w, map[string]func(*tenant){
		"every reference": everyReference,
		"bad config":      badConfig,
		"opted out":       optedOut,
		"shared config":   sharedConfig,
		"adopted config":  adoptedConfig,
		"substituted":     substituted,
		"lost rollout":    lostRollout,
		"planned":         planned,
		"planned afresh":  plannedAfresh,
	})
}

// reader is the tutorial's DaemonSet with what it reads.
func reader(name, tag, volumes, more string) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: %[1]s
spec:
  revisionHistoryLimit: 2
  selector:
    matchLabels:
      app: %[1]s
  template:
    metadata:
      labels:
        app: %[1]s
    spec:
      terminationGracePeriodSeconds: 1
      volumes: %[3]s
      containers:
      - name: agent
        image: example-image:%[2]s
%[4]s`, name, tag, volumes, more)
}

// mounting is a reader of the ConfigMap config.
func mounting(name, tag string) string {
	return reader(name, tag, "[{name: config, configMap: {name: config}}]", "")
}

// lostRollout is a NodeRollout that somebody deletes while pods read pinned
// copies: what runs is recognised as what Git declares.
func lostRollout(n *tenant) {
	commit := n.followAfter(map[string]string{"daemonset.yaml": mounting(agent, "v1"), "config.yaml": plainConfig("config", "1")})
	n.waitProven(commit)
	n.waitProven(n.deliver("next", map[string]string{"config.yaml": plainConfig("config", "2")}))
	before := n.state()
	lost := n.waitRollout("it is proven", func(r *v1alpha1.NodeRollout) bool { return r.Status.Phase == v1alpha1.PhaseProven })
	n.must(n.w.kinds.NodeRollouts(n.namespace).Delete(n.t.Context(), agent, metav1.DeleteOptions{}), "delete NodeRollout")
	n.waitRollout("it is proven again", func(r *v1alpha1.NodeRollout) bool {
		return r.UID != lost.UID && r.Status.Phase == v1alpha1.PhaseProven && r.Status.Proven.Digest == lost.Status.Proven.Digest
	})
	n.wantStill(before)
	n.wantState(agent)
}

func plainSecret(name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\nstringData:\n  key: %q\n", name, value)
}

// copies are the pinned copies that each pod reads, by pod.
func (n *tenant) copies() map[string][]string {
	n.t.Helper()
	out := map[string][]string{}
	for _, p := range n.pods() {
		spec, err := json.Marshal(p.Spec)
		n.must(err, "encode pod")
		found := regexp.MustCompile(`"[a-z-]+-[0-9a-f]{10}"`).FindAllString(string(spec), -1)
		slices.Sort(found)
		out[p.Name] = slices.Compact(found)
	}
	return out
}

// oneCopy is what all pods read.
func (n *tenant) oneCopy() []string {
	n.t.Helper()
	all := slices.Collect(maps.Values(n.copies()))
	for _, c := range all {
		if !slices.Equal(c, all[0]) {
			n.t.Fatalf("pods read %v, want all the same", all)
		}
	}
	if len(all) != 6 {
		n.t.Fatalf("%d pods, want 6", len(all))
	}
	return all[0]
}

// everyReference changes what is read in each of the ways there are. Each
// change moves in waves; copies go when no revision refers to them.
func everyReference(n *tenant) {
	ds := reader(agent, "v1", `[{name: a, configMap: {name: by-volume}}, {name: b, projected: {sources: [{configMap: {name: by-projection}}, {secret: {name: by-projected-secret}}]}}]`,
		`        env: [{name: KEY, valueFrom: {secretKeyRef: {name: by-env, key: key}}}]
        envFrom: [{secretRef: {name: by-env-from}}]
      initContainers:
      - name: init
        image: example-image:v1
        envFrom: [{configMapRef: {name: by-init}}]
`)
	files := map[string]func(value string) string{
		"by-volume":           func(v string) string { return plainConfig("by-volume", v) },
		"by-projection":       func(v string) string { return plainConfig("by-projection", v) },
		"by-projected-secret": func(v string) string { return plainSecret("by-projected-secret", v) },
		"by-env":              func(v string) string { return plainSecret("by-env", v) },
		"by-env-from":         func(v string) string { return plainSecret("by-env-from", v) },
		"by-init":             func(v string) string { return plainConfig("by-init", v) },
	}
	first := map[string]string{"daemonset.yaml": ds}
	for name, file := range files {
		first[name+".yaml"] = file("1")
	}
	n.waitProven(n.followAfter(first))
	old := n.oneCopy()
	if len(old) != len(files) {
		n.t.Fatalf("pods read %v, want %d copies", old, len(files))
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		commit := n.deliver(name, map[string]string{name + ".yaml": files[name]("2")})
		n.waitWave(old)
		n.waitProven(commit)
		now := n.oneCopy()
		if gone := slices.DeleteFunc(slices.Clone(old), func(c string) bool { return slices.Contains(now, c) }); len(gone) != 1 || !strings.Contains(gone[0], `"`+name+"-") {
			n.t.Errorf("%s changed, and pods read %v instead of %v", name, now, old)
		}
		old = now
	}
	n.wantCopiesOfRevisions()
	n.wantNoReverts()
}

// wantNoReverts wants nobody to be said to change anything back: what rollouts write is rollcall's own.
func (n *tenant) wantNoReverts() {
	n.t.Helper()
	for _, s := range n.w.samples(n.t)["rollcall_reverts_total"] {
		if s.labels["namespace"] == n.namespace && s.value > 0 {
			n.t.Errorf("%g times somebody is said to have changed something back", s.value)
		}
	}
}

// waitWave waits until the canaries, and only they, read something else.
func (n *tenant) waitWave(old []string) {
	n.t.Helper()
	n.waitRollout("its canaries soak", func(r *v1alpha1.NodeRollout) bool {
		return r.Status.Phase == v1alpha1.PhaseSoaking && r.Status.Wave.Name == "canary"
	})
	changed := 0
	for _, c := range n.copies() {
		if !slices.Equal(c, old) {
			changed++
		}
	}
	if changed != 2 {
		n.t.Errorf("%d pods read another config while the canaries soak, want 2", changed)
	}
}

// wantCopiesOfRevisions waits until exactly those copies are there that some
// revision of a DaemonSet refers to, and checks that all are immutable.
func (n *tenant) wantCopiesOfRevisions() {
	n.t.Helper()
	n.eventually("the copies are those of the revisions", func(ctx context.Context) (string, error) {
		revisions, err := n.w.cluster.Client.AppsV1().ControllerRevisions(n.namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return "", err
		}
		want := map[string]bool{}
		for _, r := range revisions.Items {
			for _, c := range regexp.MustCompile(`"[a-z-]+-[0-9a-f]{10}"`).FindAllString(string(r.Data.Raw), -1) {
				want[strings.Trim(c, `"`)] = true
			}
		}
		got := map[string]bool{}
		pinned := metav1.ListOptions{LabelSelector: v1alpha1.LabelPinnedFrom}
		maps, err := n.w.cluster.Client.CoreV1().ConfigMaps(n.namespace).List(ctx, pinned)
		if err != nil {
			return "", err
		}
		for _, c := range maps.Items {
			got[c.Name] = c.Immutable != nil && *c.Immutable
		}
		secrets, err := n.w.cluster.Client.CoreV1().Secrets(n.namespace).List(ctx, pinned)
		if err != nil {
			return "", err
		}
		for _, c := range secrets.Items {
			got[c.Name] = c.Immutable != nil && *c.Immutable
		}
		return cmp.Diff(want, got), nil
	})
}

// badConfig is a config that comes with an image that fails: the canaries go
// back to the old copy, which is still there.
func badConfig(n *tenant) {
	n.waitProven(n.followAfter(map[string]string{"daemonset.yaml": mounting(agent, "v1"), "config.yaml": plainConfig("config", "1")}))
	old := n.oneCopy()
	bad := n.deliver("bad", map[string]string{"daemonset.yaml": mounting(agent, "bad"), "config.yaml": plainConfig("config", "2")})
	n.waitRejected(bad)
	if now := n.oneCopy(); !slices.Equal(old, now) {
		n.t.Errorf("after the rejection pods read %v, want %v again", now, old)
	}
	good := n.deliver("good", map[string]string{"daemonset.yaml": mounting(agent, "v1")})
	n.waitProven(good)
	if now := n.oneCopy(); slices.Equal(old, now) {
		n.t.Errorf("the config alone was not bad, and pods still read %v", now)
	}
	n.wantCopiesOfRevisions()
}

// waitRejected waits until the commit is rejected and all agents are back.
func (n *tenant) waitRejected(commit string) {
	n.t.Helper()
	n.waitRollout("commit "+commit[:8]+" is rejected", func(r *v1alpha1.NodeRollout) bool {
		s := r.Status
		return s.Phase == v1alpha1.PhaseRejected && s.Candidate != nil && s.Candidate.Commit == commit && s.Nodes.Present == 6
	})
}

// optedOut is a ConfigMap that is read by its own name: its change restarts
// nothing, and a new image finds it changed.
func optedOut(n *tenant) {
	free := func(value string) string {
		return strings.Replace(plainConfig("config", value), "metadata:\n", "metadata:\n  annotations: {rollcall.dev/pin-config: \"false\"}\n", 1)
	}
	n.waitProven(n.followAfter(map[string]string{"daemonset.yaml": mounting(agent, "v1"), "config.yaml": free("1")}))
	if got := n.oneCopy(); len(got) > 0 {
		n.t.Errorf("pods read copies %v of what opted out", got)
	}
	pods := podUIDs(n)
	n.waitProven(n.deliver("config", map[string]string{"config.yaml": free("2")}))
	if d := cmp.Diff(pods, podUIDs(n)); d != "" {
		n.t.Errorf("a config that opted out restarted pods:\n%s", d)
	}
	n.wantConfig("2")
	both := n.deliver("both", map[string]string{"daemonset.yaml": mounting(agent, "v2"), "config.yaml": free("3")})
	n.waitRollout("its canaries soak", func(r *v1alpha1.NodeRollout) bool {
		return r.Status.Phase == v1alpha1.PhaseSoaking && r.Status.Candidate.Commit == both
	})
	n.wantConfig("3") // what the canaries prove is the image with the config that it will run with
	n.waitProven(both)
}

func podUIDs(n *tenant) map[string]string {
	n.t.Helper()
	out := map[string]string{}
	for _, p := range n.pods() {
		out[p.Name] = string(p.UID)
	}
	return out
}

// wantConfig fails when the ConfigMap config has another value.
func (n *tenant) wantConfig(value string) {
	n.t.Helper()
	cm, err := n.w.cluster.Client.CoreV1().ConfigMaps(n.namespace).Get(n.t.Context(), "config", metav1.GetOptions{})
	n.must(err, "get ConfigMap")
	if cm.Data["key"] != value {
		n.t.Errorf("ConfigMap config has %q, want %q", cm.Data["key"], value)
	}
}

// sharedConfig is read by two DaemonSets: both move, to one copy.
func sharedConfig(n *tenant) {
	first := n.push("first", map[string]string{
		"one.yaml": mounting("one", "v1"), "two.yaml": mounting("two", "v1"), "config.yaml": plainConfig("config", "1"),
	})
	n.follow()
	n.waitProven(first)
	before := n.copies()
	second := n.deliver("second", map[string]string{"config.yaml": plainConfig("config", "2")})
	n.waitProven(second)
	after, names := n.copies(), map[string]bool{}
	for pod, c := range after {
		names[strings.Join(c, " ")] = true
		if before[pod] != nil {
			n.t.Errorf("pod %s did not move", pod)
		}
	}
	if len(after) != 12 || len(names) != 1 {
		n.t.Errorf("pods read %v, want 12 pods that read one copy", after)
	}
	n.wantCopiesOfRevisions()
}

// adoptedConfig is mounted by its own name by pods that ran before rollcall
// came: nothing restarts, and until a version with pinned copies is proven the
// object under them stays.
func adoptedConfig(n *tenant) {
	files := map[string]string{"daemonset.yaml": mounting(agent, "v1"), "config.yaml": plainConfig("config", "1")}
	n.createByHand(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, files["config.yaml"])
	n.createByHand(schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "daemonsets"}, files["daemonset.yaml"])
	n.eventually("the pods run", func(context.Context) (string, error) {
		ready := 0
		for _, p := range n.pods() {
			if podReady(&p) {
				ready++
			}
		}
		if ready < 6 {
			return fmt.Sprintf("%d Ready", ready), nil
		}
		return "", nil
	})
	before := podUIDs(n)
	n.waitProven(n.followAfter(files))
	if d := cmp.Diff(before, podUIDs(n)); d != "" {
		n.t.Fatalf("adoption restarted pods:\n%s", d)
	}

	bad := n.deliver("bad", map[string]string{"daemonset.yaml": mounting(agent, "bad"), "config.yaml": plainConfig("config", "2")})
	n.waitRejected(bad)
	n.wantConfig("1")
	if got := n.oneCopy(); len(got) > 0 {
		n.t.Errorf("after the rejection pods read copies %v, want the plain object", got)
	}
	good := n.deliver("good", map[string]string{"daemonset.yaml": mounting(agent, "v1"), "config.yaml": plainConfig("config", "3")})
	n.waitWave(nil)
	n.wantConfig("1")
	n.waitProven(good)
	n.eventually("the plain object follows", func(context.Context) (string, error) {
		for _, cm := range n.configMaps() {
			if cm.Name == "config" && cm.Data["key"] == "3" {
				return "", nil
			}
		}
		return "not yet", nil
	})
	n.waitMetric("rollcall_drift_corrected_total", 0) // it was late, and nobody's doing
	if got := n.oneCopy(); len(got) != 1 {
		n.t.Errorf("pods read copies %v, want one", got)
	}
}

// createByHand is `kubectl apply` of somebody who does not know rollcall.
func (n *tenant) createByHand(resource schema.GroupVersionResource, manifest string) {
	n.t.Helper()
	var o unstructured.Unstructured
	n.must(yaml.Unmarshal([]byte(manifest), &o.Object), "decode manifest")
	_, err := n.w.cluster.Dynamic.Resource(resource).Namespace(n.namespace).Create(n.t.Context(), &o, metav1.CreateOptions{FieldManager: "kubectl-client-side-apply"})
	n.must(err, "create "+o.GetName())
}
