package render_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/rollcall-dev/rollcall/sync/render"
)

func TestSchemasDoNotLeak(t *testing.T) {
	const thing = `
-- kustomization.yaml --
%sresources: [a.yaml]
patches:
- patch: |-
    apiVersion: example.com/v1
    kind: Thing
    metadata: {name: t}
    spec: {parts: [{name: b, v: 2}]}
-- a.yaml --
apiVersion: example.com/v1
kind: Thing
metadata: {name: t}
spec: {parts: [{name: a, v: 1}]}
-- schema.json --
{"definitions": {"com.example.v1.Thing": {"type": "object",
  "x-kubernetes-group-version-kind": [{"group": "example.com", "kind": "Thing", "version": "v1"}],
  "properties": {"spec": {"type": "object", "properties": {"parts": {"type": "array",
    "x-kubernetes-patch-merge-key": "name", "x-kubernetes-patch-strategy": "merge",
    "items": {"type": "object", "properties": {"name": {"type": "string"}, "v": {"type": "integer"}}}}}}}}}}
`
	parts := func(head string) int {
		d := build(t, files(fmt.Sprintf(thing, head)), render.Options{})
		return len(d.Objects[0].Object["spec"].(map[string]any)["parts"].([]any))
	}
	if n := parts("openapi: {path: schema.json}\n"); n != 2 {
		t.Errorf("with the schema there are %d parts, want both", n)
	}
	if n := parts(""); n != 1 {
		t.Errorf("after a build with a schema there are %d parts, want the list replaced", n)
	}
}

func TestBuildsCanRunAtTheSameTime(t *testing.T) {
	tree := files("-- kustomization.yaml --\nnamePrefix: p-\nresources: [a.yaml]\n-- a.yaml --\n" + configMaps(3))
	want := summary(build(t, tree, render.Options{}))
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			d, err := render.Build(tree, render.Options{})
			if err != nil || summary(d) != want {
				t.Errorf("got %v, %v", d, err)
			}
		})
	}
	all.Wait()
}
