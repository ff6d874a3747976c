package render_test

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-dev/rollcall/sync/render"
)

// configMap is a manifest of one ConfigMap.
func configMap(name string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\n")}
}

func holding(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }

// TestWhichFilesAreRead reads plain directories with patterns.
func TestWhichFilesAreRead(t *testing.T) {
	tree := fstest.MapFS{
		"prod/a.yaml": configMap("a"), "prod/b.yaml": configMap("b"), "prod/sub/c.yaml": configMap("c"), "prod/sub/values.yaml": holding("replicas: 3\n"),
		"prod/values.yaml": holding("replicas: 3\n"), "prod/link.yaml": {Mode: 0o777 | 1<<27, Data: []byte("a.yaml")},
	}
	for sentence, c := range map[string]struct {
		include, ignore []string
		want            string
	}{
		"a name anywhere":                 {nil, []string{"values.yaml", "link.yaml"}, "a b c"},
		"a directory":                     {nil, []string{"sub/", "values.yaml", "link.yaml"}, "a b"},
		"a path from the root":            {nil, []string{"/prod/sub", "/prod/values.yaml", "/prod/link.yaml"}, "a b"},
		"all but one":                     {nil, []string{"*.yaml", "!b.yaml"}, "b"},
		"any depth":                       {nil, []string{"**/values.yaml", "link.yaml"}, "a b c"},
		"only some":                       {[]string{"/prod/sub/"}, []string{"values.yaml"}, "c"},
		"only some, by name":              {[]string{"a.yaml", "c.yaml"}, nil, "a c"},
		"ignore beats include":            {[]string{"a.yaml", "b.yaml"}, []string{"/prod/a.yaml"}, "b"},
		"only some, and of those not one": {[]string{"/prod/*.yaml", "!/prod/values.yaml", "!link.yaml"}, nil, "a b"},
	} {
		t.Run(sentence, func(t *testing.T) {
			got := ""
			for _, o := range build(t, tree, render.Options{Path: "prod", Include: c.include, Ignore: c.ignore}).Objects {
				got += " " + o.GetName()
			}
			if diff := cmp.Diff(" "+c.want, got); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
		})
	}
}

// TestWhatIsNamedAndLeftOut wants an error that names the pattern's field wherever a build needs a file, never a build
// without it.
func TestWhatIsNamedAndLeftOut(t *testing.T) {
	overlay := func(fields string) fstest.MapFS {
		return fstest.MapFS{
			"prod/kustomization.yaml": holding(fields), "prod/a.yaml": configMap("a"), "prod/out.yaml": configMap("a"),
			"base/kustomization.yaml": holding("resources: [out.yaml]\n"), "base/out.yaml": configMap("b"), "out/kustomization.yaml": holding("resources: [c.yaml]\n"), "out/c.yaml": configMap("c"),
		}
	}
	const says = "spec.source.ignore leaves this out, and the path needs it"
	for sentence, fields := range map[string]string{
		"a resource":             "resources: [a.yaml, out.yaml]\n",
		"a resource of a base":   "resources: [../base]\n",
		"a base":                 "resources: [a.yaml, ../out]\n",
		"a component":            "resources: [a.yaml]\ncomponents: [../out]\n",
		"a patch":                "resources: [a.yaml]\npatches: [{path: out.yaml}]\n",
		"an old kind of patch":   "resources: [a.yaml]\npatchesStrategicMerge: [out.yaml]\n",
		"a file of a generator":  "configMapGenerator: [{name: g, files: [out.yaml]}]\n",
		"another name for it":    "configMapGenerator: [{name: g, files: [key=out.yaml]}]\n",
		"variables of one":       "secretGenerator: [{name: g, envs: [out.yaml]}]\n",
		"a replacement":          "resources: [a.yaml]\nreplacements: [{path: out.yaml}]\n",
		"a transformer":          "resources: [a.yaml]\ntransformers: [out.yaml]\n",
		"a configuration":        "resources: [a.yaml]\nconfigurations: [out.yaml]\n",
		"a schema":               "resources: [a.yaml]\nopenapi: {path: out.yaml}\n",
		"a CustomResourceSchema": "resources: [a.yaml]\ncrds: [out.yaml]\n",
	} {
		t.Run(sentence, func(t *testing.T) {
			wantError(t, overlay(fields), render.Options{Path: "prod", Ignore: []string{"out.yaml", "/out/"}}, render.BuildFailed, says, "out")
		})
	}
	tree := overlay("resources: [a.yaml, out.yaml]\n")
	wantError(t, tree, render.Options{Path: "prod", Include: []string{"kustomization.yaml", "a.yaml"}}, render.BuildFailed, "prod/out.yaml: spec.source.include leaves this out", "add it there")
	wantError(t, tree, render.Options{Path: "prod", Ignore: []string{"prod"}}, render.BuildFailed, "prod: "+says)
	wantError(t, overlay("resources: [../base]\n"), render.Options{Path: "prod", Ignore: []string{"/base/kustomization.yaml"}}, render.BuildFailed, "exactly one kustomization.yaml", "has 0")
	// Without its kustomization it is a plain directory.
	if got := build(t, overlay(""), render.Options{Path: "prod", Ignore: []string{"kustomization.yaml", "out.yaml"}}); len(got.Objects) != 1 {
		t.Errorf("it declares %d objects, want 1", len(got.Objects))
	}
}

func TestPatternsThatAreRefused(t *testing.T) {
	tree := fstest.MapFS{"a.yaml": configMap("a"), "sub/b.yaml": configMap("b")}
	for sentence, c := range map[string]struct {
		o    render.Options
		says string
	}{
		"nothing is left":          {render.Options{Ignore: []string{"*"}}, "leave nothing of it: a.yaml and 1 more are left out"},
		"nothing is among those":   {render.Options{Include: []string{"prod/"}}, "leave nothing of it"},
		"an open bracket":          {render.Options{Ignore: []string{"a", "[b"}}, `spec.source.ignore[1]: "[b" matches nothing`},
		"an open bracket, include": {render.Options{Include: []string{"[b"}}, "spec.source.include[0]"},
		"a comment":                {render.Options{Ignore: []string{"# a"}}, "no pattern"},
		"a blank":                  {render.Options{Ignore: []string{" a"}}, "no pattern"},
		"nothing but a slash":      {render.Options{Ignore: []string{"/"}}, "no pattern"},
		"upward":                   {render.Options{Ignore: []string{"../a"}}, "without .."},
	} {
		t.Run(sentence, func(t *testing.T) {
			wantError(t, tree, c.o, render.BuildFailed, c.says)
		})
	}
}
