package sync

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"

	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/reader"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func TestSurprises(t *testing.T) {
	t.Parallel()
	const branch, tag = "refs/heads/main", "refs/tags/v1"
	had := func(ref string, parents ...string) seenCommit {
		return seenCommit{Commit: v1alpha1.Commit{Commit: "b", Ref: ref}, parents: parents}
	}
	for name, c := range map[string]struct {
		before seenCommit
		now    git.Commit
		ref    string
		past   []string
		want   string
	}{
		"the first commit":                         {seenCommit{}, git.Commit{Hash: "b"}, branch, nil, ""},
		"the same commit":                          {had(branch, "a"), git.Commit{Hash: "b", Parents: []string{"a"}}, branch, nil, ""},
		"one more commit":                          {had(branch, "a"), git.Commit{Hash: "c", Parents: []string{"b"}}, branch, []string{"b", "a"}, ""},
		"more commits than one":                    {had(branch, "a"), git.Commit{Hash: "e", Parents: []string{"d"}}, branch, []string{"b"}, ""},
		"a merge of it":                            {had(branch, "a"), git.Commit{Hash: "c", Parents: []string{"a", "b"}}, branch, nil, ""},
		"another ref":                              {had(branch, "a"), git.Commit{Hash: "a"}, "refs/heads/other", []string{"b", "a"}, ""},
		"another version of a range":               {had(tag, "a"), git.Commit{Hash: "a"}, "refs/tags/v2", nil, ""},
		"a commit by its name":                     {had("", "a"), git.Commit{Hash: "a"}, "", nil, ""},
		"a tag that was moved":                     {had(tag, "a"), git.Commit{Hash: "c", Parents: []string{"b"}}, tag, nil, reasonTagMoved},
		"a tag that was moved, after a restart":    {had(tag), git.Commit{Hash: "c", Parents: []string{"b"}}, tag, nil, reasonTagMoved},
		"an amended commit":                        {had(branch, "a"), git.Commit{Hash: "c", Parents: []string{"a"}}, branch, nil, reasonHistoryRewritten},
		"a merge made anew without one side":       {had(branch, "a", "x"), git.Commit{Hash: "c", Parents: []string{"x"}}, branch, nil, reasonHistoryRewritten},
		"a commit taken back":                      {had(branch, "a"), git.Commit{Hash: "a", Parents: []string{"z"}}, branch, nil, reasonHistoryRewritten},
		"several taken back to one that was here":  {had(branch, "a"), git.Commit{Hash: "z", Parents: []string{"y"}}, branch, []string{"b", "z"}, reasonHistoryRewritten},
		"taken back, after a restart":              {had(branch), git.Commit{Hash: "z", Parents: []string{"y"}}, branch, []string{"b", "z"}, reasonHistoryRewritten},
		"a history made anew from nothing":         {had(branch), git.Commit{Hash: "n"}, branch, nil, reasonHistoryRewritten},
		"one more commit, after a restart":         {had(branch), git.Commit{Hash: "c", Parents: []string{"b"}}, branch, []string{"b"}, ""},
		"a second commit, after a root is no news": {had(branch), git.Commit{Hash: "c", Parents: []string{"b"}}, branch, nil, ""},
	} {
		var history []v1alpha1.HistoryEntry
		for _, commit := range c.past {
			history = append(history, v1alpha1.HistoryEntry{Commit: commit})
		}
		if got := surprise(c.before, c.now, git.Tip{Ref: c.ref}, history); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// repository is a real git http-backend with one repository and a work tree, and a
// controller that reads it.
type repository struct {
	t          *testing.T
	url        string
	bare, work string
	requests   atomic.Int32
	controller *Controller
	events     *record.FakeRecorder
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	execPath, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatalf("git is needed: %v", err)
	}
	root := t.TempDir()
	r := &repository{t: t, bare: filepath.Join(root, "repo.git"), work: filepath.Join(root, "work"), events: record.NewFakeRecorder(100)}
	backend := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(execPath)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1"},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.requests.Add(1)
		backend.ServeHTTP(w, request)
	}))
	t.Cleanup(server.Close)
	r.url = server.URL + "/repo.git"
	r.git(root, "init", "-q", "--bare", "-b", "main", r.bare)
	r.git(root, "clone", "-q", r.bare, r.work)
	r.git(r.work, "checkout", "-q", "-B", "main")
	metrics := NewMetrics(prometheus.NewRegistry())
	clones := filepath.Join(root, "cache")
	r.controller = &Controller{
		Git: &git.Client{Dir: clones, Sent: metrics.Requested}, Reader: &reader.Reader{Dir: clones}, Metrics: metrics, Events: r.events,
	}
	return r
}

func (r *repository) git(dir string, args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.com", "GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// push commits a ConfigMap of that name, and runs git with further arguments before it
// pushes all branches and tags as they are then.
func (r *repository) push(name string, then ...string) string {
	r.t.Helper()
	manifest := fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: default}\n", name)
	if err := os.WriteFile(filepath.Join(r.work, "config.yaml"), []byte(manifest), 0o600); err != nil {
		r.t.Fatal(err)
	}
	r.git(r.work, "add", "-A")
	r.git(r.work, "commit", "-q", "-m", name)
	if len(then) > 0 {
		r.git(r.work, then...)
	}
	r.upload()
	return r.git(r.work, "rev-parse", "HEAD")
}

func (r *repository) upload() {
	r.t.Helper()
	r.git(r.work, "push", "-q", "-f", "--prune", "origin", "refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*")
}

func (r *repository) follow(name string, ref v1alpha1.GitRef) *v1alpha1.GitSync {
	return &v1alpha1.GitSync{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Generation: 1},
		Spec:       v1alpha1.GitSyncSpec{Source: v1alpha1.GitSource{URL: r.url, InsecureHTTP: true, Ref: ref, Interval: metav1.Duration{Duration: time.Hour}}},
	}
}

// read reads Git now, as after a person has asked, and returns the name of what it
// declares, the commit and what went wrong.
func (r *repository) read(gs *v1alpha1.GitSync) (object, commit string, err error) {
	r.t.Helper()
	gs.Annotations = map[string]string{v1alpha1.AnnotationReconcileAt: time.Now().String()}
	r.controller.wants(name(gs), time.Now())
	o := newOutcome(gs)
	declared, err := r.controller.read(r.t.Context(), gs, o)
	if declared != nil {
		object = declared.Objects[0].GetName()
	}
	if o.fetched != nil {
		commit = o.fetched.Commit
	}
	gs.Status = o.status(time.Now())
	return object, commit, err
}

func (r *repository) want(gs *v1alpha1.GitSync, name, commit string, reason error) error {
	r.t.Helper()
	gotName, gotCommit, err := r.read(gs)
	if gotName != name || gotCommit != commit || !errors.Is(err, reason) {
		r.t.Errorf("it declares %q of %s (%v), want %q of %s (%v)", gotName, gotCommit, err, name, commit, reason)
	}
	return err
}

// said are the events since the last call.
func (r *repository) said() string {
	var out []string
	for len(r.events.Events) > 0 {
		out = append(out, <-r.events.Events)
	}
	return strings.Join(out, "\n")
}

// TestTheLastGoodCommitStays takes from a repository, one after the other, what a
// GitSync follows: what it had goes on, and the reason is said.
func TestTheLastGoodCommitStays(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	gs := r.follow("fleet", v1alpha1.GitRef{Branch: "main"})
	_ = r.want(gs, "", "", git.EmptyRepository)
	first := r.push("first")
	_ = r.want(gs, "first", first, nil)

	r.git(r.work, "branch", "-q", "other")
	r.upload()
	r.git(r.bare, "symbolic-ref", "HEAD", "refs/heads/other")
	r.git(r.bare, "update-ref", "-d", "refs/heads/main")
	err := r.want(gs, "first", first, git.RefNotFound)
	if !strings.Contains(err.Error(), "it has other, and other is its default branch") {
		t.Errorf("a branch that is gone: %v", err)
	}
	r.git(r.bare, "update-ref", "-d", "refs/heads/other")
	_ = r.want(gs, "first", first, git.EmptyRepository)
	if err := os.Rename(r.bare, r.bare+".gone"); err != nil {
		t.Fatal(err)
	}
	_ = r.want(gs, "first", first, git.RepositoryNotFound)
	if err := os.Rename(r.bare+".gone", r.bare); err != nil {
		t.Fatal(err)
	}
	second := r.push("second")
	_ = r.want(gs, "second", second, nil)
	if said := r.said(); said != "" {
		t.Errorf("events: %s", said)
	}
}

func TestARewrittenHistoryIsFollowedAndSaid(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	gs := r.follow("fleet", v1alpha1.GitRef{Branch: "main"})
	first := r.push("first")
	_ = r.want(gs, "first", first, nil)
	second := r.push("second")
	_ = r.want(gs, "second", second, nil)
	if said := r.said(); said != "" {
		t.Errorf("a branch that goes forward: %s", said)
	}
	r.git(r.work, "reset", "-q", "--hard", first)
	amended := r.push("amended")
	_ = r.want(gs, "amended", amended, nil)
	if said := r.said(); !strings.Contains(said, "Warning HistoryRewritten the history of branch main was rewritten: commit "+short(second)) || !strings.Contains(said, short(amended)) {
		t.Errorf("a branch that was amended: %q", said)
	}
	r.git(r.work, "reset", "-q", "--hard", first)
	r.upload()
	_ = r.want(gs, "first", first, nil)
	if said := r.said(); !strings.Contains(said, "HistoryRewritten") {
		t.Errorf("a branch that was taken back: %q", said)
	}
	_ = r.want(gs, "first", first, nil)
	if said := r.said(); said != "" {
		t.Errorf("it is said again: %q", said)
	}
}

func TestAMovedTagIsFollowedAndSaid(t *testing.T) {
	t.Parallel()
	for name, ref := range map[string]v1alpha1.GitRef{"a tag": {Tag: "v1.2.3"}, "a range": {Semver: "1.x"}, "a name": {Name: "refs/tags/v1.2.3"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRepository(t)
			gs := r.follow("fleet", ref)
			first := r.push("first", "tag", "v1.2.3")
			_ = r.want(gs, "first", first, nil)
			if f := gs.Status.Fetched; f.Ref != "refs/tags/v1.2.3" || f.MovedFrom != "" {
				t.Errorf("fetched is %+v, want the tag", f)
			}
			second := r.push("second", "tag", "-f", "-a", "-m", "again", "v1.2.3")
			_ = r.want(gs, "second", second, nil)
			if f := gs.Status.Fetched; f.MovedFrom != first {
				t.Errorf("fetched is %+v, want that it was moved from %s", f, first)
			}
			if said := r.said(); !strings.Contains(said, "Warning TagMoved tag v1.2.3 has moved from commit "+short(first)+" to "+short(second)) {
				t.Errorf("events: %q", said)
			}
			r.controller.memory = nil // a new process
			gs.Status.ObservedGeneration = gs.Generation
			_ = r.want(gs, "second", second, nil)
			if f := gs.Status.Fetched; f.MovedFrom != first {
				t.Errorf("after a restart fetched is %+v, want that it was moved from %s", f, first)
			}
			if said := r.said(); said != "" {
				t.Errorf("after a restart it is said again: %q", said)
			}
			third := r.push("third", "tag", "-f", "v1.2.3")
			r.controller.memory = nil
			_ = r.want(gs, "third", third, nil)
			if said := r.said(); !strings.Contains(said, "TagMoved") {
				t.Errorf("moved while no process looked: %q", said)
			}
		})
	}
}

func TestARangeGoesUp(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	gs := r.follow("fleet", v1alpha1.GitRef{Semver: "1.x"})
	first := r.push("first", "tag", "v1.0.0")
	_ = r.want(gs, "first", first, nil)
	second := r.push("second", "tag", "v1.1.0")
	r.push("third", "tag", "v2.0.0")
	_ = r.want(gs, "second", second, nil)
	if got := gs.Status.Fetched.Ref; got != "refs/tags/v1.1.0" {
		t.Errorf("the tag is %s", got)
	}
	r.git(r.work, "tag", "-d", "v1.1.0", "v1.0.0")
	r.upload()
	err := r.want(gs, "second", second, git.RefNotFound)
	if !strings.Contains(err.Error(), "the highest is v2.0.0") {
		t.Errorf("no tag is left: %v", err)
	}
	if said := r.said(); said != "" {
		t.Errorf("events: %s", said)
	}
}

// TestManyReadAsOne has GitSyncs of one repository read a commit, and counts what went
// to the server: a question, and a fetch with its own list of refs.
func TestManyReadAsOne(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	commit := r.push("first")
	var all []*v1alpha1.GitSync
	for i := range 50 {
		gs := r.follow(fmt.Sprintf("fleet-%d", i), v1alpha1.GitRef{Branch: "main"})
		r.controller.wants(name(gs), time.Now())
		all = append(all, gs)
	}
	read := func(want string) {
		t.Helper()
		for _, gs := range all {
			o := newOutcome(gs)
			declared, err := r.controller.read(t.Context(), gs, o)
			if err != nil || declared == nil || o.declared != want {
				t.Fatalf("%s declares %v of %s: %v", gs.Name, declared, o.declared, err)
			}
		}
	}
	read(commit)
	if got := r.requests.Swap(0); got != 3 {
		t.Errorf("%d requests for 50 GitSyncs, want 3", got)
	}
	read(commit)
	if got := r.requests.Swap(0); got != 0 {
		t.Errorf("%d requests while nobody asks, want none", got)
	}
	commit = r.push("second")
	for _, gs := range all {
		gs.Generation++
	}
	at := time.Now()
	for _, gs := range all {
		r.controller.wants(name(gs), at)
	}
	read(commit)
	if got := r.requests.Load(); got != 3 {
		t.Errorf("%d requests for another commit, want 3", got)
	}
	for _, op := range []string{"ls-remote", "fetch"} {
		if got := testutil.ToFloat64(r.controller.Metrics.requests.WithLabelValues(op, "ok")); got != 2 {
			t.Errorf("%v of %s are counted for two commits, want 2", got, op)
		}
	}
}
