package reader

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-dev/rollcall/sync/git"
)

// played is a reader whose child is one of children.
func played(t *testing.T, child string, l Limits) *Reader {
	t.Helper()
	return &Reader{Dir: t.TempDir(), Limits: l, Command: []string{self(), child}}
}

// TestHowAChildEnds starts a child for each way in which one can end without an answer, and wants each told apart, with
// what to do about it and nothing of what it printed.
func TestHowAChildEnds(t *testing.T) {
	const soon = 300 * time.Millisecond
	for child, want := range map[string]struct {
		limits Limits
		reason Reason
		says   []string
		commit bool
	}{
		"says-nothing":  {reason: Crashed, says: []string{"fetching ended without an answer (exit status 0)"}},
		"exits":         {reason: Crashed, says: []string{"exit status 7"}},
		"log-fatal":     {reason: Crashed, says: []string{"exit status 1", "report it as a bug"}},
		"panics":        {reason: Crashed, says: []string{"exit status 2, in github.com/rollcall-dev/rollcall/sync/reader.blowUp"}},
		"says-and-dies": {reason: Crashed, says: []string{"rendering ended without an answer"}, commit: true},
		"half-a-frame":  {reason: Crashed},
		"garbage":       {reason: Garbled, says: []string{"a frame of no known kind"}},
		"endless":       {reason: Garbled},
		"huge-frame":    {reason: Garbled, says: []string{"a frame of 4294967295 bytes"}},
		"not-json":      {reason: AnswerExceeded, limits: Limits{AnswerNesting: 3}, says: []string{"limited to 3 levels of nesting, and this one has 4"}},
		"no-parts":      {reason: Garbled, says: []string{"half of its parts"}},
		"unasked":       {reason: Garbled, says: []string{"half of its parts"}, commit: true},
		"two-commits":   {reason: Garbled, says: []string{"two commits"}, commit: true},
		"many-values":   {reason: AnswerExceeded, says: []string{"1000000 values", "--max-declared-values"}, commit: true},
		"eats-memory":   {reason: MemoryExceeded, limits: Limits{Memory: testMemory}, says: []string{"fetching needed more than 96 MiB", "--reader-memory"}},
		"eats-stack":    {reason: MemoryExceeded, limits: Limits{Memory: testMemory}},
		"is-killed":     {reason: MemoryExceeded, says: []string{"killed by the kernel", "raise the memory limit of the container"}, commit: true},
		"hangs":         {reason: DeadlineExceeded, limits: Limits{Timeout: soon}, says: []string{"rendering took longer than 300ms (--reader-timeout)"}, commit: true},
	} {
		t.Run(child, func(t *testing.T) {
			out, err := played(t, child, want.limits).Read(t.Context(), Request{})
			var own *Error
			if !errors.As(err, &own) || !errors.Is(err, want.reason) {
				t.Fatalf("the error is %T %v, want %s", err, err, want.reason)
			}
			for _, said := range want.says {
				if !strings.Contains(err.Error(), said) {
					t.Errorf("the error is %q, want it to say %q", err, said)
				}
			}
			if strings.Contains(err.Error(), "CANARY") {
				t.Errorf("the error repeats what the child printed: %s", err)
			}
			if (out.Commit != nil) != want.commit || out.Declared != nil || out.Basis != nil {
				t.Errorf("the answer beside the error is %+v", out)
			}
		})
	}
}

// TestTheParentHoldsLittle lets a child answer more than it may, and watches the memory of whoever listens.
func TestTheParentHoldsLittle(t *testing.T) {
	for child, most := range map[string]uint64{"endless": 1 << 20, "huge-frame": 1 << 20, "many-values": 24 << 20} {
		t.Run(child, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := played(t, child, Limits{}).Read(t.Context(), Request{})
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; err == nil || took > most {
				t.Errorf("%v took %d KiB, want at most %d", err, took>>10, most>>10)
			}
		})
	}
}

// TestWhatAChildHas wants a child to have nothing of its parent's but three pipes and the cache directory.
func TestWhatAChildHas(t *testing.T) {
	t.Setenv("KUBECONFIG", "/etc/s3cr3t-CANARY")
	t.Setenv("HTTPS_PROXY", "http://user:s3cr3t-CANARY@proxy")
	t.Setenv("SSL_CERT_DIR", "/etc/certs")
	t.Setenv("SSL_CERT_FILE", "/etc/ca.pem")
	r := played(t, "tells-itself", Limits{})
	inherited, err := syscall.Open(os.DevNull, syscall.O_RDONLY, 0) // without O_CLOEXEC
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(inherited) }()
	out, _ := r.Read(t.Context(), Request{Source: git.Source{URL: "https://h/r", Auth: git.Auth{Password: "s3cr3t-CANARY"}}})
	if out.Commit == nil {
		t.Fatal("it told nothing")
	}
	got := map[string]any{}
	if err := json.Unmarshal([]byte(out.Commit.Subject), &got); err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.EvalSymlinks(r.Dir)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"args": []any{"tells-itself"}, "dir": dir, "leads": true, "files": []any{"0 pipe", "1 pipe", "2 pipe"},
		"env": []any{"HOME=/nonexistent", "PATH=", "SSL_CERT_DIR=/etc/certs", "SSL_CERT_FILE=/etc/ca.pem", "TMPDIR=" + r.Dir},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a child has (-want +got):\n%s", diff)
	}
}

// TestAStoppedReadLeavesNoChild stops a read whose child would never end: the read returns, and so the child is gone.
func TestAStoppedReadLeavesNoChild(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	r := played(t, "hangs", Limits{})
	go func() {
		_, err := r.Read(ctx, Request{})
		ended <- err
	}()
	for len(childrenOf(t)) == 0 {
		runtime.Gosched()
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	if left := childrenOf(t); len(left) > 0 {
		t.Errorf("there are still %s", left)
	}
}

// childrenOf are the processes that any thread of this one started.
func childrenOf(t *testing.T) []byte {
	t.Helper()
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, list := range lists {
		if text, err := os.ReadFile(list); err == nil {
			all = append(all, bytes.TrimSpace(text)...)
		}
	}
	return all
}
