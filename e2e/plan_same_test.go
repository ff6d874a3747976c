package e2e

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/e2e/product"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// TestPlanSaysWhatThePassDoes holds what `rollcall plan` says of a commit, and
// what `rollcall status` says after it, to what the controller does with it: in
// the same words, and without writing anything.
func TestPlanSaysWhatThePassDoes(t *testing.T) {
	t.Parallel()
	w := settled(t, 6, quick(soak(0, 2)))
	for i, tag := range []string{"v1", "v2"} {
		w.waitProven(w.deliverFiles(map[string]string{"daemonset.yaml": reading(tag), "config.yaml": plainConfig("config", []string{"1", "2"}[i])}), 2*time.Minute)
	}
	w.waitSync("a copy is kept", time.Minute, func(gs *v1alpha1.GitSync) bool { return strings.Contains(readyCondition(gs).Message, "1 InUse") })
	w.waitUpdated(6)

	w.act(t, "what is proven", func(*testing.T) {
		before := w.configVersions()
		w.wantPlan(0, "= keep ConfigMap default/config-", ": InUse: a pod or the way back reads it", "\nNothing changes.\n")
		if after := w.configVersions(); after != before {
			t.Errorf("a plan has written: ConfigMaps were %s, and are %s", before, after)
		}
	})
	w.act(t, "what is under way", func(*testing.T) {
		w.changePolicy(quick(soak(0, 60)))
		r := record(t, w.cluster.Client)
		w.deliverFiles(map[string]string{"daemonset.yaml": reading("v3")})
		w.waitSoaking(r, "canary", "v3")
		said := w.wantPlan(0, "▶ under way DaemonSet.apps default/"+agent+" (daemonset.yaml): Soaking: wave canary", "\n1 rollout under way.\n", "AwaitingProof")
		for _, wrong := range []string{"unchanged DaemonSet", "spec.template", "No rollout", "Soaking (Soaking)"} {
			if strings.Contains(said, wrong) {
				t.Errorf("of a rollout under way the plan says %q:\n%s", wrong, said)
			}
		}
		w.changePolicy(quick(soak(0, 2)))
		w.waitRollout("v3 is proven", 2*time.Minute, func(n *v1alpha1.NodeRollout) bool {
			return n.Status.Phase == v1alpha1.PhaseProven && w.tags()["v3"] == 6
		})
	})
	w.act(t, "what the API server refuses", func(*testing.T) {
		w.must(w.repo.Write("daemonset.yaml", strings.Replace(reading("v3"), "        resources:", "        imagePullPolicy: Sometimes\n        resources:", 1)), "write")
		said := w.wantPlan(1, "DaemonSet.apps default/"+agent+" (daemonset.yaml): Invalid: ", "spec.template.spec.containers[0].imagePullPolicy: Unsupported value")
		refused, _, _ := strings.Cut(said, "Warnings: ")
		if strings.Contains(said, "rollcall-dry-run") || strings.Count(refused, agent) > 1 {
			t.Errorf("the refusal names the object more than once, or another:\n%s", said)
		}
		_, refusal, _ := strings.Cut(said, "(daemonset.yaml): ")
		refusal, _, _ = strings.Cut(refusal, "\n")
		w.deliverFiles(nil)
		w.waitSync("the pass says "+refusal, time.Minute, func(gs *v1alpha1.GitSync) bool {
			return strings.Contains(readyCondition(gs).Message, "(daemonset.yaml): "+refusal)
		})
	})
	w.act(t, "a policy that does not exist", func(*testing.T) {
		w.must(w.repo.Write("daemonset.yaml", strings.Replace(reading("v4"), "metadata:\n", "metadata:\n  annotations: {rollcall.dev/policy: baad}\n", 1)), "write")
		said := w.wantPlan(2, ": Held: ", `PolicyNotFound: RolloutPolicy "baad" does not exist`)
		_, hold, _ := strings.Cut(said, "PolicyNotFound: ")
		hold, _, _ = strings.Cut(hold, "\n")
		w.deliverFiles(nil)
		w.waitRollout("it is held in these words: "+hold, time.Minute, func(n *v1alpha1.NodeRollout) bool {
			return n.Status.Reason == "PolicyNotFound" && strings.Contains(n.Status.Message, hold)
		})
	})
	w.act(t, "what is left to Kubernetes", func(*testing.T) {
		commit := w.deliverFiles(map[string]string{"daemonset.yaml": strings.Replace(manifest("v3"), "metadata:\n", "metadata:\n  annotations: {rollcall.dev/rollout: native}\n", 1)})
		w.waitProven(commit, time.Minute)
		w.until("status has the native DaemonSet", time.Minute, func() (bool, string) {
			_, said := w.run("status")
			return strings.Contains(said, "DaemonSet default/"+agent) && strings.Contains(said, "native: left to Kubernetes, 6 of 6 Ready"), said
		})
	})
}

// reading is the tutorial's DaemonSet with a config.
func reading(tag string) string {
	return manifest(tag) + "      volumes: [{name: config, configMap: {name: config}}]\n"
}

// run runs rollcall as a person does, who sees both streams.
func (w *world) run(args ...string) (code int, said string) {
	w.t.Helper()
	binary, err := product.Binary("rollcall")
	w.must(err, "find rollcall")
	c := exec.CommandContext(w.t.Context(), binary, append(args, "--kubeconfig", w.cluster.Kubeconfig)...)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err = c.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		w.t.Fatalf("run rollcall %s: %v", args, err)
	}
	return c.ProcessState.ExitCode(), out.String()
}

// wantPlan plans the clone as it lies there, and returns what the plan says.
func (w *world) wantPlan(code int, words ...string) string {
	w.t.Helper()
	got, said := w.run("plan", w.repo.Dir)
	if got != code {
		w.t.Errorf("the plan exits with %d, want %d", got, code)
	}
	for _, word := range words {
		if !strings.Contains(said, word) {
			w.t.Errorf("the plan does not say %q", word)
		}
	}
	if w.t.Failed() {
		w.t.Logf("the plan says:\n%s", said)
	}
	return said
}

// configVersions are the resourceVersions of all ConfigMaps.
func (w *world) configVersions() string {
	w.t.Helper()
	list, err := w.cluster.Client.CoreV1().ConfigMaps(metav1.NamespaceDefault).List(w.t.Context(), metav1.ListOptions{})
	w.must(err, "list ConfigMaps")
	var out []string
	for _, cm := range list.Items {
		out = append(out, cm.Name+" "+cm.ResourceVersion)
	}
	return strings.Join(out, ", ")
}
