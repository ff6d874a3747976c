package render_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-dev/rollcall/sync/render"
)

func TestKustomizationBuilds(t *testing.T) {
	for sentence, c := range map[string]struct {
		tree    string
		options render.Options
		want    string
	}{
		"an overlay over a base outside its directory, with the file of each object": {
			tree: `
-- base/kustomization.yaml --
resources: [ds.yaml, more]
configMapGenerator:
- name: agent
  files: [agent.conf, again.yaml=ds.yaml]
  envs: [agent.env]
-- base/ds.yaml --` + agent + `
-- base/agent.conf --
a: &a [*a]
-- base/agent.env --
KEY=value
-- base/more/kustomization.yml --
resources: [sa.yaml]
-- base/more/sa.yaml --
apiVersion: v1
kind: ServiceAccount
metadata: {name: agent}
-- prod/Kustomization --
namespace: agents
bases: [../base]
commonLabels: {env: prod}
patchesStrategicMerge:
- |-
  apiVersion: apps/v1
  kind: DaemonSet
  metadata: {name: agent}
  spec: {minReadySeconds: 5}
- patch.yaml
patches:
- target: {kind: DaemonSet}
  patch: |-
    - op: add
      path: /spec/template/spec/hostname
      value: "https://example.com/?a=b"
- path: json.yaml
  target: {kind: DaemonSet}
images:
- {name: registry.example.com/agent, newTag: "1.10"}
transformers:
- |-
  apiVersion: builtin
  kind: PrefixTransformer
  metadata: {name: p}
  prefix: p-
  fieldSpecs: [{path: metadata/name}]
-- prod/patch.yaml --
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec: {revisionHistoryLimit: 3}
-- prod/json.yaml --
- {op: add, path: /spec/template/metadata/labels/patched, value: "yes"}
`,
			options: render.Options{Path: "prod"},
			want: `ServiceAccount agents/p-agent (base/more/sa.yaml)
ConfigMap agents/p-agent-HASH (base/kustomization.yaml)
DaemonSet agents/p-agent (base/ds.yaml)
`,
		},
		"a component": {
			tree: `
-- kustomization.yaml --
resources: [a.yaml]
components: [parts/x]
-- a.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
-- parts/x/kustomization.yaml --
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
nameSuffix: -x
`,
			want: "ConfigMap /a-x (a.yaml)\n",
		},
		"what only another YAML reader would see as a separator is text": {
			tree: "-- kustomization.yaml --\nresources: [a.yaml]\n-- a.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n" +
				"data:\n  k: \"x\n---x\napiVersion: v1\n\nkind: Secret\n\nmetadata: {name: hidden}\n\"\n",
			want: "ConfigMap /a (a.yaml)\n",
		},
		"a resource of which only comments are left": {
			tree: "-- kustomization.yaml --\nresources: [a.yaml, b.yaml]\n-- a.yaml --\n# gone\n-- b.yaml --\n" + configMaps(1),
			want: "ConfigMap /c0 (b.yaml)\n",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			got := build(t, files(c.tree), c.options)
			if diff := cmp.Diff(c.want, withoutHash(summary(got))); diff != "" {
				t.Errorf("declared (-want +got):\n%s", diff)
			}
		})
	}
}

func withoutHash(text string) string {
	for _, word := range strings.Fields(text) {
		if i := strings.LastIndex(word, "-"); i > 0 && len(word)-i == 11 && !strings.Contains(word, ".") {
			text = strings.ReplaceAll(text, word[i+1:], "HASH")
		}
	}
	return text
}

func TestKustomizationOutput(t *testing.T) {
	tree := files(`
-- kustomization.yaml --
namespace: agents
resources: [a.yaml, s.yaml]
labels: [{pairs: {v: "1.10", on: "yes"}}]
-- a.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data: {k: "yes", "n": "1", multi: "a\nb\n", odd: "a\u0085b"}
-- s.yaml --
apiVersion: v1
kind: Secret
metadata: {name: s, annotations: {keep: me}}
`)
	tree["kustomization.yaml"].Data = []byte(strings.ReplaceAll(string(tree["kustomization.yaml"].Data), "on:", `"on":`))
	got := build(t, tree, render.Options{})
	want := map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": "a", "namespace": "agents", "labels": map[string]any{"v": "1.10", "on": "yes"}},
		"data":     map[string]any{"k": "yes", "n": "1", "multi": "a\nb\n", "odd": "a\u0085b"},
	}
	if diff := cmp.Diff(want, got.Objects[0].Object); diff != "" {
		t.Errorf("ConfigMap (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"keep": "me"}, got.Objects[1].GetAnnotations()); diff != "" {
		t.Errorf("annotations of the Secret (-want +got):\n%s", diff)
	}
}

func TestKustomizationRefuses(t *testing.T) {
	for sentence, c := range map[string]struct {
		tree   string
		reason render.Reason
		says   []string
	}{
		"a resource that does not exist": {
			tree:   "-- kustomization.yaml --\nresources: [gone.yaml]\n",
			reason: render.BuildFailed,
			says:   []string{"kustomization.yaml: resources[0]: gone.yaml does not exist"},
		},
		"a field with a typing error": {
			tree:   "-- kustomization.yaml --\nresorces: [a.yaml]\n",
			reason: render.BuildFailed,
			says:   []string{"kustomization.yaml: ", `unknown field "resorces"`},
		},
		"two kustomization files": {
			tree:   "-- kustomization.yaml --\n-- kustomization.yml --\n",
			reason: render.BuildFailed,
			says:   []string{"exactly one", "this one has 2"},
		},
		"a base that is outside the repository": {
			tree:   "-- kustomization.yaml --\nresources: [../../etc]\n",
			reason: render.BuildFailed,
			says:   []string{"lies outside the repository"},
		},
		"an absolute name": {
			tree:   "-- kustomization.yaml --\nresources: [/etc/passwd]\n",
			reason: render.BuildFailed,
			says:   []string{"is absolute"},
		},
		"a circle": {
			tree:   "-- kustomization.yaml --\nresources: [a1]\n-- a1/kustomization.yaml --\nresources: [../b1]\n-- b1/kustomization.yaml --\nresources: [../a1]\n",
			reason: render.BuildFailed,
			says:   []string{"in a circle", "a1 → b1 → a1"},
		},
		"one object in two files, with both": {
			tree:   "-- kustomization.yaml --\nresources: [a.yaml, b.yaml]\n-- a.yaml --\n" + configMaps(1) + "-- b.yaml --\n" + configMaps(1),
			reason: render.DuplicateObject,
			says:   []string{"ConfigMap c0", "in a.yaml", "in b.yaml"},
		},
		"one object in a base and beside it": {
			tree: "-- kustomization.yaml --\nresources: [a.yaml, b1]\n-- a.yaml --\n" + configMaps(1) +
				"-- b1/kustomization.yaml --\nresources: [b.yaml]\n-- b1/b.yaml --\n" + configMaps(1),
			reason: render.DuplicateObject,
			says:   []string{"ConfigMap", "c0"},
		},
		"a resource with two errors and a patch with one, all of them": {
			tree: "-- kustomization.yaml --\nresources: [a.yaml]\npatches: [{patch: \"a: [\"}]\n-- a.yaml --\nmetadata: {name: x}\n",
			says: []string{"a.yaml:1: x: apiVersion", "a.yaml:1: x: kind", "patches[0].patch: "}, reason: render.InvalidYAML,
		},
		"a patch without a target": {
			tree:   "-- kustomization.yaml --\nresources: [a.yaml]\npatches:\n- patch: '{apiVersion: v1, kind: ConfigMap, metadata: {name: other}}'\n-- a.yaml --\n" + configMaps(1),
			reason: render.BuildFailed,
			says:   []string{"kustomization.yaml: kustomize: ", "other"},
		},
		"a literal of a secret that cannot be read, without the secret": {
			tree:   "-- kustomization.yaml --\nsecretGenerator: [{name: s, literals: [CANARY]}]\n",
			reason: render.BuildFailed,
			says:   []string{"secretGenerator[0].literals[0]: a literal is written key=value"},
		},
		"an env file that cannot be read, without its lines": {
			tree:   "-- kustomization.yaml --\nsecretGenerator: [{name: s, envs: [e]}]\n-- e --\nA=b\nK=CANARY\xff\n",
			reason: render.BuildFailed,
			says:   []string{"e:2: this line is not UTF-8"},
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			wantError(t, files(c.tree), render.Options{}, c.reason, c.says...)
			if _, err := render.Build(files(c.tree), render.Options{}); strings.Contains(err.Error(), "CANARY") {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

// TestNothingIsFetched proves the scan on a server that counts: an in-memory file system does not keep
// kustomize from making requests, and a git on the path would be run.
// fakeGit puts a git first on the path that leaves a file when it runs, and returns that file's name.
// TestSchemasDoNotLeak builds with a schema that makes a list merge by key, then without it.

// TestANumberThatWasTextIsRefused: a replacement that creates its field forgets that the source was quoted, and kustomize
// itself then writes 1.1.
func TestANumberThatWasTextIsRefused(t *testing.T) {
	tree := files(`
-- kustomization.yaml --
resources: [a.yaml]
replacements:
- source: {kind: ConfigMap, name: a, fieldPath: data.v}
  targets: [{select: {kind: ConfigMap, name: b}, fieldPaths: [data.v], options: {create: true}}]
-- a.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data: {v: "1.10"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: b}
`)
	wantError(t, tree, render.Options{}, render.InvalidObject, "a.yaml: ConfigMap b: data.v: this value is of type number and should be string")
}

// TestMarksDoNotStay: what an object is marked with on its way through kustomize is neither declared nor needed.
func TestMarksDoNotStay(t *testing.T) {
	tree := files(`
-- kustomization.yaml --
resources: [base, a.yaml]
patches:
- {target: {name: lost}, patch: '[{op: replace, path: /metadata/annotations, value: {mine: kept}}]'}
- {target: {name: bare}, patch: '[{op: remove, path: /metadata/annotations}]'}
-- a.yaml --
{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: ConfigMap, metadata: {name: lost}}, {apiVersion: v1, kind: ConfigMap, metadata: {name: bare}}]}
-- base/kustomization.yaml --
resources: []
configMapGenerator: [{name: made, literals: [a=b], options: {annotations: {mine: kept}}}]
`)
	got := build(t, tree, render.Options{})
	want := "ConfigMap /bare (kustomization.yaml)\nConfigMap /lost (kustomization.yaml)\nConfigMap /made-HASH (base/kustomization.yaml)\n"
	if diff := cmp.Diff(want, withoutHash(summary(got))); diff != "" {
		t.Errorf("declared (-want +got):\n%s", diff)
	}
	var annotations []map[string]string
	for _, o := range got.Objects {
		annotations = append(annotations, o.GetAnnotations())
	}
	if diff := cmp.Diff([]map[string]string{nil, {"mine": "kept"}, {"mine": "kept"}}, annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
}
