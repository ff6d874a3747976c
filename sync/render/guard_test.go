package render_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-dev/rollcall/sync/render"
)

// bomb is YAML that is small to read and expands tenfold with each level.
func bomb(levels int) string {
	var b strings.Builder
	b.WriteString("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bomb}\nl0: &l0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i <= levels; i++ {
		fmt.Fprintf(&b, "l%d: &l%d [%s*l%d]\n", i, i, strings.Repeat(fmt.Sprintf("*l%d, ", i-1), 9), i-1)
	}
	return b.String()
}

func configMaps(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%d}\n", i)
	}
	return b.String()
}

func TestLimits(t *testing.T) {
	manyFiles := fstest.MapFS{}
	for i := range 20 {
		manyFiles[fmt.Sprintf("f%d.txt", i)] = &fstest.MapFile{}
	}
	one := func(name, text string) fstest.MapFS { return fstest.MapFS{name: &fstest.MapFile{Data: []byte(text)}} }
	for sentence, c := range map[string]struct {
		tree   fstest.MapFS
		limits render.Limits
		says   string
	}{
		"an alias bomb, by the nodes that it expands to": {
			tree: one("a.yaml", bomb(12)), says: "the number of YAML nodes in a file is limited to 200000",
		},
		"an alias inside its own anchor": {
			tree: one("a.yaml", "a: &a [*a]\n"), says: "the nesting of YAML values is limited to 100",
		},
		"deep nesting": {
			tree: one("a.yaml", strings.Repeat("[", 5000)+strings.Repeat("]", 5000)), says: "the nesting of YAML values is limited to 100",
		},
		"aliases, as they are written": {
			tree: one("a.yaml", "a: &a 1\nb: ["+strings.Repeat("*a,", 21)+"]\n"), limits: render.Limits{Aliases: 20}, says: "the number of YAML aliases in a file is limited to 20 and this file has 21",
		},
		"documents, empty ones too": {
			tree: one("a.yaml", strings.Repeat("---\n", 30)), limits: render.Limits{Documents: 20}, says: "the number of YAML documents in a file is limited to 20",
		},
		"objects": {
			tree: one("a.yaml", configMaps(21)), limits: render.Limits{Objects: 20}, says: "the number of objects is limited to 20 and this build has 21",
		},
		"bytes of a file": {
			tree: one("a.yaml", strings.Repeat("#", 100)), limits: render.Limits{FileBytes: 99}, says: "the size of a file in bytes is limited to 99",
		},
		"bytes of all files": {
			tree: fstest.MapFS{
				"a.yaml": &fstest.MapFile{Data: []byte("# 34567890")},
				"b.yaml": &fstest.MapFile{Data: []byte("# 34567890")},
			}, limits: render.Limits{TotalBytes: 19}, says: "the size of all files in bytes is limited to 19 and this build has 20",
		},
		"files": {
			tree: manyFiles, limits: render.Limits{Files: 19}, says: "the number of files and directories is limited to 19",
		},
		"depth of directories": {
			tree: one("a/b/c/d/e.yaml", ""), limits: render.Limits{Depth: 3}, says: "the depth of directories is limited to 3",
		},
		"an alias bomb inside a patch of a kustomization": {
			tree: fstest.MapFS{
				"kustomization.yaml": &fstest.MapFile{Data: []byte("patches:\n- patch: |\n    " +
					strings.ReplaceAll(bomb(12), "\n", "\n    "))},
			}, says: "the number of YAML nodes in a file is limited to 200000",
		},
		"an alias bomb in a resource of a kustomization": {
			tree: fstest.MapFS{
				"kustomization.yaml": &fstest.MapFile{Data: []byte("resources: [a.yaml]\n")},
				"a.yaml":             &fstest.MapFile{Data: []byte(bomb(12))},
			}, says: "the number of YAML nodes in a file is limited to 200000",
		},
		"bases that are used twice at each of many levels": {
			tree: doubling(20), says: "the number of kustomizations is limited to 100",
		},
		"the objects of a base, once for each use": {
			tree: fstest.MapFS{
				"kustomization.yaml":      &fstest.MapFile{Data: []byte("resources: [x1, y1]\n")},
				"x1/kustomization.yaml":   &fstest.MapFile{Data: []byte("resources: [../base]\nnamePrefix: x-\n")},
				"y1/kustomization.yaml":   &fstest.MapFile{Data: []byte("resources: [../base]\nnamePrefix: y-\n")},
				"base/kustomization.yaml": &fstest.MapFile{Data: []byte("resources: [a.yaml]\n")},
				"base/a.yaml":             &fstest.MapFile{Data: []byte(configMaps(10))},
			}, limits: render.Limits{Objects: 19}, says: "the number of objects is limited to 19 and this build has 20",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			start := time.Now()
			wantError(t, c.tree, render.Options{Limits: c.limits}, render.LimitExceeded, c.says)
			wantError(t, c.tree, render.Options{Limits: c.limits}, render.LimitExceeded, "or raise the controller's --max-")
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("refusing it took %s", took)
			}
		})
	}
}

// doubling is a chain of kustomizations of which each uses the next one twice.
func doubling(levels int) fstest.MapFS {
	tree := fstest.MapFS{}
	for i := range levels {
		text := fmt.Sprintf("resources: [../l%d/a, ../l%d/b]\n", i+1, i+1)
		if i > 0 {
			text = fmt.Sprintf("resources: [../../l%d/a, ../../l%d/b]\n", i+1, i+1)
			tree[fmt.Sprintf("l%d/b/kustomization.yaml", i)] = &fstest.MapFile{Data: []byte(text)}
			tree[fmt.Sprintf("l%d/a/kustomization.yaml", i)] = &fstest.MapFile{Data: []byte(text)}
			continue
		}
		tree["kustomization.yaml"] = &fstest.MapFile{Data: []byte(strings.ReplaceAll(text, "../", ""))}
	}
	for _, leaf := range []string{"a", "b"} {
		tree[fmt.Sprintf("l%d/%s/kustomization.yaml", levels, leaf)] = &fstest.MapFile{Data: []byte("namePrefix: x-\n")}
	}
	return tree
}

func TestWhatIsWithinTheLimitsIsBuilt(t *testing.T) {
	tree := fstest.MapFS{"a.yaml": &fstest.MapFile{Data: []byte(configMaps(20))}}
	got := build(t, tree, render.Options{Limits: render.Limits{Objects: 20, Documents: 21, Files: 1, Aliases: 1}})
	if len(got.Objects) != 20 {
		t.Errorf("got %d objects", len(got.Objects))
	}
}

func TestYAMLValuesAreThoseOfKubectl(t *testing.T) {
	got := build(t, files(`
-- a.yaml --
apiVersion: example.com/v1
kind: Thing
metadata: {name: t}
spec:
  defaults: &d {a: 1, b: 2}
  merged: {<<: *d, b: 3}
  both: {<<: [{a: 1}, {a: 2, c: 3}]}
  quoted: "yes"
  bare: yes
  short: n
  octal: 0644
  float: 1.5
  large: 18446744073709551615
  date: 2026-11-23
  text: '1'
  none: ~
  12: twelve
  tagged: !!str 5
  long: >-
    a
    b
`), render.Options{})
	want := map[string]any{
		"defaults": map[string]any{"a": int64(1), "b": int64(2)},
		"merged":   map[string]any{"a": int64(1), "b": int64(3)},
		"both":     map[string]any{"a": int64(1), "c": int64(3)},
		"quoted":   "yes", "bare": true, "short": false,
		"octal": int64(420), "float": 1.5, "large": 18446744073709551615.0,
		"date": "2026-11-23", "text": "1", "none": nil, "12": "twelve", "tagged": "5", "long": "a b",
	}
	if diff := cmp.Diff(want, got.Objects[0].Object["spec"]); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
}
