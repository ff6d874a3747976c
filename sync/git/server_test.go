package git_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/sync/git"
)

// server is a real git http-backend with one repository, and a work tree to push to it from.
type server struct {
	t    *testing.T
	URL  string
	HTTP *httptest.Server
	bare string
	work string
	// Handler stands before git; it may be replaced.
	Handler http.Handler
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := prepare(t)
	s.HTTP = httptest.NewServer(s)
	t.Cleanup(s.HTTP.Close)
	s.URL = s.HTTP.URL + "/repo.git"
	return s
}

func newTLSServer(t *testing.T) *server {
	t.Helper()
	s := prepare(t)
	s.HTTP = httptest.NewUnstartedServer(s)
	s.HTTP.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.HTTP.StartTLS()
	t.Cleanup(s.HTTP.Close)
	s.URL = s.HTTP.URL + "/repo.git"
	return s
}

func prepare(t *testing.T) *server {
	t.Helper()
	execPath, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatalf("git is needed: %v", err)
	}
	root := t.TempDir()
	s := &server{t: t, bare: filepath.Join(root, "repo.git"), work: filepath.Join(root, "work")}
	s.Handler = &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(execPath)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1"},
	}
	s.git(root, "init", "-q", "--bare", "-b", "main", s.bare)
	s.git(root, "clone", "-q", s.bare, s.work)
	s.git(s.work, "checkout", "-q", "-B", "main")
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.Handler.ServeHTTP(w, r)
}

func (s *server) git(dir string, args ...string) string {
	s.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(),
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.com", "GIT_AUTHOR_DATE=2026-11-23T10:00:00+01:00",
		"GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.com", "GIT_COMMITTER_DATE=2026-11-23T10:00:00+01:00")
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// push commits the files and returns the commit.
func (s *server) push(subject string, files map[string]string) string {
	s.t.Helper()
	for name, content := range files {
		file := filepath.Join(s.work, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	s.git(s.work, "add", "-A")
	return s.commit(subject)
}

// commit pushes what is in the index.
func (s *server) commit(subject string) string {
	s.t.Helper()
	s.git(s.work, "commit", "-q", "--allow-empty", "-m", subject)
	s.git(s.work, "push", "-q", "-f", "origin", "HEAD:main")
	return s.git(s.work, "rev-parse", "HEAD")
}

func (s *server) source() git.Source {
	return git.Source{URL: s.URL, Ref: "refs/heads/main", InsecureHTTP: true}
}

// manyFiles are files in ten directories.
func manyFiles(n int) map[string]string {
	files := map[string]string{}
	for i := range n {
		files[fmt.Sprintf("d%d/f%d.yaml", i%10, i)] = fmt.Sprintf("n: %d\n", i)
	}
	return files
}

// clones are the directories of clones in a cache, without those in the making.
func clones(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// leads asks where a source leads.
func leads(ctx context.Context, client *git.Client, s git.Source) (commit string, err error) {
	tip, err := client.Ask(ctx, s)
	return tip.Commit, err
}
