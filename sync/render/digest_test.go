package render_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/rollcall-dev/rollcall/sync/render"
)

const configured = `apiVersion: v1
kind: ConfigMap
metadata: {name: agent}
data: {a: "1", b: "2", c: "3"}
binaryData: {d: AA==}
`

const secret = `apiVersion: v1
kind: Secret
metadata: {name: agent}
data: {k: dg==}
`

func digest(t interface{ Fatalf(string, ...any) }, tree fs.FS) string {
	declared, err := render.Build(tree, render.Options{Namespace: "n1"})
	if err != nil {
		t.Fatalf("Build: %v", err)
	}
	return declared.DaemonSets[0].Digest
}

func TestWhatChangesADigest(t *testing.T) {
	withSecret := strings.Replace(agent, "- configMapRef: {name: agent-env}", "- secretRef: {name: agent}", 1)
	base := "-- ds.yaml --" + withSecret + "-- c.yaml --\n" + configured + "-- s.yaml --\n" + secret
	for sentence, c := range map[string]struct {
		old, new string
		changes  bool
	}{
		"the image":                            {"agent:1.0", "agent:1.1", true},
		"a label of the template":              {"labels: {app: agent}", "labels: {app: agent, v: '2'}", true},
		"a value of a ConfigMap that it reads": {`a: "1"`, `a: "2"`, true},
		"a key of it":                          {`a: "1"`, `aa: "1"`, true},
		"its binary data":                      {"AA==", "AQ==", true},
		"a value of a Secret that it reads":    {"dg==", "dw==", true},
		"the type of a Secret":                 {"data: {k", "type: example.com/x\ndata: {k", true},
		"a comment":                            {"spec:\n  selector", "# why\nspec:\n  selector", false},
		"white space":                          {"{app: agent}", "\n      app:   agent\n", false},
		"quotes":                               {`image: registry.example.com/agent:1.0`, `image: "registry.example.com/agent:1.0"`, false},
		"a label of the DaemonSet":             {"kind: DaemonSet\nmetadata:", "kind: DaemonSet\nmetadata:\n  labels: {a: b}", false},
		"minReadySeconds":                      {"spec:\n  selector", "spec:\n  minReadySeconds: 5\n  selector", false},
		"a null in the template":               {"template:\n    metadata:", "template:\n    metadata:\n      creationTimestamp: null", false},
		"a label of a ConfigMap":               {"kind: ConfigMap\nmetadata: {", "kind: ConfigMap\nmetadata: {labels: {a: b}, ", false},
		"an annotation of a Secret":            {"kind: Secret\nmetadata: {", "kind: Secret\nmetadata: {annotations: {a: b}, ", false},
		"the order of data":                    {`a: "1", b: "2"`, `b: "2", a: "1"`, false},
		"a Secret in plain text":               {"data: {k: dg==}", "stringData: {k: v}", false},
		"another object":                       {"-- c.yaml --", "-- d.yaml --\n" + configMaps(1) + "-- c.yaml --", false},
	} {
		t.Run(sentence, func(t *testing.T) {
			changed := strings.Replace(base, c.old, c.new, 1)
			if !strings.Contains(base, c.old) {
				t.Fatal("the case changes nothing")
			}
			if got := digest(t, files(base)) != digest(t, files(changed)); got != c.changes {
				t.Errorf("digest changed: %v, want %v", got, c.changes)
			}
		})
	}
}

// TestDigestsAreThoseOfEveryRelease pins one value: another one would restart every agent of every cluster
// when rollcall is upgraded.
func TestDigestsAreThoseOfEveryRelease(t *testing.T) {
	got := digest(t, files("-- ds.yaml --"+agent+"-- c.yaml --\n"+configured))
	want := "sha256:4b21b60c76df4c7f1e84969d0301e9e96dc7f768632cbf61eaa074f6d25acc5d"
	if got != want {
		t.Errorf("digest is %s, want %s", got, want)
	}
}

// TestDigestProperty writes the same objects in random ways: the order of keys, the style of the text, the
// number and names of the files, comments, plain or through kustomize. The result must be the same.
func TestDigestProperty(t *testing.T) {
	objects := []string{agent, configured, secret, configMaps(1)}
	reference, err := render.Build(files("-- all.yaml --\n"+strings.Join(objects, "\n---\n")), render.Options{Namespace: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		tree, resources := fstest.MapFS{}, []string{}
		for _, i := range random.Perm(len(objects)) {
			name := fmt.Sprintf("f%d.yaml", random.IntN(3))
			var value any
			if err := yaml.Unmarshal([]byte(objects[i]), &value); err != nil {
				t.Fatal(err)
			}
			if tree[name] == nil {
				tree[name] = &fstest.MapFile{}
				resources = append(resources, name)
			}
			tree[name].Data = append(tree[name].Data, "---\n# "+name+"\n"+shuffled(random, value, 0)+"\n"...)
		}
		if rapid.Bool().Draw(t, "kustomize") {
			tree["kustomization.yaml"] = &fstest.MapFile{Data: []byte("resources: [" + strings.Join(resources, ", ") + "]\n")}
		}
		got, err := render.Build(tree, render.Options{Namespace: "n1"})
		if err != nil {
			t.Fatalf("Build: %v", err)
		}
		if diff := cmp.Diff(withoutSources(reference), withoutSources(got)); diff != "" {
			t.Errorf("declared (-want +got):\n%s", diff)
		}
	})
}

func withoutSources(d *render.Declared) *render.Declared {
	plain := &render.Declared{}
	for _, o := range d.Objects {
		o.Source = ""
		plain.Objects = append(plain.Objects, o)
	}
	for _, ds := range d.DaemonSets {
		ds.Source = ""
		plain.DaemonSets = append(plain.DaemonSets, ds)
	}
	return plain
}

// shuffled writes a value as YAML with the keys of its mappings in random order, in flow or in block style.
func shuffled(random *rand.Rand, value any, depth int) string {
	pad := strings.Repeat("  ", depth)
	switch v := value.(type) {
	case map[string]any:
		if len(v) == 0 || depth > 0 && random.IntN(3) == 0 {
			text, _ := json.Marshal(v)
			return string(text)
		}
		keys := slices.Sorted(maps.Keys(v))
		random.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		var b strings.Builder
		for _, k := range keys {
			fmt.Fprintf(&b, "\n%s%q: %s", pad, k, shuffled(random, v[k], depth+1))
		}
		return b.String()
	default:
		text, _ := json.Marshal(v)
		return string(text)
	}
}
