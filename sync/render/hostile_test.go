package render_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rollcall-dev/rollcall/sync/render"
)

// mostMemory is what refusing or reading one hostile file may allocate, all in all: garbage counts, so that what is in
// use at once is less.
const mostMemory = 256 << 20

// hostileTexts are files that were made to hurt, by what they are.
func hostileTexts() map[string]string {
	head := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
	keys := func(n int) string {
		var b strings.Builder
		b.WriteString(head + "data:\n")
		for i := range n {
			fmt.Fprintf(&b, " k%d: v\n", i)
		}
		return b.String()
	}
	merge := func(levels int) string {
		b := &strings.Builder{}
		b.WriteString(head + "l0: &l0 {a: b}\n")
		for i := 1; i <= levels; i++ {
			fmt.Fprintf(b, "l%d: &l%d {<<: [%s*l%d], k%d: {<<: *l%d}}\n", i, i, strings.Repeat(fmt.Sprintf("*l%d, ", i-1), 9), i-1, i, i-1)
		}
		return b.String()
	}
	return map[string]string{
		"an alias bomb of 9 levels":               bomb(9),
		"an alias bomb of 400 levels":             bomb(400),
		"a bomb of merge keys":                    merge(30),
		"100,000 nested lists":                    head + "data: " + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000),
		"100,000 nested mappings":                 head + "data: " + strings.Repeat("{a: ", 100_000) + strings.Repeat("}", 100_000),
		"100,000 lists, one to a line":            head + "data:\n" + strings.Repeat("- ", 100_000),
		"100,000 nested lists that never end":     strings.Repeat("[", 100_000),
		"1,000,000 keys":                          keys(1_000_000),
		"150,000 keys":                            keys(150_000),
		"300,000 empty keys in one line":          head + "data: {" + strings.Repeat("?,", 300_000) + "}",
		"a text of 20 MB":                         head + "data: {k: " + strings.Repeat("x", 20<<20) + "}\n",
		"a key of 3 MB":                           head + "data: {" + strings.Repeat("x", 3<<20) + ": }\n",
		"a comment of 3 MB":                       "#" + strings.Repeat("x", 3<<20) + "\n" + head + "kind: Secret\n",
		"1,000,000 documents":                     strings.Repeat("---\n", 1_000_000),
		"100,000 anchors":                         head + "data:\n" + strings.Repeat(" - &a x\n", 100_000) + " - *b\n",
		"a NUL in a text":                         head + "data: {k: \"a\x00b\"}\n",
		"a NUL between two documents":             head + "---\x00\n" + head,
		"bytes that are no UTF-8":                 head + "data: {k: \xff\xfe}\n",
		"UTF-16":                                  "\xff\xfea\x00:\x00 \x00[\x00",
		"a tag of Go":                             head + "data: !!python/object/apply:os.system [id]\n",
		"a binary key":                            head + "data: {!!binary aGk=: x}\n",
		"a key that is a mapping":                 head + "data: {? {a: b} : c}\n",
		"a key that is said twice by two numbers": head + "data: {1: a, 0x1: b}\n",
		"a list in lists in lists":                strings.Repeat("{apiVersion: v1, kind: List, items: [", 90) + strings.Repeat("]}", 90) + strings.Repeat("]", 9),
	}
}

// TestHostileYAMLIsRefusedCheaply gives each text as a manifest, as a resource, as a patch and as a kustomization.
func TestHostileYAMLIsRefusedCheaply(t *testing.T) {
	for sentence, text := range hostileTexts() {
		for way, tree := range map[string]fstest.MapFS{
			"manifest":      {"a.yaml": {Data: []byte(text)}},
			"resource":      {"kustomization.yaml": {Data: []byte("resources: [a.yaml]\n")}, "a.yaml": {Data: []byte(text)}},
			"patch":         {"kustomization.yaml": {Data: []byte("patches: [{path: a.yaml}]\n")}, "a.yaml": {Data: []byte(text)}},
			"kustomization": {"kustomization.yaml": {Data: []byte(text)}},
		} {
			t.Run(sentence+", as a "+way, func(t *testing.T) {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				declared, err := render.Build(tree, render.Options{})
				runtime.ReadMemStats(&after)
				if err == nil {
					t.Fatalf("it was built: %v", declared)
				}
				for _, e := range render.List(err) {
					if len(e.Error()) > 4096 {
						t.Errorf("an error has %d bytes", len(e.Error()))
					}
				}
				if render.List(err) == nil {
					t.Errorf("an error without a reason: %v", err)
				}
				used := after.TotalAlloc - before.TotalAlloc
				t.Logf("%d MiB allocated: %.150s", used>>20, err)
				if used > mostMemory {
					t.Errorf("refusing it allocated %d MiB", used>>20)
				}
			})
		}
	}
}
