package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/rollcall-dev/rollcall/e2e/gitserver"
	"github.com/rollcall-dev/rollcall/e2e/product"
)

// BenchmarkSource measures, side by side, what it takes to read a new commit of a repository of 100 MiB and 3,000 files, to
// see that there is none, and to render 10 to 1,000 objects: by rollcall with its child process, and by Flux' packages
// git/gogit and kustomize. `git fetch --depth=1` is what nobody is faster than. It prints a table of seconds, CPU time and
// memory of all processes of a tool, and bytes and requests on the wire.
func BenchmarkSource(b *testing.B) {
	for range b.N {
		s := newSources(b)
		s.newCommit()
		s.polls()
		s.renders()
		s.report()
	}
}

// sources is a served repository, and what reading it took.
type sources struct {
	*testing.B
	repo *gitserver.Repo
	url  string
	// bytes and requests are what passed between server and tools so far.
	bytes, requests atomic.Int64
	rows            []sourceRow
}

// sourceRow is what one thing took one tool.
type sourceRow struct {
	what, tool      string
	took            sourceCost
	bytes, requests int64
}

// sourceCost is what a tool says of itself.
type sourceCost struct {
	Wall, CPU time.Duration
	Memory    int64
}

func newSources(b *testing.B) *sources {
	b.Helper()
	s := &sources{B: b}
	server, err := gitserver.Start(b.Context(), gitserver.Options{Dir: b.TempDir()})
	s.must(err, "start git server")
	s.repo, err = server.NewRepo(b.Context(), "large")
	s.must(err, "make repository")
	target, err := url.Parse(server.URL)
	s.must(err, "parse URL")
	behind := httputil.NewSingleHostReverseProxy(target)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		behind.ServeHTTP(&countedWriter{w, &s.bytes}, r)
	}))
	b.Cleanup(front.Close)
	s.url = front.URL + "/large.git"
	s.fill()
	return s
}

// countedWriter counts what a server sends.
type countedWriter struct {
	http.ResponseWriter
	sent *atomic.Int64
}

func (w *countedWriter) Write(p []byte) (int, error) {
	w.sent.Add(int64(len(p)))
	return w.ResponseWriter.Write(p)
}

func (w *countedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (s *sources) must(err error, what string) {
	s.Helper()
	if err != nil {
		s.Fatalf("%s: %v", what, err)
	}
}

const (
	largeFiles = 3000
	largeBytes = 100 << 20
)

// fill makes the repository: files that do not compress, as charts, dashboards and images are, and 100 objects.
func (s *sources) fill() {
	s.Helper()
	chance := rand.NewChaCha8([32]byte{1})
	for i := range largeFiles - 101 {
		content, err := io.ReadAll(io.LimitReader(chance, largeBytes/largeFiles))
		s.must(err, "draw file")
		s.must(s.repo.Write(fmt.Sprintf("d%d/e%d/f%d", i%10, i%100, i), string(content)), "write file")
	}
	s.must(writeObjects(s.repo.Dir, "app", 100), "write objects")
	s.push()
}

func (s *sources) push() string {
	s.Helper()
	commit, err := s.repo.Commit(s.Context(), "files")
	s.must(err, "commit")
	s.must(s.repo.Push(s.Context()), "push")
	return commit
}

// writeObjects makes a kustomization of so many ConfigMaps, a file each.
func writeObjects(dir, path string, objects int) error {
	if err := os.MkdirAll(filepath.Join(dir, path), 0o755); err != nil {
		return err
	}
	kustomization := "resources:\n"
	for i := range objects {
		name := fmt.Sprintf("c%d.yaml", i)
		kustomization += "- " + name + "\n"
		if err := os.WriteFile(filepath.Join(dir, path, name), []byte(plainConfig(fmt.Sprintf("c%d", i), strings.Repeat("x", 300))), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, path, "kustomization.yaml"), []byte(kustomization), 0o644)
}

// run runs a tool, and notes what it says.
func (s *sources) run(what, tool, binary string, args ...string) {
	s.Helper()
	bytesBefore, requestsBefore := s.bytes.Load(), s.requests.Load()
	command := exec.CommandContext(s.Context(), binary, args...)
	var said bytes.Buffer
	command.Stderr = &said
	out, err := command.Output()
	if err != nil {
		s.Fatalf("%s: %v: %s", tool, err, said.String())
	}
	var took sourceCost
	s.must(json.Unmarshal(out, &took), "read what a tool took")
	s.rows = append(s.rows, sourceRow{what, tool, took, s.bytes.Load() - bytesBefore, s.requests.Load() - requestsBefore})
}

func (s *sources) binary(name string) string {
	s.Helper()
	path, err := product.Binary(name)
	s.must(err, "find "+name)
	return path
}

// newCommit has every tool read a commit that it has not seen, and render one path of it.
func (s *sources) newCommit() {
	s.Helper()
	const what = "new commit, 100 MiB"
	s.must(writeObjects(s.repo.Dir, "app", 100), "write objects")
	s.push()
	bare := filepath.Join(s.TempDir(), "bare")
	s.must(exec.CommandContext(s.Context(), "git", "init", "--quiet", "--bare", bare).Run(), "init")
	s.run(what, "git", s.binary("reads"), "git", "-C", bare, "fetch", "--quiet", "--depth=1", s.url, "main")
	s.run(what, "rollcall", s.binary("reads"), "fetch", s.url, filepath.Join(s.TempDir(), "cache"), "app", s.binary("rollcall"))
	s.run(what, "flux", s.binary("peers"), "flux-fetch", s.url, filepath.Join(s.TempDir(), "flux"), "app")
}

// polls asks a hundred times for a commit that is known.
func (s *sources) polls() {
	s.Helper()
	const times = 100
	out, err := s.repo.Git(s.Context(), "rev-parse", "HEAD")
	s.must(err, "rev-parse")
	poll := func(what string) {
		s.run(what, "rollcall", s.binary("reads"), "poll", s.url, out, strconv.Itoa(times))
		s.run(what, "flux", s.binary("peers"), "flux-poll", s.url, out, strconv.Itoa(times))
	}
	poll("100 polls, 1 ref")
	bare, err := s.repo.Git(s.Context(), "remote", "get-url", "origin")
	s.must(err, "find repository")
	for _, refs := range []int{1000, 10_000} {
		packed := "# pack-refs with: peeled fully-peeled sorted \n"
		for i := range refs {
			packed += fmt.Sprintf("%s refs/heads/b%06d\n", out, i)
		}
		s.must(os.WriteFile(filepath.Join(bare, "packed-refs"), []byte(packed), 0o600), "write refs")
		poll(fmt.Sprintf("100 polls, %d refs", refs))
	}
}

// renders draws kustomizations, and the same files without one, for which Flux writes one.
func (s *sources) renders() {
	s.Helper()
	for _, objects := range []int{10, 100, 500, 1000} {
		for _, plain := range []bool{false, true} {
			dir, what := s.TempDir(), fmt.Sprintf("render %d, kustomized", objects)
			s.must(writeObjects(dir, "app", objects), "write objects")
			if plain {
				what = fmt.Sprintf("render %d, plain files", objects)
				s.must(os.Remove(filepath.Join(dir, "app", "kustomization.yaml")), "remove kustomization")
			}
			s.run(what, "rollcall", s.binary("reads"), "render", dir, "app")
			s.run(what, "flux", s.binary("peers"), "flux-render", dir, "app")
		}
	}
}

// report prints the table.
func (s *sources) report() {
	s.Helper()
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "what\ttool\tseconds\tCPU s\tMiB at most\tMiB on the wire\trequests")
	for _, r := range s.rows {
		fmt.Fprintf(table, "%s\t%s\t%.2f\t%.2f\t%d\t%.2f\t%d\n", r.what, r.tool, r.took.Wall.Seconds(), r.took.CPU.Seconds(), r.took.Memory>>20, float64(r.bytes)/(1<<20), r.requests)
	}
	_ = table.Flush()          // a strings.Builder takes everything
	fmt.Println(text.String()) // a benchmark's log is cut after ten lines
}
