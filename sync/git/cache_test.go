package git_test

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/sync/git"
)

func TestForcePushes(t *testing.T) {
	s := newServer(t)
	client := &git.Client{Dir: t.TempDir()}
	s.push("base", manyFiles(400))
	older := s.git(s.work, "rev-parse", "HEAD")
	for round := range 4 {
		if round%2 == 1 {
			s.git(s.work, "reset", "-q", "--hard", older)
		}
		commit := s.push("next", map[string]string{"d3/f3.yaml": strings.Repeat("x", round+1)})
		snapshot := fetch(t, client, s.source(), commit)
		if n := count(t, snapshot); n != 400 || snapshot.Commit.Hash != commit {
			t.Errorf("round %d: %d of 400 files of %s", round, n, snapshot.Commit.Hash)
		}
	}
	if left := clones(t, client.Dir); len(left) != 2 {
		t.Errorf("the cache keeps %d clones, want the current and the last good: %v", len(left), left)
	}
}

func count(t *testing.T, snapshot *git.Snapshot) int {
	t.Helper()
	files := 0
	err := fs.WalkDir(snapshot, ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			_, err = snapshot.ReadFile(name)
			files++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestTheCloneInUseIsNotTheOneToBeRemoved(t *testing.T) {
	s := newServer(t)
	client := &git.Client{Dir: t.TempDir()}
	older := s.push("one", map[string]string{"a": "1"})
	fetch(t, client, s.source(), "")
	s.push("two", map[string]string{"a": "2"})
	fetch(t, client, s.source(), "")
	s.git(s.work, "push", "-q", "-f", "origin", older+":main")
	back := fetch(t, client, s.source(), "")
	s.push("three", map[string]string{"a": "3"})
	fetch(t, client, s.source(), "")
	if content, err := back.ReadFile("a"); err != nil || string(content) != "1" {
		t.Errorf("the snapshot from before the last fetch reads %q, %v", content, err)
	}
}

func TestACommitIsFetchedOnce(t *testing.T) {
	s := newServer(t)
	commit := s.push("one", map[string]string{"a": "1"})
	var posts atomic.Int64
	backend := s.Handler
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			posts.Add(1)
		}
		backend.ServeHTTP(w, r)
	})
	client := &git.Client{Dir: t.TempDir()}
	for range 3 {
		fetch(t, client, s.source(), commit)
	}
	fetch(t, &git.Client{Dir: client.Dir}, s.source(), "")
	if posts.Load() != 1 {
		t.Errorf("%d packs were fetched", posts.Load())
	}
}

func TestTheLastGoodCommitIsReadWhileTheServerIsDown(t *testing.T) {
	s := newServer(t)
	client := &git.Client{Dir: t.TempDir()}
	first := s.push("one", map[string]string{"a": "1"})
	fetch(t, client, s.source(), first)
	second := s.push("two", map[string]string{"a": "2"})
	fetch(t, client, s.source(), second)

	down := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	s.Handler = down
	for _, commit := range []string{first, second} {
		if got := fetch(t, client, s.source(), commit).Commit.Hash; got != commit {
			t.Errorf("got %s, want %s", got, commit)
		}
	}
	_, err := client.Fetch(t.Context(), s.source(), strings.Repeat("a", 40))
	wantError(t, err, git.Unreachable, "503")
	_, err = client.Fetch(t.Context(), s.source(), "../"+first)
	wantError(t, err, git.Unreachable)

	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	_, err = client.Fetch(t.Context(), s.source(), second)
	wantError(t, err, git.AuthenticationFailed)
}

func TestAFailedFetchLeavesTheLastGoodClone(t *testing.T) {
	s := newServer(t)
	client := &git.Client{Dir: t.TempDir()}
	first := s.push("one", map[string]string{"a": "1"})
	kept := fetch(t, client, s.source(), first)
	s.push("two", map[string]string{"a": "2"})
	backend := s.Handler
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
			_, _ = w.Write([]byte("0008NAK\n0008\x01PAC"))
			return
		}
		backend.ServeHTTP(w, r)
	})
	_, err := client.Fetch(t.Context(), s.source(), "")
	if err == nil {
		t.Fatal("no error")
	}
	if content, err := kept.ReadFile("a"); err != nil || string(content) != "1" {
		t.Errorf("the last good snapshot reads %q, %v", content, err)
	}
	if left := clones(t, client.Dir); len(left) != 1 {
		t.Errorf("the cache holds %v", left)
	}
}

func TestConcurrentFetches(t *testing.T) {
	s := newServer(t)
	commit := s.push("one", manyFiles(50))
	client := &git.Client{Dir: t.TempDir()}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			snapshot, err := client.Fetch(t.Context(), s.source(), commit)
			if err != nil {
				t.Errorf("Fetch: %v", err)
				return
			}
			if n := count(t, snapshot); n != 50 {
				t.Errorf("%d files", n)
			}
		})
	}
	all.Wait()
}

func TestPruneKeepsWhatIsFollowed(t *testing.T) {
	s := newServer(t)
	s.push("one", map[string]string{"a": "1"})
	s.git(s.work, "push", "-q", "origin", "HEAD:dev")
	client := &git.Client{Dir: t.TempDir()}
	dev := s.source()
	dev.Ref = "refs/heads/dev"
	kept := fetch(t, client, s.source(), "")
	fetch(t, client, dev, "")
	if err := client.Prune([]git.Source{s.source()}); err != nil {
		t.Fatal(err)
	}
	if _, err := kept.ReadFile("a"); err != nil || len(clones(t, client.Dir)) != 1 {
		t.Errorf("after Prune: %v, %v", clones(t, client.Dir), err)
	}
	if err := (&git.Client{Dir: filepath.Join(t.TempDir(), "none")}).Prune(nil); err != nil {
		t.Errorf("Prune without a directory: %v", err)
	}
}

func TestWhatACrashLeavesIsRemoved(t *testing.T) {
	s := newServer(t)
	s.push("one", map[string]string{"a": "1"})
	client := &git.Client{Dir: t.TempDir()}
	fetch(t, client, s.source(), "")
	home := filepath.Dir(clones(t, client.Dir)[0])
	stale, fresh := filepath.Join(home, ".new-stale"), filepath.Join(home, ".new-fresh")
	for _, dir := range []string{stale, fresh} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Now().Add(-time.Hour)
	if err := os.Chtimes(stale, past, past); err != nil {
		t.Fatal(err)
	}
	s.push("two", map[string]string{"a": "2"})
	fetch(t, client, s.source(), "")
	if _, err := os.Stat(stale); err == nil {
		t.Error("the stale directory is still there")
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Error("the directory of a running fetch is gone")
	}
}
