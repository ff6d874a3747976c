package render_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-dev/rollcall/sync/render"
)

func TestVariablesAreSubstituted(t *testing.T) {
	tree := files(`
-- kustomization.yaml --
namespace: agents
resources: [all.yaml]
configMapGenerator:
- name: made
  literals: ["cluster=${cluster}"]
  options: {disableNameSuffixHash: true}
-- all.yaml --
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: "agent-${cluster}", annotations: {"${cluster}.example.com/x": "y"}}
spec:
  minReadySeconds: ${seconds}
  updateStrategy: {rollingUpdate: {maxUnavailable: "${most}"}}
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent, number: "${seconds}"}}
    spec:
      hostNetwork: ${host:=true}
      containers:
      - name: agent
        image: registry.example.com/agent:${version:=1.10}
        env: [{name: "N", value: "${seconds}"}, {name: SHELL, value: "$${HOME} $HOME $(HOME) ${cluster^^}"}, {name: D, value: "${none:-a ${cluster} b}"}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: script, annotations: {rollcall.dev/substitute: disabled}}
data: {run.sh: "echo ${NOBODY} ${a[@]}"}
---
apiVersion: v1
kind: Secret
metadata: {name: s}
stringData: {password: "x${password}"}
---
apiVersion: example.com/v1
kind: Thing
metadata: {name: t}
spec: {version: "${decimal}", count: 1}
`)
	got := build(t, tree, render.Options{
		Substitute:      true,
		Variables:       map[string]string{"cluster": "prod", "seconds": "5", "most": "2", "decimal": "1.10", "password": "not this one"},
		SecretVariables: map[string]string{"password": "CANARY"},
	})
	ds := got.DaemonSets[0].Object.Object
	want := map[string]any{
		"minReadySeconds": int64(5),
		"updateStrategy":  map[string]any{"rollingUpdate": map[string]any{"maxUnavailable": int64(2)}},
		"selector":        map[string]any{"matchLabels": map[string]any{"app": "agent"}},
		"template": map[string]any{
			"metadata": map[string]any{"labels": map[string]any{"app": "agent", "number": "5"}},
			"spec": map[string]any{"hostNetwork": true, "containers": []any{map[string]any{
				"name": "agent", "image": "registry.example.com/agent:1.10",
				"env": []any{
					map[string]any{"name": "N", "value": "5"},
					map[string]any{"name": "SHELL", "value": "${HOME} $HOME $(HOME) PROD"},
					map[string]any{"name": "D", "value": "a prod b"},
				},
			}}},
		},
	}
	if diff := cmp.Diff(want, ds["spec"]); diff != "" {
		t.Errorf("spec of the DaemonSet (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{
		"name": "agent-prod", "namespace": "agents", "annotations": map[string]any{"prod.example.com/x": "y"},
	}, ds["metadata"]); diff != "" {
		t.Errorf("metadata of the DaemonSet (-want +got):\n%s", diff)
	}
	texts := map[string]any{}
	for _, o := range got.Objects {
		for _, field := range []string{"data", "stringData", "spec"} {
			if v := o.Object[field]; v != nil {
				texts[o.GetName()] = v
			}
		}
	}
	if diff := cmp.Diff(map[string]any{
		"made":   map[string]any{"cluster": "prod"},
		"script": map[string]any{"run.sh": "echo ${NOBODY} ${a[@]}"},
		"s":      map[string]any{"password": "xCANARY"},
		"t":      map[string]any{"version": "1.10", "count": int64(1)},
	}, texts); diff != "" {
		t.Errorf("other objects (-want +got):\n%s", diff)
	}
}

func TestWithoutSubstitutionTextsStay(t *testing.T) {
	tree := files("-- a.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: '${x} $${y}'}\n")
	got := build(t, tree, render.Options{Variables: map[string]string{"x": "1"}})
	if diff := cmp.Diff(map[string]any{"k": "${x} $${y}"}, got.Objects[0].Object["data"]); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
}

func TestAChangedVariableIsAnotherVersion(t *testing.T) {
	tree := files("-- ds.yaml --" + strings.Replace(agent, "image: ", "image: ${registry}/", 1))
	digest := func(registry string) string {
		return build(t, tree, render.Options{Substitute: true, Variables: map[string]string{"registry": registry}}).DaemonSets[0].Digest
	}
	if a, again, b := digest("a.example.com"), digest("a.example.com"), digest("b.example.com"); a != again || a == b {
		t.Errorf("digests are %s, %s and with another value %s", a, again, b)
	}
}

func TestSubstitutionRefuses(t *testing.T) {
	configMap := func(value string) string {
		return "-- a.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  k: '" + value + "'\n"
	}
	for sentence, c := range map[string]struct {
		tree string
		says []string
	}{
		"a variable that has no value, with the file, the object and the field": {
			tree: configMap("x ${gone} y"),
			says: []string{"a.yaml: ConfigMap a: data.k: the variable gone has no value", "${gone:=default}", "spec.substitute"},
		},
		"one with an operator that reads it": {
			tree: configMap("${gone^^}"), says: []string{"the variable gone has no value"},
		},
		"one in a list": {
			tree: "-- ds.yaml --" + strings.Replace(agent, "envFrom:", "args: [a, '${gone}']\n        envFrom:", 1),
			says: []string{"ds.yaml: DaemonSet agent: spec.template.spec.containers[0].args[1]: the variable gone"},
		},
		"an expression of a shell that is not known": {
			tree: configMap("${list[@]}"), says: []string{"data.k: what stands between ${ and } is no expression", "rollcall.dev/substitute: disabled", "$${"},
		},
		"an operator that the library takes for another": {
			tree: configMap("${set:+x}"), says: []string{"is no expression that is known"},
		},
		"a brace that is never closed": {
			tree: configMap("${set"), says: []string{"a ${ has no }"},
		},
		"an expression without end": {
			tree: configMap(strings.Repeat("${a:=", 100_000)), says: []string{"a ${ has no }"},
		},
		"a number that is none, without the value": {
			tree: "-- ds.yaml --" + strings.Replace(agent, "selector:", "minReadySeconds: ${set}\n  selector:", 1),
			says: []string{"spec.minReadySeconds: the variables here make no integer"},
		},
		"a secret in a field that is shown": {
			tree: configMap("${password}"), says: []string{"ConfigMap a: data.k: a variable here comes from a Secret", "take the value from a ConfigMap"},
		},
		"a secret in the name of a Secret": {
			tree: "-- a.yaml --\napiVersion: v1\nkind: Secret\nmetadata: {name: 'a-${password}'}\n",
			says: []string{"metadata.name: a variable here comes from a Secret"},
		},
		"in a Secret without a word of it": {
			tree: "-- a.yaml --\napiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {k: 'x${CANARY}'}\n",
			says: []string{"Secret a: stringData.k: a variable has no value"},
		},
		"two keys that become one": {
			tree: "-- a.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {'${set}': a, CONFUSED: b}\n",
			says: []string{"ConfigMap a: data: two keys are the same"},
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			o := render.Options{Substitute: true, Variables: map[string]string{"set": "CONFUSED"}, SecretVariables: map[string]string{"password": "CANARY"}}
			wantError(t, files(c.tree), o, render.SubstitutionFailed, c.says...)
			_, err := render.Build(files(c.tree), o)
			if strings.Contains(err.Error(), "CANARY") || strings.Contains(err.Error(), "CONFUSED") {
				t.Errorf("the error shows a value: %v", err)
			}
		})
	}
	if text := fmt.Sprintf("%v %+v %#v %s", render.Options{AgeKeys: []string{"CANARY"}}, render.Options{SecretVariables: map[string]string{"a": "CANARY"}},
		render.Options{AgeKeys: []string{"CANARY"}}, render.Options{}); strings.Contains(text, "CANARY") {
		t.Errorf("the options print their secrets: %s", text)
	}
}

// TestSubstitutionIsBounded multiplies what little text and one large value make.
func TestSubstitutionIsBounded(t *testing.T) {
	tree := fstest.MapFS{"a.yaml": {Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  k: '" + strings.Repeat("${x}", 10_000) + "'\n")}}
	o := render.Options{Substitute: true, Variables: map[string]string{"x": strings.Repeat("x", 1<<20)}}
	if _, err := render.Build(tree, o); !errors.Is(err, render.SubstitutionFailed) || !strings.Contains(err.Error(), "larger than a build may be") {
		t.Errorf("got %v", err)
	}
}
