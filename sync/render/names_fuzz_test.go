package render_test

import (
	"encoding/json"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/rollcall-dev/rollcall/sync/render"
)

// watched is a tree that fails the test when a name is asked of it that could lead out of it.
type watched struct {
	t *testing.T
	fstest.MapFS
}

func (w watched) check(name string) {
	if !fs.ValidPath(name) {
		w.t.Errorf("the tree is asked for %q", name)
	}
}

func (w watched) Open(name string) (fs.File, error) {
	w.check(name)
	return w.MapFS.Open(name)
}

func (w watched) Stat(name string) (fs.FileInfo, error) {
	w.check(name)
	return w.MapFS.Stat(name)
}

func (w watched) ReadDir(name string) ([]fs.DirEntry, error) {
	w.check(name)
	return w.MapFS.ReadDir(name)
}

func (w watched) ReadFile(name string) ([]byte, error) {
	w.check(name)
	return w.MapFS.ReadFile(name)
}

// FuzzNames gives a build a path, a pattern, and a name in a field of a kustomization, each by whoever writes them: the
// tree is only ever asked for names inside it, and what is left out is never read.
func FuzzNames(f *testing.F) {
	for _, seed := range []struct{ path, pattern, field, name string }{
		{"prod", "*.md", "resources", "a.yaml"}, {"./prod/../prod", "!prod/", "bases", "../base"}, {"../x", "**/a", "components", "../../x"},
		{"/etc", "[a-z]*", "resources", "https://example.com/x?ref=v1"}, {"prod//", "/prod/a.yaml", "patchesStrategicMerge", "a\\..\\b"},
		{"prod\x00", "a/**/b", "configurations", "github.com/a/b"}, {"", "#x", "crds", "git@host:a/b"}, {"..", "..", "resources", "a.yaml\n"},
		{"prod/․․/x", "**", "resources", "．．/base"}, {"C:\\", "***", "generators", "file:///etc/passwd"}, {"prod", "a/", "resources", ""},
	} {
		f.Add(seed.path, seed.pattern, seed.field, seed.name)
	}
	f.Fuzz(func(t *testing.T, path, pattern, field, name string) {
		kustomization, err := json.Marshal(map[string][]string{field: {name}})
		if err != nil {
			t.Skip(err)
		}
		tree := watched{t, fstest.MapFS{
			"prod/kustomization.yaml": {Data: kustomization}, "prod/a.yaml": configMap("a"), "prod/sub/b.yaml": configMap("b"),
			"base/kustomization.yaml": {Data: []byte("resources: [c.yaml]\n")}, "base/c.yaml": configMap("c"), "odd\\name": configMap("d"),
		}}
		for _, o := range []render.Options{{Path: path}, {Path: "prod"}, {Path: path, Ignore: []string{pattern}}, {Path: "prod/sub", Include: []string{pattern}}} {
			declared, err := render.Build(tree, o)
			if (declared == nil) == (err == nil) {
				t.Fatalf("got %v, %v", declared, err)
			}
			if err != nil && len(render.List(err)) == 0 {
				t.Errorf("an error of another package: %v", err)
			}
		}
	})
}
