package render_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-dev/rollcall/sync/render"
)

func TestBuildReads(t *testing.T) {
	for sentence, c := range map[string]struct {
		tree    string
		options render.Options
		want    string
	}{
		"a plain directory is read below the path, sorted, without what is hidden": {
			tree: `
-- clusters/prod/z/ds.yaml --` + agent + `
-- clusters/prod/a.yml --
apiVersion: v1
kind: ConfigMap
metadata: {name: b}
---
# nothing but a comment
---
apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: other}
-- clusters/prod/ns.json --
{
	"apiVersion": "v1",
	"kind": "Namespace",
	"metadata": {"name": "agents", "creationTimestamp": null}
}
-- clusters/prod/.hidden.yaml --
not: an object
-- clusters/prod/.github/x.yaml --
not: an object
-- clusters/prod/README.md --
apiVersion: nothing
-- clusters/staging/other.yaml --
not: an object
`,
			options: render.Options{Path: "./clusters/prod/", Namespace: "agents"},
			want: `Namespace /agents (clusters/prod/ns.json)
ConfigMap agents/b (clusters/prod/a.yml)
ConfigMap other/a (clusters/prod/a.yml)
DaemonSet agents/agent (clusters/prod/z/ds.yaml)
`,
		},
		"lists are flattened, lists in lists too": {
			tree: `
-- all.yaml --
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Secret, metadata: {name: s}}
- apiVersion: v1
  kind: ConfigMapList
  items:
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}
`,
			want: "ConfigMap /c (all.yaml)\nSecret /s (all.yaml)\n",
		},
		"line ends of Windows and a byte order mark are accepted": {
			tree: "-- c.yaml --\n\xef\xbb\xbfapiVersion: v1\r\nkind: ConfigMap\r\nmetadata:\r\n  name: c\r\n---\r\n" +
				"apiVersion: v1\r\nkind: ConfigMap\r\nmetadata:\r\n  name: d\r\ndata:\r\n  k: |\r\n    a\r\n    --- b\r\n",
			want: "ConfigMap /c (c.yaml)\nConfigMap /d (c.yaml)\n",
		},
		"only namespaced kinds get the namespace, custom ones when their definition is there": {
			tree: `
-- all.yaml --
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: r}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: r}}
---
{apiVersion: example.com/v1, kind: Known, metadata: {name: k}}
---
{apiVersion: example.com/v1, kind: Wide, metadata: {name: w}}
---
{apiVersion: example.com/v1, kind: Unknown, metadata: {name: u}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: knowns.example.com}
spec: {group: example.com, scope: Namespaced, names: {kind: Known}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: wides.example.com}
spec: {group: example.com, scope: Cluster, names: {kind: Wide}}
---
{apiVersion: rollcall.dev/v1alpha1, kind: RolloutPolicy, metadata: {name: p}}
`,
			options: render.Options{Namespace: "n1"},
			want: `CustomResourceDefinition /knowns.example.com (all.yaml)
CustomResourceDefinition /wides.example.com (all.yaml)
ClusterRole /r (all.yaml)
Role n1/r (all.yaml)
Known n1/k (all.yaml)
Unknown /u (all.yaml)
Wide /w (all.yaml)
RolloutPolicy /p (all.yaml)
`,
		},
		"a directory without manifests declares nothing": {
			tree: "-- README.md --\nhello\n",
		},
		"an empty kustomization declares nothing": {
			tree: "-- kustomization.yaml --\n# nothing yet\n",
		},
		"a kustomization that lists no resources declares nothing": {
			tree: "-- kustomization.yaml --\napiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: []\n",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			got := build(t, files(c.tree), c.options)
			if diff := cmp.Diff(c.want, summary(got)); diff != "" {
				t.Errorf("declared (-want +got):\n%s", diff)
			}
			if got.Empty() != (c.want == "") {
				t.Errorf("Empty() = %v", got.Empty())
			}
		})
	}
}

func TestBuildRefuses(t *testing.T) {
	for sentence, c := range map[string]struct {
		tree    string
		options render.Options
		reason  render.Reason
		says    []string
	}{
		"a path that does not exist, naming what lies beside it": {
			tree:    "-- clusters/staging/a.yaml --\n-- clusters/prod-eu/a.yaml --\n",
			options: render.Options{Path: "clusters/prod"},
			reason:  render.PathNotFound,
			says:    []string{`path "clusters/prod"`, "clusters/prod-eu, clusters/staging"},
		},
		"a path whose parents do not exist either": {
			tree:    "-- apps/a.yaml --\n",
			options: render.Options{Path: "x/y/z"},
			reason:  render.PathNotFound,
			says:    []string{"the repository has apps"},
		},
		"a path that is a file": {
			tree:    "-- clusters/prod.yaml --\n",
			options: render.Options{Path: "clusters/prod.yaml"},
			reason:  render.PathNotFound,
			says:    []string{"is a file", `"clusters"`},
		},
		"a path that leaves the repository": {
			options: render.Options{Path: "a/../../b"},
			reason:  render.PathNotFound,
			says:    []string{"not inside the repository"},
		},
		"an absolute path": {
			options: render.Options{Path: "/etc"},
			reason:  render.PathNotFound,
			says:    []string{"not inside the repository"},
		},
		"text that is not YAML, with its line": {
			tree:   "-- a.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n name: b\n",
			reason: render.InvalidYAML,
			says:   []string{"a.yaml:4: this is not YAML, here or just below"},
		},
		"tabs": {
			tree:   "-- a.yaml --\napiVersion: v1\nmetadata:\n\tname: a\n",
			reason: render.InvalidYAML,
			says:   []string{"a.yaml:3: ", "not with tabs"},
		},
		"a key that appears twice, with both lines": {
			tree:   "-- a.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  k: one\n  k: two\n",
			reason: render.InvalidYAML,
			says:   []string{"a.yaml:6: ", `key "k" appears twice`, "line 5"},
		},
		"an object without a name, with its document": {
			tree:   "-- a.yaml --\n---\n# empty\n---\napiVersion: v1\nkind: ConfigMap\n",
			reason: render.InvalidObject,
			says:   []string{"a.yaml:", "ConfigMap: metadata.name: document", "add it, or keep files"},
		},
		"a file that is no object, with all that is missing": {
			tree:   "-- values.yaml --\nreplicas: 1\n",
			reason: render.InvalidObject,
			says:   []string{"values.yaml:1: apiVersion:", "values.yaml:1: kind:", "values.yaml:1: metadata.name:"},
		},
		"a document that is a list": {
			tree:   "-- a.yaml --\n- a\n- b\n",
			reason: render.InvalidObject,
			says:   []string{"document 1: this is a list"},
		},
		"a namespace that YAML reads as a boolean": {
			tree:   "-- a.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: n}\n",
			reason: render.InvalidObject,
			says:   []string{"metadata.namespace: YAML reads this value as a boolean", "quote it"},
		},
		"a label that is a number": {
			tree:   "-- a.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: {version: 1.0}}\n",
			reason: render.InvalidObject,
			says:   []string{"metadata.labels.version: this value must be text: quote it"},
		},
		"labels that are a list, on which kustomize panics": {
			tree:   "-- kustomization.yaml --\nresources: [a.yaml]\ncommonLabels: {a: b}\n-- a.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: [x], annotations: text}\n",
			reason: render.InvalidObject,
			says:   []string{"ConfigMap a: metadata.labels: this is a list and should be a mapping", "metadata.annotations: this is text and should be"},
		},
		"generateName": {
			tree:   "-- a.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: a-}\n",
			reason: render.InvalidObject,
			says:   []string{"metadata.name: generateName makes a new object on each apply"},
		},
		"what only the API server writes": {
			tree:   "-- a.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, uid: u, resourceVersion: '1', managedFields: []}\n",
			reason: render.InvalidObject,
			says:   []string{"ConfigMap a: metadata.managedFields:", "ConfigMap a: metadata.resourceVersion:", "ConfigMap a: metadata.uid:", "remove it"},
		},
		"one object in two files, with both": {
			tree: "-- a.yaml --\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n" +
				"-- b/c.yaml --\n---\napiVersion: apps/v1beta1\nkind: Deployment\nmetadata: {name: x, namespace: n1}\n",
			options: render.Options{Namespace: "n1"},
			reason:  render.DuplicateObject,
			says:    []string{"Deployment n1/x", "a.yaml (document 1)", "b/c.yaml (document"},
		},
		"a tag of another tool": {
			tree:   "-- a.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: !vault secret/x}\n",
			reason: render.InvalidYAML,
			says:   []string{"a.yaml:3: the tag !vault"},
		},
		"a kustomization below a plain directory": {
			tree:   "-- apps/cni/kustomization.yaml --\nresources: []\n",
			reason: render.BuildFailed,
			says:   []string{"apps/cni/kustomization.yaml", "below a plain directory is not built", "name apps/cni"},
		},
		"a DaemonSet of a dead API": {
			tree:   "-- a.yaml --\napiVersion: extensions/v1beta1\nkind: DaemonSet\nmetadata: {name: a}\n",
			reason: render.InvalidObject,
			says:   []string{"DaemonSet a: apiVersion:", "write apps/v1"},
		},
		"several things at once, all of them": {
			tree: "-- a.yaml --\na: [\n-- b.yaml --\napiVersion: v1\nkind: ConfigMap\n" +
				"-- c.yaml --\nkind: ConfigMap\nmetadata: {name: c}\n",
			reason: render.InvalidYAML,
			says:   []string{"a.yaml:", "b.yaml:1: ConfigMap: metadata.name", "c.yaml:1: ConfigMap c: apiVersion"},
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			wantError(t, files(c.tree), c.options, c.reason, c.says...)
		})
	}
}
