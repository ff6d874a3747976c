package e2e

import (
	"context"
	"strings"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// notPrunedWhileUnrolledUpdate has workloads that Kubernetes updates, each
// halted with its old pods: an OnDelete DaemonSet and a paused Deployment.
func notPrunedWhileUnrolledUpdate(n *tenant) {
	const reads = "      volumes: [{name: extra, configMap: {name: extra}}]\n"
	native := func(tag string) string {
		return strings.Replace(manifest(tag), "spec:\n", "  annotations: {rollcall.dev/rollout: native, rollcall.dev/pin-config: \"false\"}\nspec:\n  updateStrategy: {type: OnDelete}\n", 1)
	}
	deployment := func(tag, paused string) string {
		return strings.NewReplacer("kind: DaemonSet", "kind: Deployment", "name: example-daemonset", "name: web", "app: example", "app: web",
			"spec:\n  selector", "spec:\n  replicas: 2\n  paused: "+paused+"\n  selector").Replace(manifest(tag))
	}
	n.waitProven(n.followAfter(map[string]string{
		"native.yaml": native("v1") + reads, "web.yaml": deployment("v1", "false") + reads, "extra.yaml": plainConfig("extra", "1"),
	}))
	n.eventually("the pods run", func(context.Context) (string, error) { return cmp.Diff(map[string]int{"v1": 8}, n.tags()), nil })

	n.waitProven(n.deliver("next", map[string]string{"native.yaml": native("v2"), "web.yaml": deployment("v2", "true"), "extra.yaml": ""}))
	n.wantWithheld("AwaitingPods")
	n.wantStill(n.state())
	n.wantKept("8 pods of 2 workloads")
	n.must(n.w.cluster.Client.CoreV1().Pods(n.namespace).DeleteCollection(n.t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "app=example"}), "delete pods")
	n.eventually("the DaemonSet's pods follow", func(context.Context) (string, error) {
		return cmp.Diff(map[string]int{"v1": 2, "v2": 6}, n.tags()), nil
	})
	n.wantStill(n.state())
	n.wantKept("2 pods of Deployment.apps " + n.namespace + "/web")
	n.waitProven(n.deliver("resume", map[string]string{"web.yaml": deployment("v2", "false")}))
	n.waitPruned()
}

// wantKept fails when ConfigMap extra is gone or the status does not say why it
// is not.
func (n *tenant) wantKept(why string) {
	n.t.Helper()
	gs := n.waitSync("fleet", "there is a status", func(gs *v1alpha1.GitSync) bool { return gs.Status.ObservedGeneration > 0 })
	if message := readyCondition(gs).Message; !n.hasConfigMap("extra") || !strings.Contains(message, why) {
		n.t.Errorf("ConfigMap extra is there: %t; the message is %q, want it to name %q", n.hasConfigMap("extra"), message, why)
	}
}
