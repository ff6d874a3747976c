package git_test

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/sync/git"
)

func certificate(s *server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.HTTP.Certificate().Raw})
}

// noise is text that does not compress.
// TestABlobBomb pushes 96 MiB of zeros, which are 96 KiB on the wire, and watches the memory.
// TestATreeBomb makes a tree of 10^7 paths out of eight objects.
// mktree writes a tree object as it is told, without the checks of git.
func TestNamesThatNoTreeMayHave(t *testing.T) {
	s := newServer(t)
	s.push("one", map[string]string{"f": "x"})
	blob := s.git(s.work, "rev-parse", "HEAD:f")
	for _, name := range []string{"..", ".", ".git", ".GIT", "a/b", `a\b`, "a\xff", "twice"} {
		t.Run(name, func(t *testing.T) {
			text := fmt.Sprintf("100644 blob %s\t%s\n", blob, name)
			if name == "twice" {
				text += text
			}
			commit := s.git(s.work, "commit-tree", "-m", "x", s.mktree(text))
			s.git(s.work, "push", "-q", "-f", "origin", commit+":main")
			_, err := (&git.Client{Dir: t.TempDir()}).Fetch(t.Context(), s.source(), "")
			wantError(t, err, git.CorruptRepository, "entr")
		})
	}
}

func TestWhatIsNoFile(t *testing.T) {
	s := newServer(t)
	first := s.push("one", map[string]string{
		"lfs.yaml": "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "real/a.yaml": "x",
	})
	for link, target := range map[string]string{"passwd.yaml": "/etc/passwd", "dir": "real", "loop": "loop"} {
		if err := os.Symlink(target, filepath.Join(s.work, link)); err != nil {
			t.Fatal(err)
		}
	}
	s.git(s.work, "add", "-A")
	s.git(s.work, "update-index", "--add", "--cacheinfo", "160000,"+first+",module")
	s.commit("two")
	snapshot := fetch(t, &git.Client{Dir: t.TempDir()}, s.source(), "")
	for name, reason := range map[string]git.Reason{
		"passwd.yaml": git.SymlinkUnsupported, "dir": git.SymlinkUnsupported, "dir/a.yaml": git.SymlinkUnsupported,
		"loop": git.SymlinkUnsupported, "loop/loop": git.SymlinkUnsupported,
		"module": git.SubmoduleUnsupported, "module/x": git.SubmoduleUnsupported, "lfs.yaml": git.LFSUnsupported,
	} {
		_, err := snapshot.ReadFile(name)
		wantError(t, err, reason, strings.Split(name, "/")[0], "commit ")
		if _, err := snapshot.Open(name); !errors.Is(err, reason) {
			t.Errorf("Open(%s): %v", name, err)
		}
		if _, err := snapshot.ReadDir(name); err == nil {
			t.Errorf("ReadDir(%s) gave a list", name)
		}
	}
	entries, err := snapshot.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, e := range entries {
		listed = append(listed, fs.FormatDirEntry(e))
	}
	want := "L dir - lfs.yaml L loop ? module L passwd.yaml d real/"
	if got := strings.Join(listed, " "); got != want {
		t.Errorf("the root is %q, want %q", got, want)
	}
}

// unpacked puts the objects of the one clone of a cache into single files.
func TestAnswersThatAreNotPacks(t *testing.T) {
	s := newServer(t)
	s.push("one", map[string]string{"a": "1"})
	backend := s.Handler
	for sentence, answer := range map[string]string{
		"nothing":                    "",
		"no pack":                    "0008NAK\n0000",
		"an error of the server":     "0008NAK\n0016\x03fatal: " + "no way\n0000",
		"a pack that says 2^32-1":    "0008NAK\n0011\x01PACK\x00\x00\x00\x02\xff\xff\xff\xff0000",
		"a pack without its objects": "0008NAK\n0011\x01PACK\x00\x00\x00\x02\x00\x00\x00\x090000",
		"text":                       "hello",
	} {
		t.Run(sentence, func(t *testing.T) {
			s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodPost {
					backend.ServeHTTP(w, r)
					return
				}
				_, _ = w.Write([]byte(answer))
			})
			client := &git.Client{Dir: t.TempDir()}
			_, err := client.Fetch(t.Context(), s.source(), "")
			var own *git.Error
			if !errors.As(err, &own) || len(clones(t, client.Dir)) != 0 {
				t.Errorf("got %v, and a cache of %v", err, clones(t, client.Dir))
			}
		})
	}
}

func TestATextOfACommitIsMadeHarmless(t *testing.T) {
	s := newServer(t)
	s.push("one", map[string]string{"a": "1"})
	s.git(s.work, "commit", "-q", "--amend", "--author", "A\u202eB <x@y>", "-m", "\x1b[31mred\u2028 "+strings.Repeat("é", 300))
	s.git(s.work, "push", "-q", "-f", "origin", "HEAD:main")
	got := fetch(t, &git.Client{Dir: t.TempDir()}, s.source(), "").Commit
	if strings.ContainsAny(got.Subject+got.Author, "\x1b\u202e\u2028") || len([]rune(got.Subject)) > 201 {
		t.Errorf("got %q by %q", got.Subject, got.Author)
	}
}
