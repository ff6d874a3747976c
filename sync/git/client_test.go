package git_test

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-dev/rollcall/sync/git"
)

func fetch(t *testing.T, c *git.Client, s git.Source, commit string) *git.Snapshot {
	t.Helper()
	snapshot, err := c.Fetch(t.Context(), s, commit)
	if err != nil {
		t.Fatalf("Fetch: %v", err)
	}
	return snapshot
}

// wantError checks the reason, the texts and that the error names the repository.
func wantError(t *testing.T, err error, reason git.Reason, texts ...string) {
	t.Helper()
	var own *git.Error
	if !errors.As(err, &own) || own.Reason != reason || !errors.Is(err, reason) {
		t.Fatalf("got %v (reason %v), want reason %s", err, own, reason)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q does not say %q", err, text)
		}
	}
}

func TestACommitIsResolvedFetchedAndRead(t *testing.T) {
	s := newServer(t)
	files := map[string]string{"README.md": "hello\n", "clusters/prod/ds.yaml": "kind: DaemonSet\n", "clusters/prod/empty.yaml": ""}
	want := s.push("Add the agents\n\nBecause.", files)
	client := &git.Client{Dir: filepath.Join(t.TempDir(), "cache")}

	commit, err := leads(t.Context(), client, s.source())
	if err != nil || commit != want {
		t.Fatalf("it leads to %q, %v, want %q", commit, err, want)
	}
	snapshot := fetch(t, client, s.source(), commit)
	wantCommit := git.Commit{Hash: want, Author: "Ann <ann@example.com>", Subject: "Add the agents",
		Time: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)}
	if diff := cmp.Diff(wantCommit, snapshot.Commit); diff != "" {
		t.Errorf("Commit (-want +got):\n%s", diff)
	}
	if err := fstest.TestFS(snapshot, "README.md", "clusters/prod/ds.yaml", "clusters/prod/empty.yaml"); err != nil {
		t.Error(err)
	}
	for name, content := range files {
		if got, err := snapshot.ReadFile(name); err != nil || string(got) != content {
			t.Errorf("ReadFile(%s) = %q, %v", name, got, err)
		}
	}
	tree, err := snapshot.Tree("clusters/prod")
	if wantTree := s.git(s.work, "rev-parse", "HEAD:clusters/prod"); err != nil || tree != wantTree {
		t.Errorf("Tree = %q, %v, want %q", tree, err, wantTree)
	}
	for _, path := range []string{"clusters/staging", "README.md", "README.md/x", "../x", "/etc"} {
		_, err := snapshot.Tree(path)
		wantError(t, err, git.PathNotFound, s.URL, "refs/heads/main", path)
	}
	if _, err := snapshot.Open("clusters/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open of a missing file: %v", err)
	}
}

func TestTheTreeIDSaysWhetherAPathChanged(t *testing.T) {
	s := newServer(t)
	client := &git.Client{Dir: t.TempDir()}
	ids := func(commit string) (prod, staging string) {
		snapshot := fetch(t, client, s.source(), commit)
		prod, _ = snapshot.Tree("prod")
		staging, _ = snapshot.Tree("staging")
		return prod, staging
	}
	prod1, staging1 := ids(s.push("one", map[string]string{"prod/a": "1", "staging/a": "1"}))
	prod2, staging2 := ids(s.push("two", map[string]string{"prod/a": "2"}))
	if prod1 == prod2 || staging1 != staging2 || prod1 != staging1 {
		t.Errorf("tree ids: %s %s, %s %s", prod1, staging1, prod2, staging2)
	}
}

func TestRefs(t *testing.T) {
	s := newServer(t)
	first := s.push("one", map[string]string{"a": "1"})
	s.git(s.work, "tag", "-a", "-m", "release", "v1")
	s.git(s.work, "tag", "-a", "-m", "release of a release", "v1-nested", "v1")
	s.git(s.work, "tag", "light")
	s.git(s.work, "tag", "blob", s.git(s.work, "rev-parse", "HEAD:a"))
	s.git(s.work, "push", "-q", "origin", "--tags")
	s.push("two", map[string]string{"a": "2"})
	s.git(s.work, "push", "-q", "origin", first+":refs/rollcall/proven/staging")
	client := &git.Client{Dir: t.TempDir()}

	for _, ref := range []string{"refs/tags/v1", "refs/tags/v1-nested", "refs/tags/light", "refs/rollcall/proven/staging"} {
		t.Run(ref+" leads to its commit", func(t *testing.T) {
			source := s.source()
			source.Ref = ref
			if commit, err := leads(t.Context(), client, source); err != nil || commit != first {
				t.Errorf("it leads to %q, %v, want %q", commit, err, first)
			}
			if got := fetch(t, client, source, first).Commit.Hash; got != first {
				t.Errorf("Fetch gave %q, want %q", got, first)
			}
		})
	}
	t.Run("a missing branch is named, with those that there are", func(t *testing.T) {
		source := s.source()
		source.Ref = "refs/heads/production"
		_, err := leads(t.Context(), client, source)
		wantError(t, err, git.RefNotFound, s.URL, "refs/heads/production", "it has main")
		_, err = client.Fetch(t.Context(), source, first)
		wantError(t, err, git.RefNotFound)
	})
	t.Run("a missing tag is named, with those that there are", func(t *testing.T) {
		source := s.source()
		source.Ref = "refs/tags/v2"
		_, err := leads(t.Context(), client, source)
		wantError(t, err, git.RefNotFound, "it has blob, light, v1, v1-nested")
	})
	t.Run("a tag of a file is no commit", func(t *testing.T) {
		source := s.source()
		source.Ref = "refs/tags/blob"
		_, err := client.Fetch(t.Context(), source, "")
		wantError(t, err, git.RefNotFound, "names a blob")
	})
	t.Run("a ref that is not a full name is refused", func(t *testing.T) {
		for _, ref := range []string{"", "main", "refs/", "HEAD", "refs/heads/../../x", "refs/heads/a b", "-refs/heads/x"} {
			source := s.source()
			source.Ref = ref
			_, err := leads(t.Context(), client, source)
			wantError(t, err, git.InvalidSource, "refs/heads/BRANCH")
		}
	})
}

func TestAnEmptyRepositoryIsItsOwnError(t *testing.T) {
	s := newServer(t)
	client := &git.Client{Dir: t.TempDir()}
	_, err := leads(t.Context(), client, s.source())
	wantError(t, err, git.EmptyRepository, s.URL, "push one")
	_, err = client.Fetch(t.Context(), s.source(), "")
	wantError(t, err, git.EmptyRepository)
}

func TestASnapshotSaysWhichCommitItReallyIs(t *testing.T) {
	s := newServer(t)
	client := &git.Client{Dir: t.TempDir()}
	first := s.push("one", map[string]string{"a": "1"})
	second := s.push("two", map[string]string{"a": "2"})
	snapshot := fetch(t, client, s.source(), first)
	content, _ := snapshot.ReadFile("a")
	if snapshot.Commit.Hash != second || string(content) != "2" {
		t.Errorf("got %s with %q", snapshot.Commit.Hash, content)
	}
}

// TestForcePushes is go-git#1443: a shallow clone that is fetched into loses files without an error.
func TestTLSAndCredentials(t *testing.T) {
	s := newTLSServer(t)
	commit := s.push("one", map[string]string{"a": "1"})
	backend := s.Handler
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if (user != "u" || password != "p") && r.Header.Get("Authorization") != "Bearer t" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	})
	source := git.Source{URL: s.URL, Ref: "refs/heads/main",
		CA: certificate(s)}
	for _, auth := range []git.Auth{{Username: "u", Password: "p"}, {BearerToken: "t"}} {
		source.Auth = auth
		if got := fetch(t, &git.Client{Dir: t.TempDir()}, source, "").Commit.Hash; got != commit {
			t.Errorf("got %s", got)
		}
	}
	source.Auth = git.Auth{}
	_, err := leads(t.Context(), &git.Client{}, source)
	wantError(t, err, git.AuthenticationFailed, "the server wants credentials")
	source.CA = []byte("not PEM")
	_, err = leads(t.Context(), &git.Client{}, source)
	wantError(t, err, git.InvalidSource, "caFile holds no PEM certificate")
}

func TestDeadlines(t *testing.T) {
	s := newServer(t)
	s.push("one", map[string]string{"a": "1"})
	backend := s.Handler
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	hang := func(method string) {
		s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != method {
				backend.ServeHTTP(w, r)
				return
			}
			_, _ = w.Write([]byte("0"))
			w.(http.Flusher).Flush()
			select {
			case <-release:
			case <-r.Context().Done():
			}
		})
	}
	client := &git.Client{Dir: t.TempDir(), Limits: git.Limits{ResolveTimeout: 200 * time.Millisecond, FetchTimeout: 400 * time.Millisecond}}
	start := time.Now()
	hang(http.MethodGet)
	_, err := leads(t.Context(), client, s.source())
	wantError(t, err, git.Unreachable, "did not answer in time")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error("the cause is not kept")
	}
	hang(http.MethodPost)
	_, err = client.Fetch(t.Context(), s.source(), "")
	wantError(t, err, git.Unreachable, "did not answer in time")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = leads(ctx, client, s.source())
	if !errors.Is(err, context.Canceled) {
		t.Errorf("after cancel: %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}
