package git_test

import (
	"errors"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/sync/git"
)

func TestFind(t *testing.T) {
	s := newServer(t)
	first := s.push("first", map[string]string{"a.yaml": "a: 1\n"})
	s.git(s.work, "tag", "v1")
	s.git(s.work, "push", "-q", "origin", "v1")
	second := s.push("second", map[string]string{"a.yaml": "a: 2\n"})
	s.git(s.bare, "config", "uploadpack.allowReachableSHA1InWant", "true")
	client := &git.Client{Dir: t.TempDir()}
	for name, want := range map[string]string{"": second, "main": second, "refs/heads/main": second, "v1": first, "tags/v1": first, first: first} {
		source, err := client.Find(t.Context(), git.Source{URL: s.URL, InsecureHTTP: true}, name)
		if err != nil {
			t.Fatalf("find %q: %v", name, err)
		}
		snapshot, err := client.Fetch(t.Context(), source, "")
		if err != nil || snapshot.Commit.Hash != want {
			t.Errorf("%q is %v (%v), want %s", name, snapshot, err, want)
		}
	}
	_, err := client.Find(t.Context(), git.Source{URL: s.URL, InsecureHTTP: true}, "nonexistent")
	if !errors.Is(err, git.RefNotFound) || !strings.Contains(err.Error(), "main") {
		t.Errorf("of a name that there is not: %v", err)
	}
	if _, err := client.Fetch(t.Context(), git.Source{URL: s.URL, InsecureHTTP: true, Commit: "beef"}, ""); !errors.Is(err, git.InvalidSource) {
		t.Errorf("of a part of a commit's name: %v", err)
	}
}

// A commit of somebody's own clone is read as strictly as one of ours, and nothing of the clone goes when it is broken.
func TestLocal(t *testing.T) {
	s := newServer(t)
	first := s.push("first", map[string]string{"a.yaml": "a: 1\n"})
	s.push("second", map[string]string{"a.yaml": "a: 2\n"})
	dir := filepath.Join(s.work, ".git")
	snapshot, err := git.Local(dir, first)
	if err != nil {
		t.Fatal(err)
	}
	if content, err := fs.ReadFile(snapshot, "a.yaml"); err != nil || string(content) != "a: 1\n" {
		t.Errorf("the file is %q, %v", content, err)
	}
	if _, err := git.Local(dir, strings.Repeat("0", 39)+"1"); !errors.Is(err, git.CorruptRepository) {
		t.Errorf("of a commit that it does not have: %v", err)
	}
	if out, err := exec.Command("git", "-C", s.work, "fsck").CombinedOutput(); err != nil {
		t.Errorf("the clone is damaged: %v %s", err, out)
	}
}
