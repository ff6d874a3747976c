package apply

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/rollcall-dev/rollcall/diff"
)

func seenAs(t *testing.T, text, resource string, change func(*sight)) sight {
	t.Helper()
	o := manifest(t, text)
	s := sight{
		Object:  diff.Object{Declared: o},
		located: located{target: target{object: o, mapping: &meta.RESTMapping{Resource: schema.GroupVersionResource{Resource: resource}, Scope: meta.RESTScopeNamespace}}},
	}
	change(&s)
	return s
}

func TestAwaited(t *testing.T) {
	t.Parallel()
	absent := func(*sight) {}
	there := func(s *sight) { s.Live, s.Merged = s.Declared, s.Declared }
	refused := func(reason string, missing dependency) func(*sight) {
		return func(s *sight) { s.Problem, s.missing = &diff.Problem{Reason: reason}, missing }
	}
	grown := func(s *sight) {
		s.Live, s.Merged = s.Declared, s.Declared.DeepCopy()
		if err := unstructured.SetNestedField(s.Merged.Object, "x", "spec", "more"); err != nil {
			panic(err)
		}
	}
	const namespace = "{apiVersion: v1, kind: Namespace, metadata: {name: a}}"
	const settings = "{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: a}}"
	const tuning = "{apiVersion: example.com/v1, kind: Tuning, metadata: {name: x}}"
	inNamespace := refused(ReasonNamespaceNotFound, dependency{"namespaces", "a"})
	cases := map[string]struct {
		beside sight
		object sight
		want   string
	}{
		"a namespace of this set comes first":               {seenAs(t, namespace, "namespaces", absent), seenAs(t, settings, "configmaps", inNamespace), "namespaces a comes first"},
		"a namespace that is refused does not":              {seenAs(t, namespace, "namespaces", refused(ReasonForbidden, dependency{})), seenAs(t, settings, "configmaps", inNamespace), ""},
		"nor one that is there already":                     {seenAs(t, namespace, "namespaces", there), seenAs(t, settings, "configmaps", inNamespace), ""},
		"nor a ConfigMap of that name":                      {seenAs(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}", "configmaps", absent), seenAs(t, settings, "configmaps", inNamespace), ""},
		"a schema that changes comes first":                 {seenAs(t, tuningDefinition, "customresourcedefinitions", grown), seenAs(t, tuning, "tunings", refused(ReasonInvalid, dependency{})), "the change of its CustomResourceDefinition comes first"},
		"a schema that stays does not":                      {seenAs(t, tuningDefinition, "customresourcedefinitions", there), seenAs(t, tuning, "tunings", refused(ReasonInvalid, dependency{})), ""},
		"nor does it help who may not":                      {seenAs(t, tuningDefinition, "customresourcedefinitions", grown), seenAs(t, tuning, "tunings", refused(ReasonForbidden, dependency{})), ""},
		"what has no problem awaits nothing":                {seenAs(t, tuningDefinition, "customresourcedefinitions", grown), seenAs(t, tuning, "tunings", there), ""},
		"an answer that misses nothing is not about nobody": {seenAs(t, namespace, "namespaces", absent), seenAs(t, settings, "configmaps", refused(ReasonUnavailable, dependency{})), ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := awaited([]sight{c.object, c.beside})[0]
			if d := cmp.Diff(c.want, got.Pending); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if solved := c.object.Problem != nil && got.Problem == nil; solved != (c.want != "") {
				t.Errorf("problem is %v", got.Problem)
			}
		})
	}
}

func TestSameForGood(t *testing.T) {
	t.Parallel()
	const pinned = "{apiVersion: v1, kind: ConfigMap, immutable: true, metadata: {name: x, labels: {rollcall.dev/gitsync: a.b, app: old}}, data: {a: b}}"
	cases := map[string]struct {
		live string
		want bool
	}{
		"the same":                      {"{immutable: true, metadata: {labels: {rollcall.dev/gitsync: a.b}}, data: {a: b}}", true},
		"nothing":                       {"", false},
		"other data":                    {"{immutable: true, metadata: {labels: {rollcall.dev/gitsync: a.b}}, data: {a: c}}", false},
		"more data":                     {"{immutable: true, metadata: {labels: {rollcall.dev/gitsync: a.b}}, data: {a: b}, binaryData: {c: ZA==}}", false},
		"one that may change":           {"{metadata: {labels: {rollcall.dev/gitsync: a.b}}, data: {a: b}}", false},
		"nobody's":                      {"{immutable: true, data: {a: b}}", false},
		"one with an odd word for true": {"{immutable: 'true', metadata: {labels: {rollcall.dev/gitsync: a.b}}, data: {a: b}}", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var live *unstructured.Unstructured
			if c.live != "" {
				live = manifest(t, "{apiVersion: v1, kind: ConfigMap, "+c.live[1:])
			}
			if got := sameForGood(manifest(t, pinned), live); got != c.want {
				t.Errorf("got %t", got)
			}
		})
	}
}
