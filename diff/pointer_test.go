package diff_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func TestWithoutIgnored(t *testing.T) {
	t.Parallel()
	const gateway = `{apiVersion: apps/v1, kind: Deployment, metadata: {namespace: a, name: gateway, annotations: {example.com/x~y: "1"}}, spec: {replicas: 2, list: [{name: a, b: 1}, {name: c, b: 2}]}}`
	for name, c := range map[string]struct {
		rule    v1alpha1.IgnoreRule
		want    string
		problem string
	}{
		"a field":                       {rule: v1alpha1.IgnoreRule{Pointer: "/spec/replicas"}, want: strings.Replace(gateway, "replicas: 2, ", "", 1)},
		"a field of a kind":             {rule: v1alpha1.IgnoreRule{Pointer: "/spec/replicas", Kind: "Deployment", Namespace: "a", Name: "gateway"}, want: strings.Replace(gateway, "replicas: 2, ", "", 1)},
		"a field of another kind":       {rule: v1alpha1.IgnoreRule{Pointer: "/spec/replicas", Kind: "StatefulSet"}, want: gateway},
		"a field in another namespace":  {rule: v1alpha1.IgnoreRule{Pointer: "/spec/replicas", Namespace: "b"}, want: gateway},
		"a field of another name":       {rule: v1alpha1.IgnoreRule{Pointer: "/spec/replicas", Name: "door"}, want: gateway},
		"a field that it does not have": {rule: v1alpha1.IgnoreRule{Pointer: "/spec/paused"}, want: gateway},
		"a key with a slash and a tilde": {
			rule: v1alpha1.IgnoreRule{Pointer: "/metadata/annotations/example.com~1x~0y"}, want: strings.Replace(gateway, `example.com/x~y: "1"`, "", 1),
		},
		"a field of an element of a list": {rule: v1alpha1.IgnoreRule{Pointer: "/spec/list/1/b"}, want: strings.Replace(gateway, "c, b: 2", "c", 1)},
		"an element that there is not":    {rule: v1alpha1.IgnoreRule{Pointer: "/spec/list/2/b"}, want: gateway},
		"an element of a list":            {rule: v1alpha1.IgnoreRule{Pointer: "/spec/list/1"}, want: gateway, problem: "/spec/list/1 is an element of a list"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := object(t, gateway)
			got, problem := diff.Without(diff.Ignored([]v1alpha1.IgnoreRule{c.rule, c.rule}, before), before)
			if d := cmp.Diff(object(t, c.want), got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if d := cmp.Diff(object(t, gateway), before); d != "" {
				t.Errorf("the argument was changed:\n%s", d)
			}
			if said := ""; problem != nil {
				if said = problem.Message; c.problem == "" || !strings.Contains(said, c.problem) {
					t.Errorf("problem %q, want %q", said, c.problem)
				}
			} else if c.problem != "" {
				t.Errorf("no problem, want %q", c.problem)
			}
		})
	}
}

func TestPointerSet(t *testing.T) {
	t.Parallel()
	got := object(t, `{apiVersion: v1, kind: X, spec: {list: [{name: a}, {name: c}]}}`)
	for _, text := range []string{"/spec/replicas", "/spec/list/1/b/c", "/spec/list/7/b", "/spec/list/0", "/spec/new/x~1y"} {
		p := diff.ParsePointer(text)
		if p.String() != text {
			t.Errorf("%q is spelled %q", text, p)
		}
		p.Set(got.Object, "v")
	}
	if d := cmp.Diff(object(t, `{apiVersion: v1, kind: X, spec: {replicas: v, list: [{name: a}, {name: c, b: {c: v}}], new: {x/y: v}}}`), got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
