package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// echoed is what the webhook of this scenario says of Secrets: all of what it saw.
func echoed(o *unstructured.Unstructured) string {
	raw, _ := json.Marshal(o.Object)
	if !strings.HasPrefix(o.GetName(), "denied") {
		return ""
	}
	return "no such Secret here: " + string(raw)
}

// masked has a value pass through every place of a Secret that somebody could echo, and looks for it in everything that
// rollcall says: logs, events, status, what it keeps beside, metrics, and the command line in all formats.
func masked(n *tenant) {
	token := "canary-masked-77ab1e"
	(&webhook{deny: echoed}).install(n.t, n.w.cluster.Client, n.namespace, "", "secrets")
	secret := func(name, rest string) string {
		return fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n%s\n", name, strings.ReplaceAll(rest, "TOKEN", token))
	}
	applied := fmt.Sprintf("  annotations: {kubectl.kubernetes.io/last-applied-configuration: '{\"stringData\":{\"key\":\"%s\"}}'}\n", token)
	encoded := base64.StdEncoding.EncodeToString([]byte(token))
	good := map[string]string{
		"daemonset.yaml": reader(agent, "v1", "[{name: token, secret: {secretName: token}}]", ""),
		"secret.yaml":    secret("token", "stringData: {key: TOKEN-1}"),
		"data.yaml":      secret("encoded", applied+"data: {key: "+encoded+"}"),
		"config.yaml":    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: config\n" + applied + "data: {key: \"1\"}\n",
	}
	n.waitProven(n.followAfter(good))
	n.waitProven(n.deliver("another value", map[string]string{"secret.yaml": secret("token", "stringData: {key: TOKEN-2}"), "data.yaml": secret("encoded", "data: {key: "+encoded+"}")}))
	var said strings.Builder
	for name, content := range map[string]string{
		"a webhook that echoes it":  secret("denied", "stringData: {key: TOKEN-3}"),
		"a type that it is not of":  secret("typed", "type: kubernetes.io/dockerconfigjson\nstringData: {.dockerconfigjson: TOKEN-4}"),
		"a key that is none":        secret("keyed", "stringData: {'a b': TOKEN-5}"),
		"what is no base64":         secret("garbled", "data: {key: 'TOKEN!'}"),
		"what is no text":           secret("nested", "stringData: {key: {TOKEN: TOKEN}}"),
		"a field that there is not": secret("unknown", "datas: {key: TOKEN-6}"),
		"a broken file":             secret("broken", "stringData: {key: TOKEN-7"),
		"another spelling":          strings.Replace(secret("spelled", "stringData: {key: TOKEN-8}"), "kind: Secret", "kind: secret", 1),
	} {
		dir := n.directory(map[string]string{"bad.yaml": content, "daemonset.yaml": good["daemonset.yaml"], "secret.yaml": secret("token", "stringData: {key: TOKEN-9}")})
		for _, format := range []string{"text", "markdown", "json", "yaml"} {
			code, stdout, stderr := n.rollcall("plan", dir, "--namespace", n.namespace, "-o", format)
			if code != 1 {
				n.t.Errorf("%s: the plan exits with %d:\n%s%s", name, code, stdout, stderr)
			}
			said.WriteString(stdout + stderr)
		}
		commit := n.deliver(name, map[string]string{"bad.yaml": content})
		n.waitSync("fleet", name+" is refused", func(gs *v1alpha1.GitSync) bool {
			c := readyCondition(gs)
			return c.Status == metav1.ConditionFalse && gs.Status.Applied != commit && gs.Status.Fetched != nil && gs.Status.ObservedGeneration == gs.Generation && strings.Contains(c.Message, "bad.yaml")
		})
		n.deliver("without it", map[string]string{"bad.yaml": ""})
	}
	n.waitProven(n.deliver("good again", map[string]string{"config.yaml": plainConfig("config", "2")}))
	for _, args := range [][]string{{"status"}, {"status", "-o", "yaml"}} {
		_, stdout, stderr := n.rollcall(append(args, "--namespace", n.namespace)...)
		said.WriteString(stdout + stderr)
	}
	said.WriteString(n.surfaces())
	text := said.String()
	for _, leak := range []string{token, encoded[:len(encoded)-4], base64.StdEncoding.EncodeToString([]byte("x" + token))[4:24]} {
		if at := strings.Index(text, leak); at >= 0 {
			n.t.Fatalf("%q is shown: ...%.600s...", leak, text[max(0, at-300):])
		}
	}
	for _, word := range []string{"denied", "typed", "a b", "garbled", "*** (after)", "rollcall_gitsync_ready", "gitsync"} {
		if !strings.Contains(text, word) {
			n.t.Errorf("%q was not said: the search has not looked where it should", word)
		}
	}
}

// surfaces are the log, the events, the status, what rollcall keeps for itself, and the metrics.
func (n *tenant) surfaces() string {
	n.t.Helper()
	var out strings.Builder
	log, err := os.ReadFile(n.w.control.Log)
	n.must(err, "read log")
	out.Write(log)
	ctx := context.WithoutCancel(n.t.Context())
	add := func(v any, err error) {
		n.t.Helper()
		n.must(err, "list")
		raw, err := json.Marshal(v)
		n.must(err, "encode")
		out.Write(raw)
	}
	events, err := n.w.cluster.Client.CoreV1().Events(n.namespace).List(ctx, metav1.ListOptions{})
	add(events, err)
	syncs, err := n.w.kinds.GitSyncs(n.namespace).List(ctx, metav1.ListOptions{})
	add(syncs, err)
	rollouts, err := n.w.kinds.NodeRollouts(n.namespace).List(ctx, metav1.ListOptions{})
	add(rollouts, err)
	kept, err := n.w.cluster.Client.CoreV1().ConfigMaps(n.namespace).List(ctx, metav1.ListOptions{})
	own := &corev1.ConfigMapList{}
	for _, cm := range kept.Items {
		if strings.Contains(cm.Name, ".rollcall-") {
			own.Items = append(own.Items, cm)
		}
	}
	add(own, err)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.w.control.Address+"/metrics", nil)
	n.must(err, "ask for metrics")
	answer, err := http.DefaultClient.Do(request)
	n.must(err, "get metrics")
	defer func() { _ = answer.Body.Close() }()
	metrics, err := io.ReadAll(answer.Body)
	n.must(err, "read metrics")
	out.Write(metrics)
	return out.String()
}
