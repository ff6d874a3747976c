package git_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/sync/git"
)

func TestLimits(t *testing.T) {
	s := newServer(t)
	s.push("one", map[string]string{
		"a/b/c/d/deep.yaml": "x", "big.yaml": strings.Repeat("0", 5000), "small.yaml": "1234567890",
		"random": string(noise(3000)),
	})
	fetched := map[string]git.Limits{
		"RefBytes": {RefBytes: 50}, "WireBytes": {WireBytes: 1000}, "Objects": {Objects: 9},
		"ObjectBytes": {ObjectBytes: 4999}, "InflatedBytes": {InflatedBytes: 8000}, "Entries": {Entries: 3},
	}
	for limit, limits := range fetched {
		t.Run(limit+" stops the fetch", func(t *testing.T) {
			client := &git.Client{Dir: t.TempDir(), Limits: limits}
			_, err := client.Fetch(t.Context(), s.source(), "")
			wantError(t, err, git.LimitExceeded, limit+" is limited to", s.URL, "make it smaller")
			wantExceeded(t, err, limit)
			if left := clones(t, client.Dir); len(left) != 0 {
				t.Errorf("the cache holds %v", left)
			}
		})
	}
	read := map[string]struct {
		limits git.Limits
		read   func(*git.Snapshot) error
	}{
		"FileBytes": {git.Limits{FileBytes: 4999}, func(s *git.Snapshot) error { _, err := s.ReadFile("big.yaml"); return err }},
		"ReadBytes": {git.Limits{ReadBytes: 19}, func(s *git.Snapshot) error {
			_, err := s.ReadFile("small.yaml")
			if err == nil {
				_, err = s.ReadFile("small.yaml")
			}
			return err
		}},
		"Depth": {git.Limits{Depth: 4}, func(s *git.Snapshot) error { _, err := s.Open("a/b/c/d/deep.yaml"); return err }},
		"Entries": {git.Limits{Entries: 6}, func(s *git.Snapshot) error {
			return fs.WalkDir(s, ".", func(_ string, _ fs.DirEntry, err error) error { return err })
		}},
	}
	for limit, c := range read {
		t.Run(limit+" stops the reading", func(t *testing.T) {
			err := c.read(fetch(t, &git.Client{Dir: t.TempDir(), Limits: c.limits}, s.source(), ""))
			wantError(t, err, git.LimitExceeded, limit+" is limited to")
			wantExceeded(t, err, limit)
		})
	}
	t.Run("what is at the limits passes", func(t *testing.T) {
		limits := git.Limits{Objects: 10, ObjectBytes: 5000, Entries: 8, FileBytes: 5000, Depth: 5, ReadBytes: 8011}
		if n := count(t, fetch(t, &git.Client{Dir: t.TempDir(), Limits: limits}, s.source(), "")); n != 4 {
			t.Errorf("%d files", n)
		}
	})
}

func wantExceeded(t *testing.T, err error, limit string) {
	t.Helper()
	var own *git.Error
	if !strings.Contains(err.Error(), "or raise the controller's --max-") {
		t.Errorf("the error names no flag: %v", err)
	}
	if !errors.As(err, &own) || own.Exceeded.Limit != limit || own.Exceeded.Value <= own.Exceeded.Allowed {
		t.Errorf("Exceeded = %+v, want %s", own.Exceeded, limit)
	}
}

func noise(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

func TestABlobBomb(t *testing.T) {
	if testing.Short() {
		t.Skip("it packs 96 MiB")
	}
	s := newServer(t)
	bomb, err := os.Create(filepath.Join(s.work, "bomb"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(bomb.Truncate(96<<20), bomb.Close()); err != nil {
		t.Fatal(err)
	}
	s.push("bomb", map[string]string{"a": "1"})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = (&git.Client{Dir: t.TempDir()}).Fetch(t.Context(), s.source(), "")
	runtime.ReadMemStats(&after)
	wantError(t, err, git.LimitExceeded, "ObjectBytes is limited to 67108864", "100663296")
	if took := after.TotalAlloc - before.TotalAlloc; took > 32<<20 {
		t.Errorf("refusing it allocated %d MiB", took>>20)
	}
}

func TestATreeBomb(t *testing.T) {
	s := newServer(t)
	s.push("one", map[string]string{"f": "x"})
	entry, mode := s.git(s.work, "rev-parse", "HEAD:f"), "100644 blob"
	for range 7 {
		var tree strings.Builder
		for i := range 10 {
			fmt.Fprintf(&tree, "%s %s\td%d\n", mode, entry, i)
		}
		entry, mode = s.mktree(tree.String()), "040000 tree"
	}
	commit := s.git(s.work, "commit-tree", "-m", "bomb", entry)
	s.git(s.work, "push", "-q", "-f", "origin", commit+":main")
	snapshot := fetch(t, &git.Client{Dir: t.TempDir(), Limits: git.Limits{Entries: 50}}, s.source(), "")
	if content, err := snapshot.ReadFile("d0/d1/d2/d3/d4/d5/d6"); err == nil {
		t.Errorf("read %q of a tree with more entries than allowed", content)
	} else {
		wantError(t, err, git.LimitExceeded, "Entries")
	}
}

func (s *server) mktree(text string) string {
	s.t.Helper()
	var raw bytes.Buffer
	for line := range strings.Lines(text) {
		meta, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		fields := strings.Fields(meta)
		fmt.Fprintf(&raw, "%s %s\x00", strings.TrimLeft(fields[0], "0"), name)
		var hash []byte
		if _, err := fmt.Sscanf(fields[2], "%x", &hash); err != nil {
			s.t.Fatal(err)
		}
		raw.Write(hash)
	}
	file := filepath.Join(s.t.TempDir(), "tree")
	if err := os.WriteFile(file, raw.Bytes(), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return s.git(s.work, "hash-object", "-w", "--literally", "-t", "tree", file)
}
