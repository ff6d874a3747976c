package git_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/sync/git"
)

// TestACommitIsFollowedByItsName asks servers that give a commit by its name, and such that do not, for commits that a
// branch is at, that one leads to, that only a tag leads to, and that are not there.
func TestACommitIsFollowedByItsName(t *testing.T) {
	const absent = "0123456701234567012345670123456701234567"
	for name, gives := range map[string]string{"a server that gives any commit": "true", "a server that gives only what a ref names": "false"} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.git(s.bare, "config", "uploadpack.allowAnySHA1InWant", gives)
			old := s.push("old", map[string]string{"a": "old", "b/c": "same"})
			tagged := s.push("tagged", map[string]string{"a": "tagged"})
			s.git(s.work, "tag", "-a", "-m", "release", "v1")
			s.git(s.work, "push", "-q", "origin", "v1")
			s.git(s.work, "reset", "-q", "--hard", old)
			tip := s.push("tip", map[string]string{"a": "tip"})
			client := &git.Client{Dir: t.TempDir()}
			for commit, content := range map[string]string{old: "old", tagged: "tagged", tip: "tip"} {
				source := git.Source{URL: s.URL, Commit: commit, InsecureHTTP: true}
				led, err := client.Ask(t.Context(), source)
				if err != nil || led.Commit != commit || led.Ref != "" {
					t.Errorf("%s leads to %+v, %v", content, led, err)
				}
				snapshot, err := client.Fetch(t.Context(), source, "")
				if err != nil {
					t.Errorf("fetch %s: %v", content, err)
					continue
				}
				got, err := snapshot.ReadFile("a")
				if snapshot.Commit.Hash != commit || err != nil || string(got) != content {
					t.Errorf("of commit %s it read %s with %q, %v", content, snapshot.Commit.Hash, got, err)
				}
			}
			_, err := client.Fetch(t.Context(), git.Source{URL: s.URL, Commit: absent, InsecureHTTP: true}, "")
			wantError(t, err, git.RefNotFound, s.URL, absent, "push it, or correct its name")
		})
	}
}

// TestLimitsHoldForAWholeHistory shows that a commit costs no more than a branch does.
func TestLimitsHoldForAWholeHistory(t *testing.T) {
	s := newServer(t)
	s.git(s.bare, "config", "uploadpack.allowAnySHA1InWant", "false")
	old := s.push("old", map[string]string{"a": "old"})
	for i := range 40 {
		s.push("more", map[string]string{"a": strings.Repeat(fmt.Sprint(i), 100)})
	}
	client := &git.Client{Dir: t.TempDir(), Limits: git.Limits{Objects: 100}}
	fetch(t, client, s.source(), "")
	_, err := client.Fetch(t.Context(), git.Source{URL: s.URL, Commit: old, InsecureHTTP: true}, "")
	wantError(t, err, git.LimitExceeded, "Objects is limited to 100", "all of its history was fetched", "uploadpack.allowAnySHA1InWant")
	if left := clones(t, client.Dir); len(left) != 1 {
		t.Errorf("clones are left: %v", left)
	}
}

func TestABranchThatWasRenamed(t *testing.T) {
	s := newServer(t)
	s.push("one", map[string]string{"a": "1"})
	s.git(s.bare, "branch", "-m", "main", "trunk")
	_, err := (&git.Client{}).Ask(t.Context(), s.source())
	wantError(t, err, git.RefNotFound, "refs/heads/main", "it has trunk, and trunk is its default branch", "correct the ref")
}

// TestAHistoryThatIsWrittenAnew reads each commit whole, whatever became of the ones before.
func TestAHistoryThatIsWrittenAnew(t *testing.T) {
	s := newServer(t)
	client := &git.Client{Dir: filepath.Join(t.TempDir(), "cache")}
	first := s.push("one", manyFiles(50))
	second := s.push("two", map[string]string{"d0/f0.yaml": "two"})
	fetch(t, client, s.source(), "")
	s.git(s.work, "commit", "-q", "--amend", "-m", "amended")
	s.git(s.work, "push", "-q", "-f", "origin", "HEAD:main")
	amended := fetch(t, client, s.source(), "")
	if want := []string{first}; amended.Commit.Hash == second || len(amended.Commit.Parents) != 1 || amended.Commit.Parents[0] != want[0] {
		t.Errorf("the amended commit is %+v, want another one than %s with the parent %s", amended.Commit, second, first)
	}
	s.git(s.work, "reset", "-q", "--hard", first)
	s.git(s.work, "push", "-q", "-f", "origin", "HEAD:main")
	back := fetch(t, client, s.source(), "")
	content, err := back.ReadFile("d0/f0.yaml")
	if back.Commit.Hash != first || err != nil || string(content) != "n: 0\n" || len(back.Commit.Parents) != 0 {
		t.Errorf("back at the first commit it reads %+v with %q, %v", back.Commit, content, err)
	}
}
