package git_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/rollcall-dev/rollcall/sync/git"
)

// capabilitiesOf are those that a client asks for, behind the object that it wants first.
func capabilitiesOf(request []byte) []string {
	line, _, _ := strings.Cut(string(request), "\n")
	if fields := strings.Fields(line); len(fields) > 2 {
		return fields[2:]
	}
	return nil
}

// TestServersThatWantMultiAck puts before git what Azure DevOps and AWS CodeCommit do: a client that does not ask for
// multi_ack or multi_ack_detailed is told that it may not (go-git#64, go-git#613), though a clone has nothing to be
// acknowledged.
func TestServersThatWantMultiAck(t *testing.T) {
	s := newServer(t)
	commit := s.push("one", map[string]string{"a": "1"})
	backend := s.Handler
	for sentence, c := range map[string]struct{ offered, wanted string }{
		"both are offered":          {"multi_ack multi_ack_detailed ", "multi_ack_detailed"},
		"only the older is offered": {"multi_ack ", "multi_ack"},
		"none is offered":           {"", ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			var asked []string
			s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					backend.ServeHTTP(&rewriter{ResponseWriter: w, offered: c.offered}, r)
					return
				}
				body, _ := io.ReadAll(r.Body)
				asked = capabilitiesOf(body)
				if c.wanted != "" && !slices.Contains(asked, c.wanted) {
					http.Error(w, "multi_ack is required", http.StatusBadRequest)
					return
				}
				r.Body = io.NopCloser(bytes.NewReader(body))
				backend.ServeHTTP(w, r)
			})
			if got := fetch(t, &git.Client{Dir: t.TempDir()}, s.source(), "").Commit.Hash; got != commit {
				t.Errorf("got %s", got)
			}
			for _, not := range []string{"thin-pack", map[bool]string{true: "multi_ack_detailed", false: "-"}[c.wanted != "multi_ack_detailed"]} {
				if slices.Contains(asked, not) {
					t.Errorf("the client asks for %s: %v", not, asked)
				}
			}
		})
	}
	t.Run("a redirect on the way does not hide them", func(t *testing.T) {
		asked := ""
		s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				body, _ := io.ReadAll(r.Body)
				asked = strings.Join(capabilitiesOf(body), " ")
				r.Body = io.NopCloser(bytes.NewReader(body))
			}
			if path, ok := strings.CutPrefix(r.URL.Path, "/old"); ok {
				w.Header().Set("Location", path+"?"+r.URL.RawQuery)
				w.WriteHeader(http.StatusMovedPermanently)
				_, _ = io.WriteString(w, "\x00moved\n")
				return
			}
			backend.ServeHTTP(w, r)
		})
		source := s.source()
		source.URL = s.HTTP.URL + "/old/repo.git"
		fetch(t, &git.Client{Dir: t.TempDir()}, source, "")
		if !strings.Contains(asked, "multi_ack_detailed") {
			t.Errorf("the client asks for %q", asked)
		}
	})
}

// rewriter changes which ways of acknowledging a server offers, in the packet line that has them.
type rewriter struct {
	http.ResponseWriter
	offered string
}

func (w *rewriter) Write(p []byte) (int, error) {
	var out bytes.Buffer
	for rest := p; len(rest) >= 4; {
		n := 4
		if size := int(unhex(rest[:4])); size > 4 {
			n = min(size, len(rest))
		}
		line := string(rest[:n])
		if before, after, ok := strings.Cut(line, "\x00"); ok {
			after = strings.ReplaceAll(strings.ReplaceAll(after, "multi_ack_detailed ", ""), "multi_ack ", "")
			line = before + "\x00" + w.offered + after
			line = hex(len(line)) + line[4:]
		}
		out.WriteString(line)
		rest = rest[n:]
	}
	_, err := w.ResponseWriter.Write(out.Bytes())
	return len(p), err
}

const digits = "0123456789abcdef"

func hex(n int) string {
	return string([]byte{digits[n>>12&15], digits[n>>8&15], digits[n>>4&15], digits[n&15]})
}

func unhex(b []byte) (n int) {
	for _, c := range b {
		n = n<<4 | max(strings.IndexByte(digits, c), 0)
	}
	return n
}

// TestWhatIsAskedForOverSSH reads the request of a client over ssh; what answers it is git itself.
func TestWhatIsAskedForOverSSH(t *testing.T) {
	s := newSSHD(t)
	s.push("one", map[string]string{"a": "1"})
	asked := make(chan []string, 1)
	source := ownSSHD(t, func(conn net.Conn, c *ssh.ServerConfig) {
		channel := accepted(t, conn, c, true)
		if channel == nil {
			return
		}
		_, _ = io.WriteString(channel, "00"+hex(len(listing(s)) + 4)[2:]+listing(s)+"0000")
		var request []byte
		for !bytes.HasSuffix(request, []byte("0009done\n")) {
			more := make([]byte, 4096)
			n, err := channel.Read(more)
			if err != nil {
				break
			}
			request = append(request, more[:n]...)
		}
		asked <- capabilitiesOf(request)
	})
	_, err := (&git.Client{Dir: t.TempDir()}).Fetch(t.Context(), source, "")
	wantError(t, err, git.InvalidAnswer, "said nothing")
	if got := <-asked; !slices.Contains(got, "multi_ack_detailed") || slices.Contains(got, "thin-pack") {
		t.Errorf("the client asks for %v", got)
	}
}

func listing(s *sshd) string {
	return s.git(s.bare, "rev-parse", "main") + " refs/heads/main\x00multi_ack thin-pack side-band-64k ofs-delta shallow multi_ack_detailed\n"
}
