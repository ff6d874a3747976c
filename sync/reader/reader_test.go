package reader

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/render"
)

func configMap(name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {key: %q}\n", name, value)
}

// agents are a kustomization with a base, a DaemonSet with configuration, and files that it does not read.
func agents() map[string]string {
	return map[string]string{
		"prod/kustomization.yaml": "resources: [../base, extra.yaml]\nnamespace: agents\n",
		"prod/extra.yaml":         configMap("extra", "1"),
		"base/kustomization.yaml": "resources: [agent.yaml]\nconfigMapGenerator: [{name: made, files: [made.conf]}]\n",
		"base/made.conf":          "a",
		"base/agent.yaml": configMap("conf", "1") + "---\n" + `apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      containers: [{name: c, image: "i:1", envFrom: [{configMapRef: {name: conf}}], resources: {limits: {cpu: 1.0}}}]
`,
		"README.md": "read me", "other/a.yaml": configMap("other", "1"), "prod/notes.txt": "n", "base/unused.yaml": configMap("unused", "1"),
	}
}

// TestAChildReadsWhatThisProcessWould compares both.
func TestAChildReadsWhatThisProcessWould(t *testing.T) {
	s := newServer(t)
	commit := s.push(agents())
	options := render.Options{Path: "prod", Namespace: "agents"}
	client := &git.Client{Dir: t.TempDir()}
	snapshot, err := client.Fetch(t.Context(), s.source, "")
	if err != nil {
		t.Fatal(err)
	}
	want, err := render.Build(snapshot, options)
	if err != nil {
		t.Fatal(err)
	}
	got, err := (&Reader{Dir: t.TempDir()}).Read(t.Context(), Request{Source: s.source, Options: options})
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(want, got.Declared); diff != "" {
		t.Errorf("a child declares otherwise (-in process +child):\n%s", diff)
	}
	if diff := gocmp.Diff(&snapshot.Commit, got.Commit); diff != "" || got.Commit.Hash != commit {
		t.Errorf("a child reads another commit (-in process +child):\n%s", diff)
	}
	if got.Spent.Fetch <= 0 || got.Spent.Render <= 0 || got.Spent.Memory < 1<<20 || len(got.Declared.DaemonSets) != 1 {
		t.Errorf("it took %+v", got.Spent)
	}
}

// TestWhatACommitTouches reads a commit after the first one, and wants a render where it changed what the build looked at,
// and only there: also what it looked for in vain.
func TestWhatACommitTouches(t *testing.T) {
	s := newServer(t)
	r := &Reader{Dir: t.TempDir()}
	read := func(known *Basis, options render.Options) Answer {
		t.Helper()
		out, err := r.Read(t.Context(), Request{Source: s.source, Options: options, Known: known})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	built, plain := render.Options{Path: "prod", Namespace: "agents"}, render.Options{Path: "other"}
	for sentence, c := range map[string]struct {
		options   render.Options
		files     map[string]string
		unchanged bool
	}{
		"nothing":                                      {built, nil, true},
		"a file at the root":                           {built, map[string]string{"README.md": "read that"}, true},
		"another path":                                 {built, map[string]string{"other/a.yaml": configMap("other", "2")}, true},
		"a file beside the kustomization":              {built, map[string]string{"prod/notes.txt": "m"}, true},
		"a file in the base that nothing names":        {built, map[string]string{"base/unused.yaml": ""}, true},
		"a new directory":                              {built, map[string]string{"third/a.yaml": configMap("third", "2")}, true},
		"a resource":                                   {built, map[string]string{"prod/extra.yaml": configMap("extra", "2")}, false},
		"a file of the base":                           {built, map[string]string{"base/agent.yaml": configMap("conf", "2")}, false},
		"a file of a generator":                        {built, map[string]string{"base/made.conf": "b"}, false},
		"the kustomization of the base":                {built, map[string]string{"base/kustomization.yaml": "resources: [unused.yaml]\n"}, false},
		"a manifest of a plain directory":              {plain, map[string]string{"other/a.yaml": configMap("other", "2")}, false},
		"one more manifest in it":                      {plain, map[string]string{"other/b.yaml": configMap("b", "2")}, false},
		"a kustomization where there was none":         {plain, map[string]string{"other/kustomization.yaml": "resources: [a.yaml]\n"}, false},
		"a file that is no manifest, and listed":       {plain, map[string]string{"other/c.txt": "c"}, false},
		"what lies beside the path of plain manifests": {plain, map[string]string{"prod/extra.yaml": configMap("extra", "2")}, true},
	} {
		t.Run(sentence, func(t *testing.T) {
			s.push(agents())
			first := read(nil, c.options)
			commit := s.push(c.files)
			second := read(first.Basis, c.options)
			if second.Commit.Hash != commit || second.Unchanged != c.unchanged || (second.Declared == nil) != c.unchanged {
				t.Fatalf("unchanged is %t at %s, want %t at %s", second.Unchanged, second.Commit.Hash, c.unchanged, commit)
			}
			if third := read(second.Basis, c.options); !third.Unchanged {
				t.Error("the same commit is rendered again")
			}
			fresh := read(nil, c.options).Declared
			if c.unchanged && !gocmp.Equal(first.Declared, fresh) {
				t.Errorf("it is not unchanged:\n%s", gocmp.Diff(first.Declared, fresh))
			}
			s.git(s.work, "rm", "-rq", ".")
		})
	}
	t.Run("other options", func(t *testing.T) {
		s.push(agents())
		first := read(nil, built)
		if read(first.Basis, render.Options{Path: "prod", Namespace: "another"}).Unchanged {
			t.Error("nothing is rendered for another namespace")
		}
	})
}

// TestErrorsOfAChild are those that git and render have, with the commit where there is one.
func TestErrorsOfAChild(t *testing.T) {
	s := newServer(t)
	s.push(map[string]string{"bad/a.yaml": "a: [", "bad/b.yaml": "b: {", "many/a.yaml": configMap("a", "1") + "---\n" + configMap("b", "1")})
	for name, c := range map[string]struct {
		source  git.Source
		reader  *Reader
		path    string
		reason  error
		says    string
		commit  bool
		renders int
	}{
		"no such ref":       {source: git.Source{URL: s.source.URL, Ref: "refs/heads/x", InsecureHTTP: true}, reason: git.RefNotFound, says: "it has main"},
		"no such path":      {source: s.source, path: "x", reason: render.PathNotFound, commit: true, renders: 1},
		"two broken files":  {source: s.source, path: "bad", reason: render.InvalidYAML, says: "bad/b.yaml", commit: true, renders: 2},
		"a limit of git":    {source: s.source, reader: &Reader{Git: git.Limits{WireBytes: 10}}, reason: git.LimitExceeded, says: "10"},
		"a limit of render": {source: s.source, reader: &Reader{Render: render.Limits{Objects: 1}}, path: "many", reason: render.LimitExceeded, says: "limited to 1", commit: true, renders: 1},
		"a limit of ours":   {source: s.source, reader: &Reader{Limits: Limits{AnswerBytes: 100}}, path: "many", reason: AnswerExceeded, says: "limited to 100 bytes", commit: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := cmp.Or(c.reader, &Reader{})
			r.Dir = t.TempDir()
			out, err := r.Read(t.Context(), Request{Source: c.source, Options: render.Options{Path: c.path}})
			if !errors.Is(err, c.reason) || !strings.Contains(err.Error(), c.says) || len(render.List(err)) != c.renders {
				t.Fatalf("the error is %#v: %v", err, err)
			}
			if (out.Commit != nil) != c.commit || out.Basis != nil {
				t.Errorf("the answer is %+v", out)
			}
		})
	}
}

// TestCredentialsReachTheServer wants them there, and on no other way.
func TestCredentialsReachTheServer(t *testing.T) {
	s := newServer(t)
	s.push(agents())
	s.source.Auth = git.Auth{Username: "ann", Password: "s3cr3t"}
	behind := s.Handler
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "ann" || password != "s3cr3t" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		behind.ServeHTTP(w, r)
	})
	if _, err := (&Reader{Dir: t.TempDir()}).Read(t.Context(), Request{Source: s.source, Options: render.Options{Path: "prod"}}); err != nil {
		t.Error(err)
	}
}

// TestACommitIsFetchedOnceForAll has twenty ask for the same, each in a process of its own.
func TestACommitIsFetchedOnceForAll(t *testing.T) {
	s := newServer(t)
	commit := s.push(agents())
	var packs atomic.Int32
	backend := s.Handler
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			packs.Add(1)
		}
		backend.ServeHTTP(w, r)
	})
	r := &Reader{Dir: t.TempDir()}
	var asked atomic.Int32
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() {
			out, err := r.Read(t.Context(), Request{For: fmt.Sprint(i), Source: s.source, Tip: git.Tip{Commit: commit}, Options: render.Options{Path: "prod"}})
			if err != nil || out.Commit.Hash != commit || out.Declared == nil {
				t.Errorf("%+v, %v", out, err)
			}
			if out.Spent.Asked {
				asked.Add(1)
			}
		})
	}
	wait.Wait()
	if packs.Load() != 1 || asked.Load() != 1 {
		t.Errorf("the server gave %d packs and %d answers say that it was asked, want one", packs.Load(), asked.Load())
	}
}

// TestACommitThatNoRefNamesAnyMore is read by its name from an earlier fetch.
func TestACommitThatNoRefNamesAnyMore(t *testing.T) {
	s := newServer(t)
	old := s.push(agents())
	r := &Reader{Dir: t.TempDir()}
	options := render.Options{Path: "prod"}
	for _, q := range []Request{{}, {Tip: git.Tip{Commit: old}, Exact: true}} {
		q.Source, q.Options = s.source, options
		out, err := r.Read(t.Context(), q)
		if err != nil || out.Commit.Hash != old {
			t.Fatalf("%+v, %v", out, err)
		}
		s.push(map[string]string{"README.md": "2"})
	}
}
