package git_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/rollcall-dev/rollcall/sync/git"
)

// sshd is OpenSSH's own server in front of a repository: one process a connection, as inetd would start it.
type sshd struct {
	*server
	host, port string
	dir        string
	key        string // what may log in, in PEM

	mu     sync.Mutex
	config []string
}

// reconfigure changes how the next connections are served.
func (s *sshd) reconfigure(config []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.config = config
}

// newSSHD serves a repository over ssh with an ed25519 host key and those of the other types that are named.
func newSSHD(t *testing.T, types ...string) *sshd {
	t.Helper()
	binary, err := exec.LookPath("/usr/sbin/sshd")
	if err != nil {
		t.Fatalf("OpenSSH's sshd is needed (Debian: openssh-server; make bin/sshd installs it): %v", err)
	}
	if os.Getuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // where it locks itself in; its service makes it
			t.Fatal(err)
		}
	}
	s := &sshd{server: prepare(t), dir: t.TempDir()}
	s.config = []string{
		"StrictModes no", "UsePAM no", "PasswordAuthentication no", "KbdInteractiveAuthentication no", "PermitRootLogin prohibit-password",
		"PidFile none", "LogLevel ERROR", "AuthorizedKeysFile " + filepath.Join(s.dir, "authorized"),
	}
	for _, kind := range append([]string{"ed25519"}, types...) {
		s.keygen("-t", kind, "-f", s.hostKey(kind))
		s.config = append(s.config, "HostKey "+s.hostKey(kind))
	}
	s.key = s.newKey("ed25519", "")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.host, s.port, _ = net.SplitHostPort(listener.Addr().String())
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s.URL = fmt.Sprintf("ssh://%s@%s%s", me.Username, listener.Addr(), s.bare)
	var running sync.WaitGroup
	t.Cleanup(func() { _ = listener.Close(); running.Wait() })
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { s.serve(binary, conn.(*net.TCPConn)) })
		}
	})
	return s
}

// serve hands a connection to a process of its own.
func (s *sshd) serve(binary string, conn *net.TCPConn) {
	file, err := conn.File()
	_ = conn.Close()
	if err != nil {
		s.t.Error(err)
		return
	}
	defer func() { _ = file.Close() }()
	args := []string{"-i", "-e", "-f", "/dev/null"}
	s.mu.Lock()
	for _, line := range s.config {
		args = append(args, "-o", line)
	}
	s.mu.Unlock()
	cmd := exec.Command(binary, args...)
	cmd.Stdin, cmd.Stdout = file, file
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil && said.Len() > 0 {
		s.t.Logf("sshd: %v: %s", err, said.String())
	}
}

func (s *sshd) hostKey(kind string) string { return filepath.Join(s.dir, "host_"+kind) }

func (s *sshd) keygen(args ...string) string {
	s.t.Helper()
	cmd := exec.Command("ssh-keygen", append([]string{"-q", "-C", "a comment of words"}, args...)...)
	if !strings.Contains(strings.Join(args, " "), "-N") && args[0] == "-t" {
		cmd.Args = append(cmd.Args, "-N", "")
	}
	if strings.Contains(strings.Join(args, " "), "-t rsa") {
		cmd.Args = append(cmd.Args, "-b", "2048")
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("ssh-keygen %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// newKey makes a private key that may log in.
func (s *sshd) newKey(kind, passphrase string) string {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "id")
	s.keygen("-t", kind, "-N", passphrase, "-f", file)
	authorized, err := os.OpenFile(filepath.Join(s.dir, "authorized"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = authorized.Close() }()
	if _, err := authorized.WriteString(s.read(file + ".pub")); err != nil {
		s.t.Fatal(err)
	}
	return s.read(file)
}

func (s *sshd) read(file string) string {
	s.t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(content)
}

// name is the host in a line of known_hosts.
func (s *sshd) name() string { return knownhosts.Normalize(net.JoinHostPort(s.host, s.port)) }

// line is a line of known_hosts, of a public key in a file.
func (s *sshd) line(hosts, file string) string {
	fields := strings.Fields(s.read(file))
	return hosts + " " + fields[0] + " " + fields[1] + "\n"
}

// fingerprint is what ssh-keygen says of a key.
func (s *sshd) fingerprint(file string) string {
	return strings.Fields(s.keygen("-l", "-f", file))[1]
}

func (s *sshd) source() git.Source {
	return git.Source{URL: s.URL, Ref: "refs/heads/main", Auth: git.Auth{Identity: s.key}, KnownHosts: []byte(s.line(s.name(), s.hostKey("ed25519")+".pub"))}
}

// ownSSHD is an ssh server that does as a test wants, with a source for it.
func ownSSHD(t *testing.T, serve func(net.Conn, *ssh.ServerConfig)) git.Source {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	config := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil }}
	config.AddHostKey(signer)
	listener := listen(t, func(conn net.Conn) { serve(conn, config) })
	return git.Source{
		URL: "ssh://git@" + listener + "/repo.git", Ref: "refs/heads/main",
		Auth:       git.Auth{Identity: string(pem.EncodeToMemory(block))},
		KnownHosts: []byte(knownhosts.Line([]string{listener}, signer.PublicKey())),
	}
}

// listen serves each connection until the test ends, and returns the address.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	var running sync.WaitGroup
	t.Cleanup(func() {
		_ = listener.Close()
		mu.Lock()
		for _, conn := range open {
			_ = conn.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			running.Go(func() { serve(conn); _ = conn.Close() })
		}
	})
	return listener.Addr().String()
}
