package render_test

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/rollcall-dev/rollcall/sync/render"
)

// corpus are the archives of testdata/kustomize by name, each with the directory shared beside it.
func corpus(t testing.TB) map[string]*txtar.Archive {
	t.Helper()
	names, err := filepath.Glob("testdata/kustomize/*.txtar")
	if err != nil || len(names) < 25 {
		t.Fatalf("there are %d archives, %v", len(names), err)
	}
	all := map[string]*txtar.Archive{}
	for _, file := range names {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(file), ".txtar")] = archive
	}
	return all
}

// onDisk writes an archive and what it builds on, and returns the root.
func onDisk(t testing.TB, archives map[string]*txtar.Archive, name string) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"shared", name} {
		for _, f := range archives[dir].Files {
			file := filepath.Join(root, dir, f.Name)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, f.Data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return root
}

// TestBuildsWhatKustomizeBuilds compares each archive, object by object, with what kustomize makes of it on a disk.
func TestBuildsWhatKustomizeBuilds(t *testing.T) {
	archives := corpus(t)
	for _, name := range slices.Sorted(maps.Keys(archives)) {
		t.Run(name, func(t *testing.T) {
			root := onDisk(t, archives, name)
			want := byKustomize(t, filepath.Join(root, name))
			declared := build(t, os.DirFS(root), render.Options{Path: name})
			got := map[string]any{}
			for _, o := range declared.Objects {
				if o.GetLabels()[render.PinnedFromLabel] == "" {
					got[identity(o.Unstructured)] = o.Object
				}
			}
			for _, ds := range declared.DaemonSets {
				got[identity(ds.Unstructured)] = ds.Unstructured.Object
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("objects (-kustomize +rollcall):\n%s", diff)
			}
			if len(want) == 0 {
				t.Error("there is no object")
			}
		})
	}
}

func identity(o *unstructured.Unstructured) string {
	return o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName()
}

func byKustomize(t testing.TB, dir string) map[string]any {
	t.Helper()
	options := krusty.MakeDefaultOptions()
	options.LoadRestrictions = types.LoadRestrictionsNone
	made, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatalf("kustomize: %v", err)
	}
	out := map[string]any{}
	for _, r := range made.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		asJSON, err := yaml.YAMLToJSON(text)
		if err != nil {
			t.Fatal(err)
		}
		o := &unstructured.Unstructured{}
		if err := o.UnmarshalJSON(asJSON); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		out[identity(o)] = o.Object
	}
	return out
}

// refused are the fields of a kustomization that are an error, and where that is tested.
func refused() map[string]string {
	return map[string]string{
		"helmCharts": "TestNothingIsFetched", "helmGlobals": "TestNothingIsFetched", "helmChartInflationGenerator": "TestNothingIsFetched",
	}
}

// TestEveryFieldOfAKustomizationIsKnown goes over the fields that kustomize has, down to the last option: each is in the
// corpus, and so compared with kustomize itself, or it is refused. A field that a new version of kustomize brings fails
// here.
func TestEveryFieldOfAKustomizationIsKnown(t *testing.T) {
	used := map[string]bool{}
	file := regexp.MustCompile(`(^|/)kustomization\.ya?ml$`)
	for name, archive := range corpus(t) {
		for _, f := range archive.Files {
			if !file.MatchString(f.Name) {
				continue
			}
			var k any
			if err := yaml.Unmarshal(f.Data, &k); err != nil {
				t.Fatalf("%s: %s: %v", name, f.Name, err)
			}
			mark(k, "", used)
		}
	}
	var unknown []string
	for _, field := range fieldsOf(reflect.TypeFor[types.Kustomization](), "") {
		top, _, _ := strings.Cut(strings.ReplaceAll(field, "[]", ""), ".")
		if refused()[top] == "" && !used[field] {
			unknown = append(unknown, field)
		}
	}
	if len(unknown) > 0 {
		t.Errorf("no archive of testdata/kustomize has these fields, and they are not refused:\n%s", strings.Join(unknown, "\n"))
	}
}

// mark notes the path of everything that is set; [] stands for an element of a list, and for a key of a free mapping.
func mark(v any, path string, used map[string]bool) {
	used[path] = true
	switch v := v.(type) {
	case map[string]any:
		used[path+"[]"] = true
		for name, field := range v {
			mark(field, strings.TrimPrefix(path+"."+name, "."), used)
		}
	case []any:
		for _, item := range v {
			mark(item, path+"[]", used)
		}
	}
}

// fieldsOf are the paths of all fields that hold a value, as mark writes them.
func fieldsOf(of reflect.Type, path string) []string {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice || of.Kind() == reflect.Map {
		if of.Kind() != reflect.Pointer {
			path += "[]"
		}
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct {
		return []string{path}
	}
	var out []string
	for i := range of.NumField() {
		f := of.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case !f.IsExported() || name == "-":
		case name == "" && (f.Anonymous || strings.Contains(options, "inline")):
			out = append(out, fieldsOf(f.Type, path)...)
		default:
			out = append(out, fieldsOf(f.Type, strings.TrimPrefix(path+"."+name, "."))...)
		}
	}
	return out
}
