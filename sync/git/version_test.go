package git_test

import (
	"fmt"
	"testing"

	"github.com/rollcall-dev/rollcall/sync/git"
)

// ask asks where a range of versions leads.
func (s *server) ask(t *testing.T, within string) (git.Tip, error) {
	t.Helper()
	return (&git.Client{}).Ask(t.Context(), git.Source{URL: s.URL, Semver: within, InsecureHTTP: true})
}

func TestARangeOfVersionsLeadsToItsHighestTag(t *testing.T) {
	s := newServer(t)
	commits := map[string]string{}
	for i, tag := range []string{"v1.2.3", "1.10.0", "v1.9.9", "v2.0.0-rc.1", "v0.9.0", "v3.0.0", "v1", "v1.11", "1.12.0.0", "vv1.13.0", "release-1.14.0",
		"agents/v1.3.0", "agents/1.4.0", "agents/log/v9.0.0", "v01.99.0", "v4.0.0-alpha"} {
		commits[tag] = s.push(tag, map[string]string{"a": fmt.Sprint(i)})
		s.git(s.work, "tag", tag)
	}
	commits["v1.10.1"] = s.push("annotated", map[string]string{"a": "annotated"})
	s.git(s.work, "tag", "-a", "-m", "release", "v1.10.1")
	s.push("later", map[string]string{"a": "later"})
	s.git(s.work, "push", "-q", "origin", "--tags")
	for within, want := range map[string]string{
		"1.x":                   "v1.10.1",
		"^1.2":                  "v1.10.1",
		"~1.9.0":                "v1.9.9",
		"1.2.3":                 "v1.2.3",
		">=1.2.0 <1.10.1":       "1.10.0",
		">= 0.1, < 1":           "v0.9.0",
		"0.x || 1.2.x":          "v1.2.3",
		"*":                     "v3.0.0",
		"2.x":                   "",
		">=2.0.0-0 <3.0.0":      "v2.0.0-rc.1",
		">=3.0.0-0":             "v4.0.0-alpha",
		"agents/1.x":            "agents/1.4.0",
		"agents/~1.3":           "agents/v1.3.0",
		"agents/log/*":          "agents/log/v9.0.0",
		"5.x":                   "",
		"nothing/1.x":           "",
		"v1.2.3":                "v1.2.3",
		"agents/>=1.2.0 <1.4.0": "agents/v1.3.0",
	} {
		t.Run(within, func(t *testing.T) {
			tip, err := s.ask(t, within)
			if want == "" {
				wantError(t, err, git.RefNotFound, `semver "`+within+`"`, "correct the range")
				return
			}
			if err != nil || tip.Ref != "refs/tags/"+want || tip.Commit != commits[want] || tip.Note != "" {
				t.Errorf("%s leads to %+v, %v; want tag %s of %s", within, tip, err, want, commits[want])
			}
		})
	}
	_, err := s.ask(t, "5.x")
	wantError(t, err, git.RefNotFound, "none of the 8 tags with a version", "the highest is v4.0.0-alpha")
	_, err = s.ask(t, "nothing/1.x")
	wantError(t, err, git.RefNotFound, "no tag whose name is a version, such as nothing/v1.2.3")
}

func TestAnAnnotatedVersionIsFetchedByItsCommit(t *testing.T) {
	s := newServer(t)
	commit := s.push("one", map[string]string{"a": "1"})
	s.git(s.work, "tag", "-a", "-m", "release", "v1.0.0")
	s.git(s.work, "push", "-q", "origin", "--tags")
	s.push("two", map[string]string{"a": "2"})
	source := git.Source{URL: s.URL, Semver: "1.x", InsecureHTTP: true}
	tip, err := (&git.Client{}).Ask(t.Context(), source)
	if err != nil || tip.Commit != commit || tip.Object != s.git(s.work, "rev-parse", "v1.0.0") || tip.Object == commit {
		t.Errorf("it leads to %+v, %v", tip, err)
	}
	snapshot := fetch(t, &git.Client{Dir: t.TempDir()}, source, "")
	if content, err := snapshot.ReadFile("a"); snapshot.Commit.Hash != commit || err != nil || string(content) != "1" {
		t.Errorf("got %s with %q, %v", snapshot.Commit.Hash, content, err)
	}
}

func TestTwoNamesOfOneVersion(t *testing.T) {
	s := newServer(t)
	first := s.push("one", map[string]string{"a": "1"})
	s.git(s.work, "tag", "1.2.3")
	s.git(s.work, "tag", "v1.2.3")
	s.git(s.work, "push", "-q", "origin", "--tags")
	tip, err := s.ask(t, "1.x")
	if err != nil || tip.Ref != "refs/tags/v1.2.3" || tip.Note != "" {
		t.Errorf("of one commit: %+v, %v; want the one with a v, and no word", tip, err)
	}
	second := s.push("two", map[string]string{"a": "2"})
	s.git(s.work, "tag", "-f", "1.2.3")
	s.git(s.work, "push", "-q", "-f", "origin", "--tags")
	tip, err = s.ask(t, "1.x")
	if err != nil || tip.Commit != first || tip.Note != "tag v1.2.3 is followed, and 1.2.3 has the same version and another commit: delete one of them" {
		t.Errorf("of two commits: %+v, %v; want %s and a word, not %s", tip, err, first, second)
	}
}

func TestRangesThatAreRefused(t *testing.T) {
	for _, within := range []string{"latest", "main", ">=", "1.x && 2.x", "agents/", "a b/1.x", "../1.x", "1.2.3.4.5", "agents/1.x || agents/2.x"} {
		_, err := (&git.Client{}).Ask(t.Context(), git.Source{URL: "https://git.invalid/repo", Semver: within})
		wantError(t, err, git.InvalidSource, "write one such as 1.x")
	}
	for _, source := range []git.Source{{Semver: "1.x", Ref: "refs/heads/main"}, {Semver: "1.x", Commit: "0123456701234567012345670123456701234567"}} {
		source.URL = "https://git.invalid/repo"
		_, err := (&git.Client{}).Ask(t.Context(), source)
		wantError(t, err, git.InvalidSource, "keep one of them")
	}
}
