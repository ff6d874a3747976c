package git_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/sync/git"
)

// allocated is how many bytes were allocated while do ran, in all: no peak can be higher.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestAMillionRefs asks a server with a million refs for one of them, and for one that it does not have.
func TestAMillionRefs(t *testing.T) {
	s := newServer(t)
	commit := s.push("one", map[string]string{"a": "1"})
	refs, err := os.Create(filepath.Join(s.bare, "packed-refs"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(refs, "# pack-refs with: peeled fully-peeled sorted ")
	for i := range 1_000_000 {
		fmt.Fprintf(refs, "%s refs/heads/b%06d\n", commit, i)
	}
	if err := refs.Close(); err != nil {
		t.Fatal(err)
	}
	source := s.source()
	source.Ref = "refs/heads/b777777"
	client := &git.Client{Dir: t.TempDir()}
	const most = 1 << 20
	took := allocated(func() {
		got, err := leads(t.Context(), client, source)
		if err != nil || got != commit {
			t.Errorf("resolved %q: %v", got, err)
		}
	})
	if took > most {
		t.Errorf("finding a ref allocated %d KiB", took>>10)
	}
	t.Logf("finding one of a million refs allocated %d KiB", took>>10)
	source.Ref = "refs/heads/none"
	took = allocated(func() {
		_, err := leads(t.Context(), client, source)
		wantError(t, err, git.RefNotFound, "it has b000000, b000001, ", "b000009 and 999991 more") // main is the last one
	})
	if took > most {
		t.Errorf("finding none allocated %d KiB", took>>10)
	}
}

// TestAnswersWithoutEnd lets a server go on for ever, in each part of its answer.
func TestAnswersWithoutEnd(t *testing.T) {
	s := newServer(t)
	s.push("one", map[string]string{"a": "1"})
	backend := s.Handler
	line := func(text string) string { return fmt.Sprintf("%04x%s", len(text)+4, text) }
	const service = "001e# service=git-upload-pack\n0000"
	ref := strings.Repeat("1", 40) + " refs/heads/"
	for sentence, c := range map[string]struct {
		post      bool
		start     string
		block     string
		limit     string
		mostBytes uint64
	}{
		"refs":             {start: service + line(ref+"a\x00side-band-64k\n"), block: line(ref + "b\n"), limit: "RefBytes", mostBytes: 1 << 20},
		"one ref's name":   {start: service, block: "fff0" + strings.Repeat("r", 65516), mostBytes: 4 << 20},
		"empty lines":      {start: service, block: "0004", mostBytes: 1 << 20},
		"flushes":          {start: service, block: "0000", mostBytes: 1 << 20},
		"no lines":         {start: service, block: "zzzz", mostBytes: 1 << 20},
		"progress":         {post: true, start: "0008NAK\n", block: line("\x02" + strings.Repeat("p", 1000)), limit: "WireBytes", mostBytes: 2 << 20},
		"acknowledgements": {post: true, block: line("ACK " + strings.Repeat("1", 40) + " continue\n"), limit: "WireBytes", mostBytes: 16 << 20},
		"a pack":           {post: true, start: "0008NAK\n", block: line("\x01" + strings.Repeat("p", 1000)), limit: "WireBytes", mostBytes: 2 << 20},
	} {
		t.Run(sentence, func(t *testing.T) {
			s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if (r.Method == http.MethodPost) != c.post {
					backend.ServeHTTP(w, r)
					return
				}
				w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
				if c.post {
					w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
				}
				block := []byte(strings.Repeat(c.block, max(1, 32<<10/len(c.block))))
				_, err := io.WriteString(w, c.start)
				for err == nil {
					_, err = w.Write(block)
				}
			})
			client := &git.Client{Dir: t.TempDir(), Limits: git.Limits{RefBytes: 16 << 20, WireBytes: 16 << 20}}
			var err error
			// The server is in this process too, and allocates as much as it buffers.
			took := allocated(func() { _, err = client.Fetch(t.Context(), s.source(), "") })
			t.Logf("%v allocated %d KiB", err, took>>10)
			if c.limit != "" {
				wantError(t, err, git.LimitExceeded, c.limit+" is limited to 16777216")
			} else if err == nil {
				t.Error("it is taken for a repository")
			}
			if took > c.mostBytes {
				t.Errorf("it allocated %d KiB, want at most %d", took>>10, c.mostBytes>>10)
			}
			if left := clones(t, client.Dir); len(left) != 0 {
				t.Errorf("the cache holds %v", left)
			}
		})
	}
}

// TestASlowLoris sends one byte at a time, for ever.
func TestASlowLoris(t *testing.T) {
	s := newServer(t)
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		_, _ = io.WriteString(w, "001e# service=git-upload-pack\n0000fff0")
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-r.Context().Done():
				return
			case <-tick.C:
				_, _ = io.WriteString(w, "0")
				w.(http.Flusher).Flush()
			}
		}
	})
	client := &git.Client{Limits: git.Limits{ResolveTimeout: 200 * time.Millisecond}}
	var err error
	took := allocated(func() { _, err = leads(t.Context(), client, s.source()) })
	wantError(t, err, git.Unreachable, "did not answer in time")
	if took > 1<<20 {
		t.Errorf("it allocated %d KiB", took>>10)
	}
}

// TestRefsThatLeadOutside has a server name refs whose names are ways out of a directory.
func TestRefsThatLeadOutside(t *testing.T) {
	s := newServer(t)
	commit := s.push("one", map[string]string{"a": "1"})
	backend := s.Handler
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			backend.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		text := "001e# service=git-upload-pack\n0000"
		for i, name := range []string{"HEAD", "refs/heads/../../../../escaped", "refs/heads/main", "refs/heads/\u2024\u2024/x", "refs/../../escaped"} {
			line := commit + " " + name
			if i == 0 {
				line += "\x00side-band-64k shallow symref=HEAD:refs/heads/../../../../escaped"
			}
			text += fmt.Sprintf("%04x%s\n", len(line)+5, line)
		}
		_, _ = io.WriteString(w, text+"0000")
	})
	dir := t.TempDir()
	client := &git.Client{Dir: filepath.Join(dir, "a", "b", "cache")}
	if got := fetch(t, client, s.source(), "").Commit.Hash; got != commit {
		t.Errorf("fetched %s", got)
	}
	for _, ref := range []string{"refs/heads/../../../../escaped", "refs/../../escaped"} {
		source := s.source()
		source.Ref = ref
		_, err := client.Fetch(t.Context(), source, "")
		wantError(t, err, git.InvalidSource, "not the full name of a ref")
	}
	err := filepath.WalkDir(dir, func(name string, _ os.DirEntry, err error) error {
		if strings.Contains(name, "escaped") {
			t.Errorf("there is a %s", name)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestPathsThatLeadOutside asks a commit for names that are ways out of a directory elsewhere.
func TestPathsThatLeadOutside(t *testing.T) {
	s := newServer(t)
	s.push("one", map[string]string{"a/f": "x", "\u2024\u2024/f": "dots", "．．/f": "wide dots"})
	snapshot := fetch(t, &git.Client{Dir: t.TempDir()}, s.source(), "")
	for _, name := range []string{"../f", "a/../../f", "/etc/passwd", "a\x00/f", "a\x00", `a\f`, `..\f`, "./a/f", "a//f", ""} {
		if text, err := snapshot.ReadFile(name); err == nil {
			t.Errorf("%q is read: %s", name, text)
		}
	}
	for name, want := range map[string]string{"\u2024\u2024/f": "dots", "．．/f": "wide dots"} { // names like any other
		if text, err := snapshot.ReadFile(name); err != nil || string(text) != want {
			t.Errorf("%q is %q: %v", name, text, err)
		}
	}
}
