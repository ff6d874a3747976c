package reader

import (
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
	work string
	// Handler stands before git; it may be replaced.
	Handler http.Handler
	source  git.Source
}

func newServer(t *testing.T) *server {
	t.Helper()
	execPath, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatalf("git is needed: %v", err)
	}
	root := t.TempDir()
	s := &server{t: t, work: filepath.Join(root, "work")}
	s.Handler = &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(execPath)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1"},
	}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.Handler.ServeHTTP(w, r) }))
	t.Cleanup(front.Close)
	s.source = git.Source{URL: front.URL + "/repo.git", Ref: "refs/heads/main", InsecureHTTP: true}
	s.git(root, "init", "-q", "--bare", "-b", "main", "repo.git")
	s.git(root, "clone", "-q", "repo.git", s.work)
	s.git(s.work, "checkout", "-q", "-B", "main")
	return s
}

func (s *server) git(dir string, args ...string) string {
	s.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.com", "GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// push commits the files, of which an empty one goes, and returns the commit.
func (s *server) push(files map[string]string) string {
	s.t.Helper()
	for name, content := range files {
		file := filepath.Join(s.work, name)
		if content == "" {
			if err := os.Remove(file); err != nil {
				s.t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	s.git(s.work, "add", "-A")
	s.git(s.work, "commit", "-q", "--allow-empty", "-m", "x")
	s.git(s.work, "push", "-q", "-f", "origin", "HEAD:main")
	return s.git(s.work, "rev-parse", "HEAD")
}
