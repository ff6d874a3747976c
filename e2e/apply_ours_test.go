package e2e

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"strings"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// gateway is a Deployment as people write them: with nulls, and with quantities that the API server spells otherwise.
const gateway = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: gateway, annotations: null}
spec:
  selector: {matchLabels: {app: gateway}}
  strategy: null
  template:
    metadata: {labels: {app: gateway}, creationTimestamp: null}
    spec:
      nodeSelector: null
      tolerations: []
      containers:
      - name: gateway
        image: gateway:1
        command: null
        resources: {requests: {cpu: 1000m, memory: 1024Mi}, limits: {cpu: "2.0", memory: 1.5Gi}}
        env: [{name: EMPTY, value: ""}, {name: NOTHING, value: null}]
      volumes: [{name: scratch, emptyDir: {sizeLimit: 1024Ki}}]
`

// testQuiet is what others write to what Git declares: it is no change, in any pass.
func testQuiet(a *applying) {
	_, made := a.pass(gateway)
	a.want(made, "Created Deployment gateway")
	quiet := func(what string) {
		a.Helper()
		before := a.live(deployments(), "gateway").GetGeneration()
		plan, _ := a.pass(gateway)
		if n := len(plan.Of(diff.Unchanged)); n != 1 {
			a.Errorf("%s is a change:\n%s", what, plan)
		}
		if after := a.live(deployments(), "gateway").GetGeneration(); after != before {
			a.Errorf("after %s generation %d became %d", what, before, after)
		}
	}
	quiet("what the API server defaults and spells otherwise")
	a.patch("kube-controller-manager", types.MergePatchType, deployments(), "gateway", `{"spec":{"replicas":7}}`)
	quiet("what a horizontal autoscaler sets")
	a.patch("vpa", types.StrategicMergePatchType, deployments(), "gateway",
		`{"spec":{"template":{"spec":{"containers":[{"name":"gateway","resources":{"limits":{"ephemeral-storage":"1Gi"}}}]}}}}`)
	quiet("a resource that a vertical autoscaler adds")
	a.patch("kubectl-rollout", types.MergePatchType, deployments(), "gateway", `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}}}}}`)
	quiet("a restart")
	stamped := 0
	hook := &webhook{change: func(o *unstructured.Unstructured) {
		stamped++
		_ = unstructured.SetNestedField(o.Object, fmt.Sprint(stamped), "metadata", "annotations", "stamped")
		containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
		first := containers[0].(map[string]any)
		first["image"] = "mirror.example.com/" + strings.TrimPrefix(first["image"].(string), "mirror.example.com/")
		containers = append(containers[:1], map[string]any{"name": "proxy", "image": fmt.Sprintf("proxy:%d", stamped)})
		_ = unstructured.SetNestedSlice(o.Object, containers, "spec", "template", "spec", "containers")
	}}
	hook.install(a, a.cluster.Client, a.namespace, "apps", "deployments")
	a.eventually("the webhook rewrites the image", func() bool {
		a.pass(gateway)
		image, _, _ := unstructured.NestedSlice(a.live(deployments(), "gateway").Object, "spec", "template", "spec", "containers")
		return image[0].(map[string]any)["image"] == "mirror.example.com/gateway:1"
	})
	quiet("what a webhook writes, another value each time")
	quiet("what a webhook writes, in the pass after")
	plan, _ := a.pass(strings.Replace(gateway, "gateway:1", "gateway:2", 1))
	var fields []string
	for _, f := range plan.Of(diff.Update)[0].Fields {
		fields = append(fields, f.Path+" "+f.To)
	}
	if d := cmp.Diff([]string{`spec.template.spec.containers[name=gateway].image "mirror.example.com/gateway:2"`}, fields); d != "" {
		a.Errorf("fields (-want +got):\n%s", d)
	}
}

func validatingWebhooks() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingwebhookconfigurations"}
}

// testBundle is a certificate that cert-manager injects, into a field that Git does not have and into one that it has.
func testBundle(a *applying) {
	hook := func(bundle string) string {
		return strings.ReplaceAll(`{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: NAMESPACE}, webhooks: [
			{name: a.example.com, sideEffects: None, admissionReviewVersions: [v1], clientConfig: {url: "https://127.0.0.1:1", BUNDLE}, rules: []}]}`, "BUNDLE", bundle)
	}
	a.pass(hook(""))
	client := a.cluster.Dynamic.Resource(validatingWebhooks())
	server := httptest.NewTLSServer(nil)
	a.Cleanup(server.Close)
	bundle := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	_, err := client.Patch(a.Context(), a.namespace, types.JSONPatchType, []byte(`[{"op":"add","path":"/webhooks/0/clientConfig/caBundle","value":"`+bundle+`"}]`), metav1.PatchOptions{FieldManager: "cainjector"})
	if err != nil {
		a.Fatal(err)
	}
	if plan, _ := a.pass(hook("")); len(plan.Of(diff.Unchanged)) != 1 {
		a.Errorf("an injected bundle is a change:\n%s", plan)
	}
	if plan, _ := a.pass(hook("caBundle: Cg==")); len(plan.Of(diff.Conflict)) != 1 {
		a.Errorf("a bundle in Git takes that of cert-manager:\n%s", plan)
	}
	a.ignore = []v1alpha1.IgnoreRule{{Pointer: "/webhooks/0/clientConfig/caBundle", Kind: "ValidatingWebhookConfiguration"}}
	if plan, _ := a.pass(hook("caBundle: Cg==")); len(plan.Of(diff.Unchanged)) != 1 {
		a.Errorf("an ignored bundle is a change:\n%s", plan)
	}
}

// testDuplicates are list elements with one key: the error names the file, the object and the field.
func testDuplicates(a *applying) {
	twice := strings.Replace(gateway, `env: [`, `env: [{name: EMPTY, value: "x"}, `, 1)
	_, seen, plan := a.observe(settings("before", "{}"), twice)
	if len(plan.Of(diff.Refused)) != 1 {
		a.Fatalf("a variable twice is not refused:\n%s", plan)
	}
	a.contains(seen.Errors()[0].Error(), "Deployment.apps", "gateway", "1.yaml", "Invalid", `.spec.template.spec.containers[name="gateway"].env`, `duplicate entries for key [name="EMPTY"]`)
}

// testIgnore is what a GitSync leaves to others.
func testIgnore(a *applying) {
	scaled := strings.Replace(gateway, "spec:\n  selector", "spec:\n  replicas: 2\n  selector", 1)
	replicas := func(want int64) {
		a.Helper()
		if got, _, _ := unstructured.NestedInt64(a.live(deployments(), "gateway").Object, "spec", "replicas"); got != want {
			a.Errorf("%d replicas, want %d", got, want)
		}
	}
	_, made := a.pass(scaled)
	a.want(made, "Created Deployment gateway")
	replicas(2)

	a.ignore = []v1alpha1.IgnoreRule{{Pointer: "/spec/replicas", Kind: "Deployment"}, {Pointer: "/spec/template/spec/containers/0/image", Name: "gateway"}, {Pointer: "/spec/replicas", Kind: "StatefulSet"}}
	plan, results := a.pass(scaled)
	a.want(results, "Configured Deployment gateway")
	if c := plan.Of(diff.Update)[0]; c.Reason != diff.ReasonLetsGo || len(c.Fields) > 0 {
		a.Errorf("what is ignored from now on is planned as\n%s", plan)
	}
	replicas(2)
	for _, entry := range a.live(deployments(), "gateway").GetManagedFields() {
		if fields := entry.FieldsV1.GetRawString(); entry.Manager == "rollcall" && (strings.Contains(fields, "f:replicas") || strings.Contains(fields, "f:image\"")) {
			a.Errorf("rollcall still has what is ignored: %s", fields)
		}
	}
	a.patch("kubectl-edit", types.MergePatchType, deployments(), "gateway", `{"spec":{"replicas":5}}`)
	a.patch("argocd-image-updater", types.JSONPatchType, deployments(), "gateway", `[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"gateway:9"}]`)
	plan, _ = a.pass(strings.Replace(scaled, "replicas: 2", "replicas: 3", 1))
	if len(plan.Of(diff.Unchanged)) != 1 && plan.Of(diff.Update)[0].Reason != diff.ReasonTakesOver {
		a.Errorf("what is ignored is compared:\n%s", plan)
	}
	replicas(5)
	if plan, _ = a.pass(scaled); len(plan.Of(diff.Unchanged)) != 1 {
		a.Errorf("what is ignored is compared:\n%s", plan)
	}
	a.pass(strings.Replace(scaled, "EMPTY", "FULL", 1))
	replicas(5)

	a.ignore = nil
	if plan, _ = a.pass(scaled); len(plan.Of(diff.Conflict)) != 1 {
		a.Errorf("what is not ignored any more is not compared:\n%s", plan)
	}

	a.ignore = []v1alpha1.IgnoreRule{{Pointer: "/rules/0/resourceNames"}, {Pointer: "/data/a"}}
	role := "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: r}, rules: [{apiGroups: [''], resources: [pods], verbs: [get], resourceNames: [a]}]}"
	_, seen, plan := a.observe(role, settings("kept", `{a: "1", b: "2"}`))
	if len(plan.Of(diff.Refused)) != 1 {
		a.Fatalf("a part of one value is not refused:\n%s", plan)
	}
	a.contains(seen.Errors()[0].Error(), "Role.rbac.authorization.k8s.io", "0.yaml", "spec.ignore: pointer /rules/0/resourceNames lies in /rules", "ignore /rules")
	a.ignore[0].Pointer = "/rules/0/verbs"
	_, seen, _ = a.observe(role)
	a.contains(seen.Errors()[0].Error(), "rules[0].verbs: Required value", "spec.ignore leaves out /rules/0/verbs")
	a.pass(settings("kept", `{a: "1", b: "2"}`))
	if data, _, _ := unstructured.NestedStringMap(a.live(configMaps(), "kept").Object, "data"); !cmp.Equal(data, map[string]string{"b": "2"}) {
		a.Errorf("an ignored field is applied at creation: %v", data)
	}
}
