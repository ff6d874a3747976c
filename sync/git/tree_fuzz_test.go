package git

import (
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

// FuzzTree reads directories that nobody has made with git: every entry is either one name of one level, or all of the
// directory is an error.
func FuzzTree(f *testing.F) {
	hash := strings.Repeat("h", 20)
	for _, seed := range []string{
		"100644 a.yaml\x00" + hash, "40000 dir\x00" + hash + "100755 run\x00" + hash, "120000 link\x00" + hash, "160000 module\x00" + hash,
		"100644 ../a\x00" + hash, "100644 a\\b\x00" + hash, "100644 .GIT\x00" + hash, "100644 \x00" + hash, "100644 ..\x00" + hash, "0100644 a\x00" + hash,
		"100644 a\xff\x00" + hash, "100644 a\x00short", "100644", " \x00", "100644 ․․\x00" + hash, "40000 .git\x00" + hash, "100644 git~1\x00" + hash,
	} {
		f.Add([]byte(seed), "a.yaml")
	}
	f.Add([]byte("40000 dir\x00"+hash), "dir/../../etc/passwd")
	f.Fuzz(func(t *testing.T, content []byte, name string) {
		s := &Snapshot{limits: Limits{}.orDefaults(), trees: map[plumbing.Hash][]treeEntry{}}
		entries, err := s.parseTree(content)
		if err != nil && entries != nil {
			t.Error("both entries and an error")
		}
		for _, e := range entries {
			switch {
			case !fs.ValidPath(e.name) || e.name == "." || strings.Contains(e.name, "/") || strings.Contains(e.name, "\\"):
				t.Errorf("an entry %q", e.name)
			case path.Join("a", e.name) != "a/"+e.name:
				t.Errorf("an entry %q that leads elsewhere", e.name)
			case strings.EqualFold(e.name, ".git"):
				t.Errorf("an entry %q", e.name)
			}
		}
		s.trees[s.root] = entries
		entry, err := s.lookup("open", name)
		if err == nil && name != "." && entry.name != path.Base(name) {
			t.Errorf("%q leads to %q", name, entry.name)
		}
		if err == nil && !fs.ValidPath(name) {
			t.Errorf("%q was found", name)
		}
	})
}
