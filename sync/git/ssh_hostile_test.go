package git_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/rollcall-dev/rollcall/sync/git"
)

func TestLimitsOverSSH(t *testing.T) {
	s := newSSHD(t)
	commit := s.push("one", map[string]string{"noise": string(noise(200_000))})
	var refs strings.Builder
	for i := range 2000 {
		refs.WriteString("create refs/tags/" + strings.Repeat("n", 100) + string(rune('a'+i%26)) + strings.Repeat("x", i/26) + " " + commit + "\n")
	}
	pack := filepath.Join(s.dir, "refs")
	if err := os.WriteFile(pack, []byte(refs.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	s.git(s.bare, "-c", "alias.many=!git update-ref --stdin <"+pack, "many")
	t.Run("RefBytes", func(t *testing.T) {
		_, err := leads(t.Context(), &git.Client{Limits: git.Limits{RefBytes: 100_000}}, s.source())
		wantError(t, err, git.LimitExceeded, "RefBytes is limited to 100000")
	})
	t.Run("WireBytes", func(t *testing.T) {
		client := &git.Client{Dir: t.TempDir(), Limits: git.Limits{WireBytes: 100_000}}
		_, err := client.Fetch(t.Context(), s.source(), "")
		wantError(t, err, git.LimitExceeded, "WireBytes is limited to 100000")
		if left := clones(t, client.Dir); len(left) != 0 {
			t.Errorf("the cache holds %v", left)
		}
	})
	t.Run("what is at the limits passes", func(t *testing.T) {
		fetch(t, &git.Client{Dir: t.TempDir(), Limits: git.Limits{RefBytes: 1 << 20, WireBytes: 300_000}}, s.source(), "")
	})
}

// accepted makes the handshake, and gives out the one session that a client opens.
func accepted(t *testing.T, conn net.Conn, config *ssh.ServerConfig, answerExec bool) ssh.Channel {
	t.Helper()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return nil
	}
	go ssh.DiscardRequests(requests)
	channel, asked, err := (<-channels).Accept()
	if err != nil {
		t.Error(err)
		return nil
	}
	request := <-asked
	if request == nil || request.Type != "exec" || !bytes.Contains(request.Payload, []byte("git-upload-pack '/repo.git'")) {
		t.Errorf("the client asks for %+v", request)
	}
	if answerExec {
		_ = request.Reply(true, nil)
	}
	go ssh.DiscardRequests(asked)
	return channel
}

func TestDeadlinesOverSSH(t *testing.T) {
	drain := func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }
	trickle := func(w io.Writer, what string) {
		for {
			if _, err := io.WriteString(w, what); err != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	for sentence, serve := range map[string]func(net.Conn, *ssh.ServerConfig){
		"says nothing":            func(conn net.Conn, _ *ssh.ServerConfig) { drain(conn) },
		"never ends its version":  func(conn net.Conn, _ *ssh.ServerConfig) { go drain(conn); trickle(conn, "x\n") },
		"stops after its version": func(conn net.Conn, _ *ssh.ServerConfig) { _, _ = io.WriteString(conn, "SSH-2.0-slow\r\n"); drain(conn) },
		"stops in the handshake": func(conn net.Conn, c *ssh.ServerConfig) {
			_, _, _, _ = ssh.NewServerConn(&halved{Conn: conn}, c)
			drain(conn)
		},
		"never answers the exec": func(conn net.Conn, c *ssh.ServerConfig) { accepted(t, conn, c, false); drain(conn) },
		"never answers":          func(conn net.Conn, c *ssh.ServerConfig) { accepted(t, conn, c, true); drain(conn) },
		"trickles the length of a line": func(conn net.Conn, c *ssh.ServerConfig) {
			if channel := accepted(t, conn, c, true); channel != nil {
				_, _ = io.WriteString(channel, "00"+"ff")
				trickle(channel, "x")
			}
		},
		"complains for ever": func(conn net.Conn, c *ssh.ServerConfig) {
			if channel := accepted(t, conn, c, true); channel != nil {
				trickle(channel.Stderr(), "fatal: ")
			}
		},
		"ends its answer and not the session": func(conn net.Conn, c *ssh.ServerConfig) {
			if channel := accepted(t, conn, c, true); channel != nil {
				_ = channel.CloseWrite()
				drain(conn)
			}
		},
	} {
		t.Run("a server that "+sentence, func(t *testing.T) {
			source := ownSSHD(t, serve)
			_, err := leads(t.Context(), &git.Client{Limits: git.Limits{ResolveTimeout: 400 * time.Millisecond}}, source)
			wantError(t, err, git.Unreachable, "did not answer in time")
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Error("the cause is not kept")
			}
		})
	}
	t.Run("a server that stops in the pack", func(t *testing.T) {
		s := newSSHD(t)
		s.push("one", map[string]string{"noise": string(noise(500_000))})
		behind := listen(t, func(conn net.Conn) {
			to, err := net.Dial("tcp", net.JoinHostPort(s.host, s.port))
			if err != nil {
				return
			}
			defer func() { _ = to.Close() }()
			go func() { _, _ = io.Copy(to, conn) }()
			_, _ = io.CopyN(conn, to, 100_000) // and not one more
			drain(conn)
		})
		source := s.source()
		_, port, _ := net.SplitHostPort(behind)
		source.URL = strings.Replace(s.URL, ":"+s.port, ":"+port, 1)
		source.KnownHosts = []byte(s.line("[127.0.0.1]:"+port, s.hostKey("ed25519")+".pub"))
		_, err := (&git.Client{Dir: t.TempDir(), Limits: git.Limits{FetchTimeout: time.Second}}).Fetch(t.Context(), source, "")
		wantError(t, err, git.Unreachable, "did not answer in time")
	})
}

// halved is a server that sends nothing after its second packet.
type halved struct {
	net.Conn
	writes int
}

func (h *halved) Write(p []byte) (int, error) {
	if h.writes++; h.writes > 2 {
		return len(p), nil
	}
	return h.Conn.Write(p)
}

// TestAnEndlessComplaint sends what no limit of the answer itself would count.
func TestAnEndlessComplaint(t *testing.T) {
	source := ownSSHD(t, func(conn net.Conn, c *ssh.ServerConfig) {
		if channel := accepted(t, conn, c, true); channel != nil {
			for {
				if _, err := channel.Stderr().Write(make([]byte, 32<<10)); err != nil {
					return
				}
			}
		}
	})
	_, err := leads(t.Context(), &git.Client{Limits: git.Limits{RefBytes: 1 << 20}}, source)
	wantError(t, err, git.LimitExceeded, "RefBytes is limited to 1048576")
}
