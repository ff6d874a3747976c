package apply

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"github.com/rollcall-dev/rollcall/sync/render"
)

func manifest(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON(raw); err != nil {
		t.Fatal(err)
	}
	return o
}

// knownKinds is a mapper of a few kinds. It counts how often it is reset.
type knownKinds struct {
	meta.RESTMapper
	resets int
}

func (k *knownKinds) Reset() { k.resets++ }

func newKnownKinds() *knownKinds {
	m := meta.NewDefaultRESTMapper(nil)
	m.Add(schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}, meta.RESTScopeNamespace)
	m.Add(schema.GroupVersionKind{Version: "v1", Kind: "Secret"}, meta.RESTScopeNamespace)
	m.Add(schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}, meta.RESTScopeRoot)
	m.Add(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}, meta.RESTScopeRoot)
	return &knownKinds{RESTMapper: m}
}

const tuningDefinition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: tunings.example.com}
spec: {group: example.com, scope: SCOPE, names: {kind: Tuning}, versions: [{name: v1}, {name: v2}]}`

func TestLocate(t *testing.T) {
	t.Parallel()
	const tuning = "{apiVersion: example.com/v2, kind: Tuning, metadata: {name: x}}"
	defined := func(scope string) string { return strings.Replace(tuningDefinition, "SCOPE", scope, 1) }
	type place struct {
		Namespace, Pending, Problem string
	}
	cases := map[string]struct {
		object string
		beside string
		want   place
	}{
		"a namespaced object gets the GitSync's namespace": {object: "{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}", want: place{Namespace: "agents"}},
		"or keeps its own":                                   {object: "{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: own}}", want: place{Namespace: "own"}},
		"a cluster-scoped object gets none":                  {object: "{apiVersion: v1, kind: Namespace, metadata: {name: x}}"},
		"and must not have one":                              {object: "{apiVersion: v1, kind: Namespace, metadata: {name: x, namespace: own}}", want: place{Namespace: "own", Problem: ReasonInvalid}},
		"a kind that nobody knows is a problem":              {object: tuning, want: place{Problem: ReasonUnknownKind}},
		"unless it is defined beside it":                     {object: tuning, beside: defined("Namespaced"), want: place{Namespace: "agents", Pending: "its CustomResourceDefinition comes first"}},
		"cluster-scoped":                                     {object: tuning, beside: defined("Cluster"), want: place{Pending: "its CustomResourceDefinition comes first"}},
		"in that version":                                    {object: strings.Replace(tuning, "v2", "v3", 1), beside: defined("Cluster"), want: place{Problem: ReasonUnknownKind}},
		"an object that is declared twice, in two spellings": {object: "{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}", beside: "{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: agents}}", want: place{Namespace: "agents", Problem: ReasonInvalid}},
		"a Secret whose data is not in base64":               {object: "{apiVersion: v1, kind: Secret, metadata: {name: x}, data: {a: '!'}}", want: place{Namespace: "agents", Problem: ReasonInvalid}},
		"a Secret with a number":                             {object: "{apiVersion: v1, kind: Secret, metadata: {name: x}, stringData: {a: 1}}", want: place{Namespace: "agents", Problem: ReasonInvalid}},
		"a Secret with a field that no Secret has":           {object: "{apiVersion: v1, kind: Secret, metadata: {name: x}, datas: {a: b}}", want: place{Namespace: "agents", Problem: ReasonInvalid}},
		"a Secret as it should be":                           {object: "{apiVersion: v1, kind: Secret, metadata: {name: x}, type: Opaque, data: {a: YQ==}, stringData: {b: '!'}}", want: place{Namespace: "agents"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			declared := &render.Declared{}
			for _, text := range []string{c.beside, c.object} {
				if text != "" {
					declared.Objects = append(declared.Objects, render.Object{Unstructured: manifest(t, text), Source: "x.yaml"})
				}
			}
			set := NewSet(types.NamespacedName{Namespace: "agents", Name: "logging"}, declared, nil)
			mapper := newKnownKinds()
			all := (&Applier{Mapper: mapper}).locate(set)
			l := all[len(all)-1]
			got := place{Namespace: l.object.GetNamespace(), Pending: l.pending}
			if l.problem != nil {
				got.Problem = l.problem.Reason
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if mapper.resets > 1 {
				t.Errorf("%d resets", mapper.resets)
			}
		})
	}
}

func TestPrepared(t *testing.T) {
	t.Parallel()
	declared := manifest(t, `
apiVersion: v1
kind: Secret
metadata:
  name: token
  labels: {app: x, rollcall.dev/gitsync: somebody.else}
  resourceVersion: "7"
  uid: u
  creationTimestamp: null
data: {a: YQ==, b: Yg==}
stringData: {b: bb, c: c}
status: {x: y}`)
	before := declared.DeepCopy()
	got := prepared(declared, Set{Namespace: "agents", Owner: "agents.logging"}, true)
	want := manifest(t, `
apiVersion: v1
kind: Secret
metadata:
  name: token
  namespace: agents
  labels: {app: x, rollcall.dev/gitsync: agents.logging}
data: {a: YQ==, b: YmI=, c: Yw==}`)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d := cmp.Diff(before, declared); d != "" {
		t.Errorf("the declared object was changed:\n%s", d)
	}
}

func TestOwner(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long-name.", 20)
	cases := map[string]struct {
		gitsync types.NamespacedName
		want    string
	}{
		"a short name is spelled out":       {types.NamespacedName{Namespace: "agents", Name: "logging"}, "agents.logging"},
		"a name of 63 letters too":          {types.NamespacedName{Namespace: "agents", Name: long[:55] + "x"}, "agents." + long[:55] + "x"},
		"a longer one ends in a hash":       {types.NamespacedName{Namespace: "agents", Name: long + "a"}, "agents.long-name.long-name.long-name.long-name.long-febd7dacfb"},
		"which differs for each":            {types.NamespacedName{Namespace: "agents", Name: long + "b"}, "agents.long-name.long-name.long-name.long-name.long-29a8ceb48b"},
		"and does not begin after a period": {types.NamespacedName{Namespace: "agents-12345", Name: long + "a"}, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := Owner(c.gitsync)
			if c.want != "" && got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if problems := validation.IsValidLabelValue(got); len(problems) > 0 {
				t.Errorf("%s is no label value: %v", got, problems)
			}
			if strings.Contains(got, ".-") {
				t.Errorf("got %s", got)
			}
		})
	}
}
