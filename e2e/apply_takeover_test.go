package e2e

import (
	"strings"

	"github.com/google/go-cmp/cmp"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/rollcall-dev/rollcall/diff"
)

// appliedByKubectl is what kubectl apply once sent, with the annotation that it adds.
const appliedByKubectl = `
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: '{"data":{"keep":"1","gone":"2"}}'
data: {keep: "1", gone: "2"}`

func testTakeover(a *applying) {
	a.create("kubectl-client-side-apply", configMaps(), appliedByKubectl)
	plan, results := a.pass(settings("settings", `{keep: "1"}`))
	a.want(results, "Configured ConfigMap settings")
	if reason := plan.Changes[0].Reason; reason != diff.ReasonTakesOver {
		a.Errorf("reason is %s", reason)
	}
	live := a.live(configMaps(), "settings")
	data, _, _ := unstructured.NestedStringMap(live.Object, "data")
	if d := cmp.Diff(map[string]string{"keep": "1"}, data); d != "" {
		a.Errorf("data (-want +got):\n%s", d)
	}
	if len(live.GetAnnotations()) > 0 {
		a.Errorf("annotations stay: %v", live.GetAnnotations())
	}
	if managers := live.GetManagedFields(); len(managers) != 1 || managers[0].Manager != "rollcall" {
		a.Errorf("managers are %v", managers)
	}
	_, results = a.pass(settings("settings", `{keep: "1"}`))
	a.want(results, "Unchanged ConfigMap settings")
	a.sameVersion(live, a.live(configMaps(), "settings"))
}

// oldDeployment and oldService have fields that the new ones do not declare: some go, and some get their default back.
const oldDeployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web, old: "yes"}}
spec:
  replicas: 3
  minReadySeconds: 7
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}, annotations: {old: "yes"}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: web
        image: web:1
        env: [{name: A, value: a}, {name: B, value: b}]
        ports: [{containerPort: 80}, {containerPort: 81}]
        command: [serve, --old]
      - name: old
        image: old:1
      volumes: [{name: scratch, emptyDir: {}}]`

const newDeployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: web:2
        env: [{name: A, value: a}]
        ports: [{containerPort: 80}]`

const oldService = `
apiVersion: v1
kind: Service
metadata: {name: web, annotations: {old: "yes"}}
spec:
  sessionAffinity: ClientIP
  externalIPs: [192.0.2.7]
  selector: {app: web, old: "yes"}
  ports: [{name: http, port: 80}, {name: old, port: 81}]`

const newService = `
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8080}]`

func testTakeoverPrediction(a *applying) {
	a.create("kubectl-client-side-apply", deployments(), oldDeployment)
	a.create("helm", services(), oldService)
	_, seen, plan := a.observe(newDeployment, newService)
	a.Logf("plan:\n%s", plan)
	_, results := a.pass(newDeployment, newService)
	a.want(results, "Configured Service web", "Configured Deployment web")
	for _, o := range seen.Objects {
		resource := services()
		if o.Declared.GetKind() == "Deployment" {
			resource = deployments()
		}
		live := a.live(resource, "web")
		for _, part := range [][]string{{"spec"}, {"metadata", "labels"}, {"metadata", "annotations"}} {
			if d := cmp.Diff(branch(o.Merged, part), branch(live, part)); d != "" {
				a.Errorf("%s %v (-predicted +live):\n%s", o.Declared.GetKind(), part, d)
			}
		}
	}
	live := a.live(deployments(), "web")
	containers, _, _ := unstructured.NestedSlice(live.Object, "spec", "template", "spec", "containers")
	replicas, _, _ := unstructured.NestedInt64(live.Object, "spec", "replicas")
	if len(containers) != 1 || replicas != 1 {
		text, _ := yaml.Marshal(live.Object["spec"])
		a.Errorf("leftovers stay:\n%s", text)
	}
	_, results = a.pass(newDeployment, newService)
	a.want(results, "Unchanged Service web", "Unchanged Deployment web")
}

// branch returns a part of an object, without what the Deployment controller adds to it.
func branch(o *unstructured.Unstructured, path []string) map[string]any {
	out, _, _ := unstructured.NestedMap(o.Object, path...)
	delete(out, "deployment.kubernetes.io/revision")
	if len(out) == 0 {
		return nil
	}
	return out
}

func testTakeoverOfMany(a *applying) {
	a.create("helm", configMaps(), settings("settings", `{a: "1", b: "1", c: "1"}`))
	a.patch("kubectl-edit", types.MergePatchType, configMaps(), "settings", `{"data":{"b":"2","d":"2"}}`)
	a.patch("kubectl", types.ApplyPatchType, configMaps(), "settings", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"settings"},"data":{"e":"3"}}`)
	a.patch("node-tuner", types.MergePatchType, configMaps(), "settings", `{"data":{"f":"4"}}`)
	plan, results := a.pass(settings("settings", `{a: "1", b: "9"}`))
	a.want(results, "Configured ConfigMap settings")
	a.contains(plan.Changes[0].Message, "helm, kubectl, kubectl-edit")
	var paths []string
	for _, f := range plan.Changes[0].Fields {
		paths = append(paths, f.Path)
	}
	if d := cmp.Diff([]string{"data.b", "data.c", "data.d", "data.e", `metadata.labels["rollcall.dev/gitsync"]`}, paths); d != "" {
		a.Errorf("predicted fields (-want +got):\n%s", d)
	}
	data, _, _ := unstructured.NestedStringMap(a.live(configMaps(), "settings").Object, "data")
	if d := cmp.Diff(map[string]string{"a": "1", "b": "9", "f": "4"}, data); d != "" {
		a.Errorf("data (-want +got):\n%s", d)
	}
	a.patch("kubectl-edit", types.MergePatchType, configMaps(), "settings", `{"data":{"b":"drift","g":"drift"}}`)
	_, results = a.pass(settings("settings", `{a: "1", b: "9"}`))
	a.want(results, "Configured ConfigMap settings")
	data, _, _ = unstructured.NestedStringMap(a.live(configMaps(), "settings").Object, "data")
	if d := cmp.Diff(map[string]string{"a": "1", "b": "9", "f": "4"}, data); d != "" {
		a.Errorf("data after drift (-want +got):\n%s", d)
	}
}

func testConflict(a *applying) {
	a.create("somebody", configMaps(), settings("empty", "{}"))
	a.patch("node-tuner", types.ApplyPatchType, configMaps(), "empty", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"empty"},"data":{"speed":"fast","k.ey":"x"}}`)
	_, results := a.pass(settings("empty", `{speed: slow}`), settings("fine", `{}`))
	a.want(results, "Failed ConfigMap empty Conflict", "Withheld ConfigMap fine Blocked")
	a.contains(results[0].Message, `"node-tuner"`, "data.speed")
	if a.live(configMaps(), "fine") != nil {
		a.Error("half of the commit was applied")
	}
	a.applier.AdoptFrom = []string{"node-tuner"}
	_, results = a.pass(settings("empty", `{speed: slow}`), settings("fine", `{}`))
	a.want(results, "Configured ConfigMap empty", "Created ConfigMap fine")
}

// testAutoscaler has kubectl apply replicas and an autoscaler scale them, as its controller does: by the subresource.
func testAutoscaler(a *applying) {
	a.create("kubectl-client-side-apply", deployments(), oldDeployment)
	scale := &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: a.namespace}, Spec: autoscalingv1.ScaleSpec{Replicas: 7}}
	_, err := a.cluster.Client.AppsV1().Deployments(a.namespace).UpdateScale(a.Context(), "web", scale, metav1.UpdateOptions{FieldManager: "kube-controller-manager"})
	if err != nil {
		a.Fatal(err)
	}
	_, results := a.pass(newDeployment)
	a.want(results, "Configured Deployment web")
	a.wantReplicas(7)
	_, results = a.pass(strings.Replace(newDeployment, "spec:\n", "spec:\n  replicas: 2\n", 1))
	a.want(results, "Failed Deployment web Conflict")
	a.contains(results[0].Message, `spec.replicas is managed by "kube-controller-manager"`, "take the field out of Git")
	a.wantReplicas(7)
}

func (a *applying) wantReplicas(want int64) {
	a.Helper()
	got, _, _ := unstructured.NestedInt64(a.live(deployments(), "web").Object, "spec", "replicas")
	if got != want {
		a.Errorf("spec.replicas is %d, want %d", got, want)
	}
}

// testAdoptNobody shows that a list replaces the one that there is without it.
func testAdoptNobody(a *applying) {
	a.create("helm", configMaps(), settings("settings", `{a: "1", gone: "2"}`))
	a.applier = a.applier.Adopting([]string{})
	_, results := a.pass(settings("settings", `{a: "2"}`))
	a.want(results, "Failed ConfigMap settings Conflict")
	a.contains(results[0].Message, `data.a is managed by "helm"`, "spec.adoptFrom")
	a.applier = a.applier.Adopting([]string{"helm"})
	_, results = a.pass(settings("settings", `{a: "2"}`))
	a.want(results, "Configured ConfigMap settings")
	data, _, _ := unstructured.NestedStringMap(a.live(configMaps(), "settings").Object, "data")
	if d := cmp.Diff(map[string]string{"a": "2"}, data); d != "" {
		a.Errorf("data (-want +got):\n%s", d)
	}
}

func (a *applying) sameVersion(before, after *unstructured.Unstructured) {
	a.Helper()
	if before.GetResourceVersion() != after.GetResourceVersion() {
		a.Errorf("%s was written: resourceVersion %s became %s", before.GetName(), before.GetResourceVersion(), after.GetResourceVersion())
	}
}
