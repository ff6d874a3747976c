package e2e

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/e2e/cluster"
	"github.com/rollcall-dev/rollcall/e2e/gitserver"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// hostile is a repository, or a server, that means harm.
type hostile struct {
	name string
	// make fills the repository; nil for what the server does.
	make func(w *world, r *gitserver.Repo)
	// serve answers in the place of Git's server; nil for Git's own.
	serve func(git http.Handler) http.Handler
	// reasons are what the GitSync may say.
	reasons []string
	// says is what its message has.
	says string
}

// hostiles are the ways in which a repository has hurt a controller before, this one or another.
func hostiles() []hostile {
	return []hostile{
		{name: "a blob of a gibibyte in a mebibyte", make: blobBomb, reasons: []string{"LimitExceeded"}, says: "--max-object-bytes"},
		{name: "ten million paths of eight trees", make: treeBomb, reasons: []string{"LimitExceeded"}, says: "--max-objects"},
		{name: "a million refs, and not the one", make: manyRefs, reasons: []string{"RefNotFound"}, says: "and 999990 more"},
		{name: "aliases of aliases", make: pushing("bomb.yaml", aliasBomb()), reasons: []string{"LimitExceeded"}, says: "--max-yaml-nodes"},
		{name: "more than fits into memory", make: memoryEater, reasons: []string{"MemoryExceeded", "DeadlineExceeded"}, says: "--reader-"},
		{name: "patches without end", make: timeEater, reasons: []string{"DeadlineExceeded", "MemoryExceeded"}, says: "rendering"},
		{name: "a list of refs without end", serve: endlessRefs, reasons: []string{"LimitExceeded"}, says: "--max-ref-bytes"},
		{name: "a pack without end", serve: endlessPack, reasons: []string{"LimitExceeded"}, says: "--max-fetch-bytes"},
		{name: "a byte at a time", serve: slowLoris, reasons: []string{"GitUnreachable"}, says: "did not answer in time"},
		{name: "a link to the passwords", make: aLink, reasons: []string{"SymlinkUnsupported", "BuildFailed"}, says: "symbolic links"},
	}
}

// TestHostileRepositories follows a good repository, alone and then beside all hostile ones at once: pushes to it are applied
// all the same, each hostile one is told what it does, and the controller stays small and is never restarted. It has the
// machine for itself: it takes all of it.
func TestHostileRepositories(t *testing.T) {
	w := idleWorld(t, cluster.Options{Nodes: 2})
	w.options.Args = []string{"--reader-memory=128Mi", "--reader-timeout=20s", "--git-timeout=10s", "--max-fetch-bytes=64Mi", "--max-total-bytes=64Mi", "--max-file-bytes=64Mi"}
	w.startController()
	w.policy(hurried())
	w.push("an agent", map[string]string{"daemonset.yaml": manifest("v1"), "settings.yaml": plainConfig("settings", "0")})
	w.follow()
	const pushes, patience, most = 5, 20 * time.Second, 160 << 20
	served := func(round string) {
		var slowest time.Duration
		for i := range pushes {
			began := time.Now()
			commit := w.push("another value", map[string]string{"settings.yaml": plainConfig("settings", fmt.Sprintf("%s %d", round, i))})
			w.waitSync("the push is applied, "+round, patience, func(gs *v1alpha1.GitSync) bool { return gs.Status.Applied == commit })
			slowest = max(slowest, time.Since(began))
		}
		t.Logf("%s a push was applied within %s; the controller had at most %d MiB", round, slowest.Round(time.Millisecond), w.usage().MostResident>>20)
	}
	served("alone")
	for i, h := range hostiles() {
		w.followHostile(fmt.Sprintf("hostile-%d", i), h)
	}
	served("beside hostile ones")
	for i, h := range hostiles() {
		w.wantTold(fmt.Sprintf("hostile-%d", i), h)
	}
	served("when all are known")
	if usage := w.usage(); usage.MostResident > most {
		t.Errorf("the controller had %d MiB, want at most %d", usage.MostResident>>20, most>>20)
	}
}

// followHostile makes a GitSync of a hostile repository.
func (w *world) followHostile(name string, h hostile) {
	w.t.Helper()
	repo, err := w.git.NewRepo(w.t.Context(), name)
	w.must(err, "make repository")
	if h.make != nil {
		h.make(w, repo)
	} else {
		pushing("settings.yaml", plainConfig(name, "1"))(w, repo)
	}
	address := repo.URL
	if h.serve != nil {
		target, err := url.Parse(w.git.URL)
		w.must(err, "parse URL")
		server := httptest.NewServer(h.serve(httputil.NewSingleHostReverseProxy(target)))
		w.t.Cleanup(server.CloseClientConnections)
		address = server.URL + "/" + name + ".git"
	}
	_, err = w.kinds.GitSyncs(metav1.NamespaceDefault).Create(w.t.Context(), &v1alpha1.GitSync{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: metav1.NamespaceDefault},
		Spec: v1alpha1.GitSyncSpec{Source: v1alpha1.GitSource{
			URL: address, InsecureHTTP: true, Ref: v1alpha1.GitRef{Branch: "main"}, Interval: metav1.Duration{Duration: 5 * time.Second},
		}},
	}, metav1.CreateOptions{})
	w.must(err, "create GitSync")
}

// wantTold waits until a GitSync says what is wrong with its repository.
func (w *world) wantTold(name string, h hostile) {
	w.t.Helper()
	w.until(h.name+" is told", 2*time.Minute, func() (bool, string) {
		gs, err := w.kinds.GitSyncs(metav1.NamespaceDefault).Get(w.t.Context(), name, metav1.GetOptions{})
		w.must(err, "get GitSync")
		c := apimeta.FindStatusCondition(gs.Status.Conditions, "Ready")
		if c == nil {
			return false, "it says nothing"
		}
		return slices.Contains(h.reasons, c.Reason) && strings.Contains(c.Message, h.says), c.Reason + ": " + c.Message
	})
}

// pushing makes a repository with one file.
func pushing(file, content string) func(*world, *gitserver.Repo) {
	return func(w *world, r *gitserver.Repo) {
		w.t.Helper()
		w.must(r.Write(file, content), "write "+file)
		w.pushAll(r)
	}
}

func (w *world) pushAll(r *gitserver.Repo) {
	w.t.Helper()
	_, err := r.Commit(w.t.Context(), "harm")
	w.must(err, "commit")
	w.must(r.Push(w.t.Context()), "push")
}

func (w *world) in(r *gitserver.Repo, args ...string) string {
	w.t.Helper()
	out, err := r.Git(w.t.Context(), args...)
	w.must(err, "git "+args[0])
	return strings.TrimSpace(out)
}

func blobBomb(w *world, r *gitserver.Repo) {
	w.t.Helper()
	w.must(r.Write("bomb", ""), "write bomb")
	w.must(os.Truncate(filepath.Join(r.Dir, "bomb"), 1<<30), "grow bomb")
	w.in(r, "config", "core.bigFileThreshold", "1m")
	w.in(r, "config", "core.compression", "1")
	w.in(r, "--git-dir", w.in(r, "remote", "get-url", "origin"), "config", "receive.unpackLimit", "1") // it is sent as it was pushed
	w.pushAll(r)
}

// treeBomb has ten names for one tree, which has ten names for one tree, and so on.
func treeBomb(w *world, r *gitserver.Repo) {
	w.t.Helper()
	file := filepath.Join(r.Dir, "raw")
	w.must(os.WriteFile(file, []byte(plainConfig("bomb", "1")), 0o600), "write file")
	entry, mode := w.in(r, "hash-object", "-w", file), "100644"
	for range 7 {
		hash, err := hex.DecodeString(entry)
		w.must(err, "decode hash")
		var tree []byte
		for i := range 10 {
			tree = append(fmt.Appendf(tree, "%s d%d.yaml\x00", mode, i), hash...)
		}
		w.must(os.WriteFile(file, tree, 0o600), "write tree")
		entry, mode = w.in(r, "hash-object", "-t", "tree", "-w", file), "40000"
	}
	w.in(r, "push", "--quiet", "origin", w.in(r, "commit-tree", "-m", "bomb", entry)+":refs/heads/main")
}

func manyRefs(w *world, r *gitserver.Repo) {
	w.t.Helper()
	pushing("settings.yaml", plainConfig("many-refs", "1"))(w, r)
	commit := w.in(r, "rev-parse", "HEAD")
	bare := w.in(r, "remote", "get-url", "origin")
	var refs strings.Builder
	refs.WriteString("# pack-refs with: peeled fully-peeled sorted \n")
	for i := range 1_000_000 {
		fmt.Fprintf(&refs, "%s refs/heads/b%06d\n", commit, i)
	}
	w.must(os.WriteFile(filepath.Join(bare, "packed-refs"), []byte(refs.String()), 0o600), "write refs")
	w.must(os.Remove(filepath.Join(bare, "refs", "heads", "main")), "remove main")
}

func aliasBomb() string {
	out := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 12 {
		out += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	return out
}

// memoryEater is below every cap but that of memory.
func memoryEater(w *world, r *gitserver.Repo) {
	w.t.Helper()
	for i := range 900 {
		w.must(r.Write(fmt.Sprintf("c%d.yaml", i), plainConfig(fmt.Sprintf("c%d", i), strings.Repeat("a b ", 15_000))), "write")
	}
	w.pushAll(r)
}

// timeEater has every patch look at every object.
func timeEater(w *world, r *gitserver.Repo) {
	w.t.Helper()
	var all, kustomization strings.Builder
	for i := range 950 {
		all.WriteString("---\n" + plainConfig(fmt.Sprintf("c%d", i), "1"))
	}
	kustomization.WriteString("resources: [all.yaml]\npatches:\n")
	for i := range 2000 {
		fmt.Fprintf(&kustomization, "- {target: {kind: ConfigMap, name: 'c.*'}, patch: '[{op: add, path: /data/k%d, value: v}]'}\n", i)
	}
	w.must(r.Write("all.yaml", all.String()), "write")
	pushing("kustomization.yaml", kustomization.String())(w, r)
}

func aLink(w *world, r *gitserver.Repo) {
	w.t.Helper()
	w.must(r.Write("settings.yaml", plainConfig("link", "1")), "write")
	w.must(os.Symlink("/etc/passwd", filepath.Join(r.Dir, "passwords.yaml")), "link")
	w.pushAll(r)
}

// onRefs answers the question for refs, and onPack the one for a pack, in the place of git.
func onRefs(git http.Handler, answer http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			git.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		_, _ = io.WriteString(w, "001e# service=git-upload-pack\n0000")
		answer(w, r)
	})
}

func endlessRefs(git http.Handler) http.Handler {
	line := strings.Repeat("1", 40) + " refs/heads/%06d"
	return onRefs(git, func(w http.ResponseWriter, _ *http.Request) {
		first := fmt.Sprintf(line, 0) + "\x00side-band-64k shallow\n"
		_, err := fmt.Fprintf(w, "%04x%s", len(first)+4, first)
		for i := 0; err == nil; i++ {
			var lines strings.Builder
			for range 1000 {
				text := fmt.Sprintf(line, i%1_000_000) + "\n"
				fmt.Fprintf(&lines, "%04x%s", len(text)+4, text)
			}
			_, err = io.WriteString(w, lines.String())
		}
	})
}

func endlessPack(git http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			git.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
		block := strings.Repeat(fmt.Sprintf("%04x\x01%s", 5+1000, strings.Repeat("p", 1000)), 64)
		_, err := io.WriteString(w, "0008NAK\n")
		for err == nil {
			_, err = io.WriteString(w, block)
		}
	})
}

func slowLoris(git http.Handler) http.Handler {
	return onRefs(git, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "fff0")
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, "1")
			w.(http.Flusher).Flush()
			<-tick.C
		}
	})
}
