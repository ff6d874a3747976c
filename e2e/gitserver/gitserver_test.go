package gitserver_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-dev/rollcall/e2e/gitserver"
)

func TestCredentials(t *testing.T) {
	t.Parallel()
	password := gitserver.Options{Username: "reader", Password: "correct horse"}
	token := gitserver.Options{Token: "battery-staple"}
	for name, test := range map[string]struct {
		opts    gitserver.Options
		request []string // options of git that bring the credential
		denied  bool
	}{
		"an open server asks nobody":        {gitserver.Options{}, nil, false},
		"the right password is let in":      {password, basic("reader", "correct horse"), false},
		"the right token is let in":         {token, bearer("battery-staple"), false},
		"a wrong password is denied":        {password, basic("reader", "wrong"), true},
		"a wrong user name is denied":       {password, basic("writer", "correct horse"), true},
		"a wrong token is denied":           {token, bearer("wrong"), true},
		"nothing at all is denied":          {password, nil, true},
		"a token is denied for a password":  {password, bearer("correct horse"), true},
		"a password is denied for a token":  {token, basic("reader", "battery-staple"), true},
		"an empty token is denied":          {password, bearer(""), true},
		"an empty user and password is too": {token, basic("", ""), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, repo := serve(t, test.opts)
			commit(t, repo, "first")
			push(t, repo)
			_, err := repo.Git(t.Context(), append(test.request, "ls-remote", repo.URL, "main")...)
			if denied := err != nil; denied != test.denied {
				t.Errorf("denied: %t (%v), want %t", denied, err, test.denied)
			}
			if got := server.Requests(); (got.Denied > 0) != test.denied || (got.InfoRefs == 0) != test.denied {
				t.Errorf("want denied: %t, got %+v", test.denied, got)
			}
		})
	}
}

func TestCloneHasWhatWasPushed(t *testing.T) {
	t.Parallel()
	_, repo := serve(t, gitserver.Options{})
	write(t, repo, "clusters/prod/agent.yaml", "v1")
	write(t, repo, "clusters/prod/old.yaml", "v1")
	commit(t, repo, "add two")
	if err := repo.Remove("clusters/prod/old.yaml"); err != nil {
		t.Fatal(err)
	}
	write(t, repo, "clusters/prod/agent.yaml", "v2")
	want := commit(t, repo, "change one, remove one")
	push(t, repo)

	dir := filepath.Join(t.TempDir(), "clone")
	git(t, repo, "clone", "--quiet", "--depth", "1", repo.URL, dir)
	if got := git(t, repo, "-C", dir, "rev-parse", "HEAD"); got != want {
		t.Errorf("cloned commit %s, want %s", got, want)
	}
	content, err := os.ReadFile(filepath.Join(dir, "clusters/prod/agent.yaml"))
	if err != nil || string(content) != "v2" {
		t.Errorf("cloned file has %q (%v), want v2", content, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "clusters/prod/old.yaml")); !os.IsNotExist(err) {
		t.Errorf("removed file: %v, want that it does not exist", err)
	}
	if err := repo.Remove("clusters/prod/old.yaml"); err == nil {
		t.Error("a file that does not exist could be removed")
	}
}

func TestPushOverHTTP(t *testing.T) {
	t.Parallel()
	server, repo := serve(t, gitserver.Options{Username: "writer", Password: "secret"})
	// More than a megabyte that does not compress is sent in chunks.
	write(t, repo, "large", strings.Join(incompressible(60_000), "\n"))
	want := commit(t, repo, "large")
	git(t, repo, append(basic("writer", "secret"), "push", "--quiet", repo.URL, "main")...)
	if got := git(t, repo, "ls-remote", "origin", "main"); got != want+"\trefs/heads/main" {
		t.Errorf("served: %s, want %s", got, want)
	}
	if got := server.Requests().ReceivePack; got == 0 {
		t.Error("counted no push")
	}
}

// A person in the clone types git push, and nothing more.
func TestAPlainPushKnowsWhereTo(t *testing.T) {
	t.Parallel()
	_, repo := serve(t, gitserver.Options{})
	want := commit(t, repo, "first")
	if _, err := repo.Git(t.Context(), "push", "--quiet"); err != nil {
		t.Fatal(err)
	}
	if got, err := repo.Git(t.Context(), "ls-remote", "origin", "main"); err != nil || !strings.HasPrefix(got, want) {
		t.Errorf("the server has %q (%v), want %s", got, err, want)
	}
}

func TestForcePushReplacesHistory(t *testing.T) {
	t.Parallel()
	_, repo := serve(t, gitserver.Options{})
	base := commit(t, repo, "base")
	commit(t, repo, "to be forgotten")
	push(t, repo)
	git(t, repo, "reset", "--quiet", "--hard", base)
	want := commit(t, repo, "in its place")
	if err := repo.Push(t.Context()); err == nil {
		t.Error("a push without force replaced history")
	}
	if err := repo.ForcePush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := git(t, repo, "ls-remote", repo.URL, "main"); got != want+"\trefs/heads/main" {
		t.Errorf("served: %s, want %s", got, want)
	}
}

func TestSameStepsGiveTheSameCommits(t *testing.T) {
	t.Parallel()
	var shas [2][]string
	for i := range shas {
		_, repo := serve(t, gitserver.Options{})
		for _, message := range []string{"one", "two", "three"} {
			write(t, repo, "file", message)
			shas[i] = append(shas[i], commit(t, repo, message))
		}
	}
	if diff := cmp.Diff(shas[0], shas[1]); diff != "" {
		t.Errorf("commits of the second time (-first +second):\n%s", diff)
	}
}

func TestOutage(t *testing.T) {
	t.Parallel()
	server, repo := serve(t, gitserver.Options{})
	commit(t, repo, "before")
	push(t, repo)
	address := server.URL
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := repo.Git(t.Context(), "ls-remote", repo.URL); err == nil {
		t.Error("a stopped server answered")
	}
	want := commit(t, repo, "during")
	push(t, repo)
	if err := server.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if server.URL != address {
		t.Errorf("came back at %s, want %s", server.URL, address)
	}
	if got := git(t, repo, "ls-remote", repo.URL, "main"); got != want+"\trefs/heads/main" {
		t.Errorf("served: %s, want %s", got, want)
	}
}

func TestRequestsAreCountedByKind(t *testing.T) {
	t.Parallel()
	server, repo := serve(t, gitserver.Options{})
	commit(t, repo, "first")
	push(t, repo)
	for range 2 {
		git(t, repo, "-c", "protocol.version=0", "ls-remote", repo.URL)
	}
	git(t, repo, "-c", "protocol.version=0", "clone", "--quiet", "--bare", repo.URL, filepath.Join(t.TempDir(), "clone"))
	want := gitserver.Requests{InfoRefs: 3, UploadPack: 1}
	if diff := cmp.Diff(want, server.Requests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// serve starts a server with one repository, "agents". Both end with the test.
func serve(t *testing.T, opts gitserver.Options) (*gitserver.Server, *gitserver.Repo) {
	t.Helper()
	opts.Dir = t.TempDir()
	server, err := gitserver.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	repo, err := server.NewRepo(t.Context(), "agents")
	if err != nil {
		t.Fatal(err)
	}
	return server, repo
}

func write(t *testing.T, repo *gitserver.Repo, path, content string) {
	t.Helper()
	if err := repo.Write(path, content); err != nil {
		t.Fatal(err)
	}
}

func commit(t *testing.T, repo *gitserver.Repo, message string) string {
	t.Helper()
	sha, err := repo.Commit(t.Context(), message)
	if err != nil {
		t.Fatal(err)
	}
	return sha
}

func push(t *testing.T, repo *gitserver.Repo) {
	t.Helper()
	if err := repo.Push(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func git(t *testing.T, repo *gitserver.Repo, args ...string) string {
	t.Helper()
	out, err := repo.Git(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func basic(username, password string) []string {
	return header("Basic " + base64.StdEncoding.EncodeToString([]byte(username+":"+password)))
}

func bearer(token string) []string {
	return header("Bearer " + token)
}

func header(authorization string) []string {
	return []string{"-c", "http.extraHeader=Authorization: " + authorization}
}

// incompressible returns n lines that have little in common.
func incompressible(n int) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf("%x", sha256.Sum256([]byte{byte(i), byte(i >> 8)}))
	}
	return lines
}
