package e2e

import (
	"context"
	"fmt"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func testLifecycle(a *applying) {
	declared := []string{
		settings("settings", `{a: "1", b: "1"}`),
		`{apiVersion: v1, kind: ServiceAccount, metadata: {name: agent}}`,
		`{apiVersion: v1, kind: Secret, metadata: {name: token}, stringData: {token: abc}}`,
		newDeployment, newService,
	}
	_, results := a.pass(declared...)
	a.want(results, "Created ServiceAccount agent", "Created ConfigMap settings", "Created Secret token", "Created Service web", "Created Deployment web")
	owner := a.namespace + ".agents"
	before := a.live(configMaps(), "settings")
	if got := before.GetLabels()[v1alpha1.LabelOwner]; got != owner {
		a.Errorf("owner label is %q, want %q", got, owner)
	}
	web := a.live(deployments(), "web")
	_, results = a.pass(declared...)
	a.want(results, "Unchanged ServiceAccount agent", "Unchanged ConfigMap settings", "Unchanged Secret token", "Unchanged Service web", "Unchanged Deployment web")
	a.sameVersion(before, a.live(configMaps(), "settings"))
	if got := a.live(deployments(), "web").GetGeneration(); got != web.GetGeneration() {
		a.Errorf("generation of the Deployment became %d", got)
	}
	declared[0], declared[2] = settings("settings", `{a: "2"}`), `{apiVersion: v1, kind: Secret, metadata: {name: token}, stringData: {other: abc}}`
	plan, results := a.pass(declared...)
	a.want(results, "Unchanged ServiceAccount agent", "Configured ConfigMap settings", "Configured Secret token", "Unchanged Service web", "Unchanged Deployment web")
	fields := map[string][]diff.FieldChange{}
	for _, c := range plan.Of(diff.Update) {
		fields[c.Name] = c.Fields
	}
	want := map[string][]diff.FieldChange{
		"settings": {{Path: "data.a", From: `"1"`, To: `"2"`}, {Path: "data.b", From: `"1"`}},
		"token":    {{Path: "data.other", To: "***"}, {Path: "data.token", From: "***"}},
	}
	if d := cmp.Diff(want, fields); d != "" {
		a.Errorf("fields (-want +got):\n%s", d)
	}
	data, _, _ := unstructured.NestedStringMap(a.live(secrets(), "token").Object, "data")
	if d := cmp.Diff(map[string]string{"other": "YWJj"}, data); d != "" {
		a.Errorf("data of the Secret (-want +got):\n%s", d)
	}
}

// definition is a CustomResourceDefinition in a group of this namespace alone, whose spec has the fields.
func definition(namespace, scope string, fields ...string) string { //nolint:unparam // the scope is what a reader looks for
	properties := ""
	for _, f := range fields {
		properties += f + ": {type: string}, "
	}
	return fmt.Sprintf(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: tunings.%[1]s.example.com}
spec:
  group: %[1]s.example.com
  scope: %[2]s
  names: {kind: Tuning, plural: tunings}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {%[3]s}}}}}`, namespace, scope, properties)
}

func testDefinition(a *applying) {
	tuning := func(spec string) string {
		return fmt.Sprintf("{apiVersion: %s.example.com/v1, kind: Tuning, metadata: {name: fast}, spec: %s}", a.namespace, spec)
	}
	crd := "tunings." + a.namespace + ".example.com"
	plan, results := a.pass(tuning("{a: x}"), definition(a.namespace, "Namespaced", "a"))
	a.want(results, "Created CustomResourceDefinition "+crd, "Created Tuning fast")
	if got := plan.Changes[1].Reason; got != diff.ReasonPending {
		a.Errorf("reason is %s", got)
	}
	_, results = a.pass(tuning("{a: x}"), definition(a.namespace, "Namespaced", "a"))
	a.want(results, "Unchanged CustomResourceDefinition "+crd, "Unchanged Tuning fast")
	_, results = a.pass(tuning("{a: x, b: why}"), definition(a.namespace, "Namespaced", "a", "b"))
	a.want(results, "Configured CustomResourceDefinition "+crd, "Configured Tuning fast")
	_, results = a.pass(tuning("{a: x, typo: why}"), definition(a.namespace, "Namespaced", "a", "b"))
	a.want(results, "Unchanged CustomResourceDefinition "+crd, "Failed Tuning fast Invalid")
	_, results = a.pass(settings("settings", "{}"))
	a.want(results, "Created ConfigMap settings", "Deleted Tuning fast", "Withheld CustomResourceDefinition "+crd+" ProtectedKind")
	a.pass(settings("settings", "{}"), tuning("{a: x}"))
	err := a.cluster.Dynamic.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}).Delete(a.Context(), crd, metav1.DeleteOptions{})
	if err != nil {
		a.Fatal(err)
	}
	a.waitExtinct(a.namespace + ".example.com/v1")
	_, results = a.pass(settings("settings", "{}"), tuning("{a: x}"))
	a.want(results, "Unchanged ConfigMap settings", "Failed Tuning fast UnknownKind")
	_, results = a.pass(settings("settings", "{}"))
	a.want(results, "Unchanged ConfigMap settings")
}

// testWebhookLast applies a webhook that refuses ConfigMaps, Services and DaemonSets while nobody answers for it, together
// with such.
func testWebhookLast(a *applying) {
	native := `{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: agent, annotations: {rollcall.dev/rollout: native}}, spec: {selector: {matchLabels: {app: agent}},
		template: {metadata: {labels: {app: agent}}, spec: {containers: [{name: agent, image: "agent:1"}]}}}}`
	webhook := `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: NAMESPACE}
webhooks:
- name: agents.example.com
  clientConfig: {service: {namespace: NAMESPACE, name: web}}
  rules: [{apiGroups: ["", apps], apiVersions: [v1], operations: [CREATE], resources: [configmaps, services, daemonsets]}]
  failurePolicy: Fail
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}
  sideEffects: None
  admissionReviewVersions: [v1]`
	_, results := a.pass(webhook, native, newService, settings("settings", "{}"))
	a.want(results, "Created ConfigMap settings", "Created Service web", "Created DaemonSet agent", "Created ValidatingWebhookConfiguration "+a.namespace)
	_, err := a.cluster.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(a.Context(), a.namespace, metav1.GetOptions{})
	if err != nil {
		a.Fatal(err)
	}
}

// waitExtinct waits until the API server serves the group and version no more.
func (a *applying) waitExtinct(groupVersion string) {
	a.Helper()
	err := wait.PollUntilContextTimeout(a.Context(), 100*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		_, err := a.cluster.Client.Discovery().ServerResourcesForGroupVersion(groupVersion)
		return apierrors.IsNotFound(err), nil
	})
	if err != nil {
		a.Fatal(err)
	}
}

func testNamespace(a *applying) {
	other := a.namespace + "-new"
	manifests := []string{
		fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: %s}, data: {a: b}}", other),
		fmt.Sprintf("{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: reader, namespace: %s}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}}", other),
		fmt.Sprintf("{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: reader, namespace: %s}}", other),
		fmt.Sprintf("{apiVersion: v1, kind: Namespace, metadata: {name: %s}}", other),
	}
	_, results := a.pass(manifests...)
	a.want(results, "Created Namespace "+other, "Created Role reader", "Created RoleBinding reader", "Created ConfigMap settings")
	_, results = a.pass(manifests...)
	a.want(results, "Unchanged Namespace "+other, "Unchanged Role reader", "Unchanged RoleBinding reader", "Unchanged ConfigMap settings")
	_, results = a.pass(settings("settings", "{}"))
	a.want(results, "Created ConfigMap settings", "Deleted ConfigMap settings", "Deleted RoleBinding reader", "Deleted Role reader", "Withheld Namespace "+other+" ProtectedKind")
}

func testPrune(a *applying) {
	a.pass(settings("kept", "{}"), settings("ours", "{}"), settings("released", "{}"), settings("theirs", "{}"), settings("used", "{}"), newDeployment)
	a.patch("somebody", types.MergePatchType, configMaps(), "released", `{"metadata":{"labels":{"rollcall.dev/gitsync":null}}}`)
	a.patch("somebody", types.MergePatchType, configMaps(), "theirs", `{"metadata":{"labels":{"rollcall.dev/gitsync":"other.sync"}}}`)
	a.create("somebody", configMaps(), `{apiVersion: v1, kind: ConfigMap, metadata: {name: bystander, labels: {rollcall.dev/gitsync: NAMESPACE.agents}}}`)
	a.inUse = []diff.Reference{{Kind: "ConfigMap", Namespace: a.namespace, Name: "used"}}
	a.unproven = true
	_, results := a.pass(settings("kept", "{}"))
	a.want(results, "Unchanged ConfigMap kept", "Withheld Deployment web AwaitingProof", "Withheld ConfigMap ours AwaitingProof",
		"Withheld ConfigMap released NotOwned", "Withheld ConfigMap theirs OwnedByAnother", "Withheld ConfigMap used AwaitingProof")
	a.unproven = false
	_, results = a.pass()
	a.want(results, "Withheld Deployment web EmptyRender", "Withheld ConfigMap kept EmptyRender", "Withheld ConfigMap ours EmptyRender", "Withheld ConfigMap used EmptyRender")
	_, results = a.pass(settings("kept", "{}"))
	a.want(results, "Unchanged ConfigMap kept", "Deleted Deployment web", "Deleted ConfigMap ours", "Withheld ConfigMap used InUse")
	a.inUse = nil
	_, results = a.pass(settings("kept", "{}"))
	a.want(results, "Unchanged ConfigMap kept", "Deleted ConfigMap used")
	for name, stays := range map[string]bool{"kept": true, "released": true, "theirs": true, "bystander": true, "ours": false, "used": false} {
		if there := a.live(configMaps(), name) != nil; there != stays {
			a.Errorf("%s is there: %t", name, there)
		}
	}
	want := []v1alpha1.InventoryEntry{{ID: a.namespace + "_kept__ConfigMap", Version: "v1"}}
	if d := cmp.Diff(want, a.inventory.Entries); d != "" {
		a.Errorf("inventory (-want +got):\n%s", d)
	}
}

// testPruneProtected: what an annotation in the cluster protects stays, and a Namespace that is confirmed goes.
func testPruneProtected(a *applying) {
	confirmed := a.namespace + "-confirmed"
	a.pass(settings("kept", "{}"), `{apiVersion: v1, kind: ConfigMap, metadata: {name: ours, annotations: {rollcall.dev/prune: disabled}}}`,
		settings("late", "{}"), "{apiVersion: v1, kind: Namespace, metadata: {name: "+confirmed+"}}")
	a.patch("somebody", types.MergePatchType, configMaps(), "late", `{"metadata":{"annotations":{"rollcall.dev/prune":"disabled"}}}`)
	_, results := a.pass(settings("kept", "{}"))
	a.want(results, "Unchanged ConfigMap kept", "Withheld ConfigMap late PruneProtected", "Withheld ConfigMap ours PruneProtected", "Withheld Namespace "+confirmed+" ProtectedKind")
	a.patch("somebody", types.MergePatchType, configMaps(), "ours", `{"metadata":{"annotations":{"rollcall.dev/prune":"confirm"}}}`)
	patch := []byte(`{"metadata":{"annotations":{"rollcall.dev/prune":"confirm"}}}`)
	if _, err := a.cluster.Client.CoreV1().Namespaces().Patch(a.Context(), confirmed, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		a.Fatal(err)
	}
	_, results = a.pass(settings("kept", "{}"))
	a.want(results, "Unchanged ConfigMap kept", "Withheld ConfigMap late PruneProtected", "Deleted ConfigMap ours", "Withheld Namespace "+confirmed+" Terminating")
	a.contains(results[3].Message, "kubernetes")
	a.gone("the namespace", func() error {
		_, err := a.cluster.Client.CoreV1().Namespaces().Get(a.Context(), confirmed, metav1.GetOptions{})
		return err
	})
	a.pass(settings("kept", "{}"))
	if got := len(a.inventory.Entries); got != 2 {
		a.Errorf("inventory is %v, want what is kept and what is protected", a.inventory)
	}
}

// gone waits until an object is not found.
func (a *applying) gone(what string, get func() error) {
	a.Helper()
	if err := wait.PollUntilContextTimeout(a.Context(), 100*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		return apierrors.IsNotFound(get()), nil
	}); err != nil {
		a.Fatalf("wait until %s is gone: %v", what, err)
	}
}

// testPruneRace: between a plan and its execution somebody makes an object anew, or protects one. Neither is deleted.
func testPruneRace(a *applying) {
	a.pass(settings("kept", "{}"), settings("anew", "{}"), settings("late", "{}"))
	set, _, plan := a.observe(settings("kept", "{}"))
	if err := a.cluster.Dynamic.Resource(configMaps()).Namespace(a.namespace).Delete(a.Context(), "anew", metav1.DeleteOptions{}); err != nil {
		a.Fatal(err)
	}
	a.create("restore", configMaps(), `{apiVersion: v1, kind: ConfigMap, metadata: {name: anew, labels: {rollcall.dev/gitsync: NAMESPACE.agents}}}`)
	a.patch("somebody", types.MergePatchType, configMaps(), "late", `{"metadata":{"annotations":{"rollcall.dev/prune":"disabled"}}}`)
	results := a.applier.Prune(a.Context(), set.Owner, plan)
	a.want(results, "Withheld ConfigMap anew Replaced", "Withheld ConfigMap late PruneProtected")
	if a.inventory = apply.Inventory(set, plan, results); len(a.inventory.Entries) != 3 {
		a.Errorf("inventory is %v, want what was not deleted in it", a.inventory)
	}
}

func testPruneFinalizer(a *applying) {
	held := `{apiVersion: v1, kind: ConfigMap, metadata: {name: held, finalizers: [example.com/hold]}}`
	a.pass(settings("kept", "{}"), held)
	_, results := a.pass(settings("kept", "{}"))
	a.want(results, "Unchanged ConfigMap kept", "Withheld ConfigMap held Terminating")
	a.contains(results[1].Message, "example.com/hold")
	_, results = a.pass(settings("kept", "{}"))
	a.want(results, "Unchanged ConfigMap kept", "Withheld ConfigMap held Terminating")
	a.patch("somebody", types.MergePatchType, configMaps(), "held", `{"metadata":{"finalizers":null}}`)
	_, results = a.pass(settings("kept", "{}"))
	a.want(results, "Unchanged ConfigMap kept")
	if len(a.inventory.Entries) != 1 {
		a.Errorf("inventory is %v", a.inventory)
	}
}

func testForeign(a *applying) {
	a.pass(settings("settings", "{a: ours}"))
	a.name, a.inventory = "rival", nil
	_, results := a.pass(settings("settings", "{a: theirs}"))
	a.want(results, "Failed ConfigMap settings OwnedByAnother")
	a.contains(results[0].Message, a.namespace+".agents", a.namespace+".rival")
	if len(a.inventory.Entries) != 0 {
		a.Errorf("inventory is %v", a.inventory)
	}
	exist := []string{a.namespace + ".agents", a.namespace + ".rival"}
	a.applier.Owners = func(context.Context) ([]string, error) { return exist, nil }
	_, results = a.pass(settings("settings", "{a: theirs}"))
	a.want(results, "Failed ConfigMap settings OwnedByAnother")
	exist = exist[1:]
	_, results = a.pass(settings("settings", "{a: theirs}"))
	a.want(results, "Configured ConfigMap settings")
	if owner := a.live(configMaps(), "settings").GetLabels()[v1alpha1.LabelOwner]; owner != a.namespace+".rival" {
		a.Errorf("the orphan's owner is %s now", owner)
	}
}

func testImmutable(a *applying) {
	pinned := `{apiVersion: v1, kind: ConfigMap, immutable: true, metadata: {name: settings-abc, labels: {rollcall.dev/pinned-from: settings}}, data: {a: b}}`
	_, results := a.pass(pinned)
	a.want(results, "Created ConfigMap settings-abc")
	before := a.live(configMaps(), "settings-abc")
	_, results = a.pass(pinned)
	a.want(results, "Unchanged ConfigMap settings-abc")
	a.sameVersion(before, a.live(configMaps(), "settings-abc"))
	_, results = a.pass(`{apiVersion: v1, kind: ConfigMap, immutable: true, metadata: {name: settings-abc}, data: {a: c}}`)
	a.want(results, "Failed ConfigMap settings-abc Immutable")
}
