package render_test

import (
	"testing"
	"testing/fstest"

	"github.com/rollcall-dev/rollcall/sync/render"
)

// FuzzBuild looks for a panic, and for an error without a reason.
func FuzzBuild(f *testing.F) {
	for _, text := range []string{
		agent, configured, secret, reader, tutorial, withoutIndentation(tutorial), bomb(3),
		"a: &a [*a]\n", "? {a: b}\n: c\n", "<<: [{a: 1}, *x]\n", "--- !!binary\nx\n", "\xef\xbb\xbfa: b\r\n---\r\n", "%YAML 1.1\n---\na: y\n",
		"apiVersion: v1\nkind: List\nitems: [{kind: List, items: [1, {}]}]\n",
		"resources: [a.yaml]\npatches: [{patch: '[{op: add, path: /x, value: 1}]', target: {kind: ConfigMap}}]\n",
	} {
		f.Add([]byte(text), []byte("resources: [a.yaml]\nnamePrefix: x-\n"), true)
		f.Add([]byte(text), []byte(text), false)
	}
	f.Fuzz(func(t *testing.T, manifest, kustomization []byte, kustomize bool) {
		tree := fstest.MapFS{"a.yaml": {Data: manifest}, "b.json": {Data: kustomization}}
		if kustomize {
			tree["kustomization.yaml"] = &fstest.MapFile{Data: kustomization}
		}
		declared, err := render.Build(tree, render.Options{Namespace: "n1", Limits: render.Limits{Nodes: 2000, Objects: 50}})
		if (declared == nil) == (err == nil) {
			t.Fatalf("got %v, %v", declared, err)
		}
		for _, e := range render.List(err) {
			if e.Reason == "" || e.Message == "" {
				t.Errorf("an error without a reason or message: %#v", e)
			}
		}
		if err != nil && len(render.List(err)) == 0 {
			t.Errorf("an error of another package: %v", err)
		}
	})
}
