package render_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"

	"github.com/rollcall-dev/rollcall/sync/render"
)

// A reading is one place of a pod template that names a ConfigMap or Secret.
type reading struct {
	way, kind, name string
	optional        bool
}

// ways are all kinds of places, in the order in which references finds them.
func ways() []string {
	return []string{"volume", "projected", "init envFrom", "init env", "envFrom", "env"}
}

// commit is what Git has: one DaemonSet, what it reads, and config beside it.
type commit struct {
	daemonSet map[string]any // but for what it reads
	readings  []reading
	config    []map[string]any
	files     []int // which file each object lies in, the DaemonSet last
}

type m = map[string]any

// TestConfigIsAChangeLikeAnyOther draws commits and changes of them: the digest changes
// with every byte of what the pods read, and with nothing else, and the pinned copies
// hold exactly that.
func TestConfigIsAChangeLikeAnyOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if err := drawChange(t).check(buildCommit); err != nil {
			t.Fatal(err)
		}
	})
}

// TestBrokenPinningIsCaught breaks one rule of pinning at a time, in what goes into
// the build or in what comes out of it.
func TestBrokenPinningIsCaught(t *testing.T) {
	for sentence, broken := range map[string]func(commit) (*render.Declared, error){
		"binary data does not count":            withConfig(func(c m) { delete(c, "binaryData") }),
		"a Secret in plain text does not count": withConfig(func(c m) { delete(c, "stringData") }),
		"the type of a Secret does not count":   withConfig(func(c m) { delete(c, "type") }),
		"what an init container reads is another thing": func(c commit) (*render.Declared, error) {
			c.readings = slices.DeleteFunc(slices.Clone(c.readings), func(r reading) bool { return strings.HasPrefix(r.way, "init") })
			return buildCommit(c)
		},
		"what is optional is not read": func(c commit) (*render.Declared, error) {
			c.readings = slices.DeleteFunc(slices.Clone(c.readings), func(r reading) bool { return r.optional })
			return buildCommit(c)
		},
		"a digest is that of the whole DaemonSet": withResult(func(d *render.Declared) {
			d.DaemonSets[0].Digest = fmt.Sprint(d.DaemonSets[0].Pinned.Object)
		}),
		"a digest knows where its objects lay": withResult(func(d *render.Declared) {
			for _, o := range d.Objects {
				d.DaemonSets[0].Digest += o.Source
			}
		}),
		"copies may be changed":      withCopies(func(o *unstructured.Unstructured) { delete(o.Object, "immutable") }),
		"copies have no binary data": withCopies(func(o *unstructured.Unstructured) { delete(o.Object, "binaryData") }),
	} {
		t.Run(sentence, func(t *testing.T) {
			changes := rapid.Custom(drawChange)
			for seed := range 3000 {
				x := changes.Example(seed)
				if x.check(broken) == nil {
					continue
				}
				if err := x.check(buildCommit); err != nil {
					t.Errorf("what caught it breaks the right rules too: %v", err)
				}
				return
			}
			t.Error("3000 changes did not catch it")
		})
	}
}

// change is two commits that differ in one thing.
type change struct {
	what          string
	before, after commit
	// counts is whether the pods would notice.
	counts bool
}

func (x change) check(build func(commit) (*render.Declared, error)) error {
	before, err := build(x.before)
	if err != nil {
		return err
	}
	after, err := build(x.after)
	if err != nil {
		return err
	}
	a, b := before.DaemonSets[0], after.DaemonSets[0]
	if changed := a.Digest != b.Digest; changed != x.counts {
		return fmt.Errorf("P6: %s: the digest changed is %t", x.what, changed)
	}
	if !x.counts && !slices.Equal(a.Pins, b.Pins) {
		return fmt.Errorf("P6: %s: the copies are %v and then %v", x.what, a.Pins, b.Pins)
	}
	return errors.Join(x.before.pinned(before), x.after.pinned(after))
}

// pinned wants the template to read copies of what can change, each of exactly the
// content that Git has, and all else by the names that Git has.
func (c commit) pinned(d *render.Declared) error {
	var names []string
	references(d.DaemonSets[0].Pinned.Object, func(name string) { names = append(names, name) })
	want := c.inOrder()
	if len(names) != len(want) {
		return fmt.Errorf("P6: the pinned template reads %d names, the declared one %d", len(names), len(want))
	}
	for i, r := range want {
		original := c.find(r)
		if original == nil || !pinnedFor(c, original) {
			if names[i] != r.name {
				return fmt.Errorf("P6: %s reads %s instead of %s", r.way, names[i], r.name)
			}
			continue
		}
		found := slices.IndexFunc(d.Objects, func(o render.Object) bool { return o.GetKind() == r.kind && o.GetName() == names[i] })
		if names[i] == r.name || found < 0 {
			return fmt.Errorf("P6: %s reads %s, which is no copy of %s", r.way, names[i], r.name)
		}
		copied := d.Objects[found].Object
		if copied["immutable"] != true {
			return fmt.Errorf("P6: the copy %s may be changed", names[i])
		}
		for _, field := range []string{"data", "binaryData", "stringData", "type"} {
			if !reflect.DeepEqual(copied[field], original[field]) {
				return fmt.Errorf("P6: the copy %s has %s %v instead of %v", names[i], field, copied[field], original[field])
			}
		}
	}
	return nil
}

// pinnedFor is whether an object of the commit has a copy for the DaemonSet.
func pinnedFor(c commit, object m) bool {
	return object["immutable"] != true && !optsOut(object) && !optsOut(c.daemonSet)
}

func optsOut(object m) bool {
	annotations, _ := object["metadata"].(m)["annotations"].(m)
	return annotations[render.PinConfigAnnotation] == "false"
}

func (c commit) find(r reading) m {
	for _, o := range c.config {
		if o["kind"] == r.kind && o["metadata"].(m)["name"] == r.name {
			return o
		}
	}
	return nil
}

// inOrder are the readings in the order in which references finds them.
func (c commit) inOrder() []reading {
	var out []reading
	for _, way := range ways() {
		for _, r := range c.readings {
			if r.way == way {
				out = append(out, r)
			}
		}
	}
	return out
}

// references calls see for the name in every reference that spec made.
func references(daemonSet m, see func(name string)) {
	pod := daemonSet["spec"].(m)["template"].(m)["spec"].(m)
	in := func(list any, path ...string) {
		items, _ := list.([]any)
		for _, item := range items {
			at, _ := item.(m)
			for _, field := range path[:len(path)-1] {
				at, _ = at[field].(m)
			}
			if name, is := at[path[len(path)-1]].(string); is {
				see(name)
			}
		}
	}
	kinds := func(list any, paths ...[]string) {
		items, _ := list.([]any)
		for i := range items {
			for _, path := range paths {
				in(items[i:i+1], path...)
			}
		}
	}
	kinds(pod["volumes"], []string{"configMap", "name"}, []string{"secret", "secretName"})
	for _, v := range pod["volumes"].([]any) {
		if p, is := v.(m)["projected"].(m); is {
			kinds(p["sources"], []string{"configMap", "name"}, []string{"secret", "name"})
		}
	}
	for _, containers := range []string{"initContainers", "containers"} {
		c := pod[containers].([]any)[0].(m)
		kinds(c["envFrom"], []string{"configMapRef", "name"}, []string{"secretRef", "name"})
		kinds(c["env"], []string{"valueFrom", "configMapKeyRef", "name"}, []string{"valueFrom", "secretKeyRef", "name"})
	}
}

// full is the DaemonSet with its readings.
func (c commit) full() m {
	var out m
	text, _ := json.Marshal(c.daemonSet)
	_ = json.Unmarshal(text, &out)
	pod := out["spec"].(m)["template"].(m)["spec"].(m)
	volumes, sources := []any{}, []any{}
	env := map[string][]any{}
	for i, r := range c.readings {
		ref := m{"name": r.name}
		if r.optional {
			ref["optional"] = true
		}
		lower := strings.ToLower(r.kind[:1]) + r.kind[1:] // configMap, secret
		switch way := strings.TrimPrefix(r.way, "init "); way {
		case "volume":
			if r.kind == "Secret" {
				delete(ref, "name")
				ref["secretName"] = r.name
			}
			volumes = append(volumes, m{"name": fmt.Sprint("v", i), lower: ref})
		case "projected":
			sources = append(sources, m{lower: ref})
		case "envFrom":
			env[r.way] = append(env[r.way], m{lower + "Ref": ref})
		default:
			ref["key"] = "k"
			env[r.way] = append(env[r.way], m{"name": fmt.Sprint("E", i), "valueFrom": m{lower + "KeyRef": ref}})
		}
	}
	pod["volumes"] = append(volumes, m{"name": "all", "projected": m{"sources": sources}})
	container := func(name, prefix string) []any {
		c := m{"name": name, "image": "registry.example.com/" + name + ":1"}
		for _, field := range []string{"envFrom", "env"} {
			if list := env[prefix+field]; list != nil {
				c[field] = list
			}
		}
		return []any{c}
	}
	pod["initContainers"], pod["containers"] = container("init", "init "), container("agent", "")
	return out
}

func buildCommit(c commit) (*render.Declared, error) {
	tree := fstest.MapFS{}
	for i, object := range append(slices.Clone(c.config), c.full()) {
		name := fmt.Sprintf("f%d.yaml", c.files[i])
		if tree[name] == nil {
			tree[name] = &fstest.MapFile{}
		}
		text, err := json.Marshal(object)
		if err != nil {
			return nil, err
		}
		tree[name].Data = append(tree[name].Data, "---\n"+escaped(string(text))+"\n"...)
	}
	return render.Build(tree, render.Options{Namespace: "n1"})
}

// escaped is JSON that is YAML too, which takes no control character as it is.
func escaped(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r < 0x7f || r > 0xffff {
			b.WriteRune(r)
			continue
		}
		fmt.Fprintf(&b, "\\u%04x", r)
	}
	return b.String()
}

func withConfig(edit func(m)) func(commit) (*render.Declared, error) {
	return func(c commit) (*render.Declared, error) {
		c.config = slices.Clone(c.config)
		for i := range c.config {
			c.config[i] = maps.Clone(c.config[i])
			edit(c.config[i])
		}
		return buildCommit(c)
	}
}

func withResult(edit func(*render.Declared)) func(commit) (*render.Declared, error) {
	return func(c commit) (*render.Declared, error) {
		d, err := buildCommit(c)
		if err == nil {
			edit(d)
		}
		return d, err
	}
}

func withCopies(edit func(*unstructured.Unstructured)) func(commit) (*render.Declared, error) {
	return withResult(func(d *render.Declared) {
		for _, o := range d.Objects {
			if o.GetLabels()[render.PinnedFromLabel] != "" {
				edit(o.Unstructured)
			}
		}
	})
}
