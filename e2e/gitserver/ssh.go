package gitserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
)

// sshd is where Debian has OpenSSH's server, which wants to be called by its whole path.
const sshd = "/usr/sbin/sshd"

// SSH serves the same repositories over ssh with OpenSSH's own sshd, one process a connection. It ends with its Server.
type SSH struct {
	server   *Server
	dir      string
	user     string
	listener net.Listener
	running  sync.WaitGroup
}

// StartSSH starts to serve over ssh on a free port of the loopback interface.
func (s *Server) StartSSH(ctx context.Context) (*SSH, error) {
	if _, err := os.Stat(sshd); err != nil {
		return nil, fmt.Errorf("find sshd (Debian: openssh-server; make bin/sshd installs it): %w", err)
	}
	me, err := user.Current()
	if err != nil {
		return nil, fmt.Errorf("find out who this is: %w", err)
	}
	dir := filepath.Join(s.opts.Dir, "ssh")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create folder of sshd: %w", err)
	}
	if os.Getuid() == 0 { // where it locks itself in; its service makes it otherwise
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			return nil, fmt.Errorf("create folder of sshd: %w", err)
		}
	}
	h := &SSH{server: s, dir: dir, user: me.Username}
	if err := errors.Join(h.keygen(ctx, "identity"), h.ChangeHostKey(ctx)); err != nil {
		return nil, err
	}
	if h.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("start sshd: %w", err)
	}
	context.AfterFunc(ctx, func() { _ = h.Close() })
	h.running.Go(func() { h.accept(ctx) })
	return h, nil
}

// Close ends the service, and waits for the connections to end.
func (h *SSH) Close() error {
	err := h.listener.Close()
	h.running.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// RepoURL returns the URL of the repository of that name.
func (h *SSH) RepoURL(name string) string {
	return fmt.Sprintf("ssh://%s@%s%s", h.user, h.listener.Addr(), filepath.Join(h.server.opts.Dir, bareFolder, name+".git"))
}

// Identity returns the private key that is let in.
func (h *SSH) Identity() (string, error) {
	return h.read("identity")
}

// KnownHosts returns the line of known_hosts for the host key of now.
func (h *SSH) KnownHosts() (string, error) {
	key, err := h.read("host.pub")
	host, port, _ := net.SplitHostPort(h.listener.Addr().String())
	return fmt.Sprintf("[%s]:%s %s", host, port, key), err
}

// Fingerprint returns that of the host key of now, as ssh-keygen -l shows it.
func (h *SSH) Fingerprint(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "ssh-keygen", "-l", "-f", filepath.Join(h.dir, "host.pub")).Output()
	if err != nil {
		return "", fmt.Errorf("read fingerprint: %w", err)
	}
	return strings.Fields(string(out))[1], nil
}

// ChangeHostKey gives the server another host key, as after it was set up anew.
func (h *SSH) ChangeHostKey(ctx context.Context) error {
	return h.keygen(ctx, "host")
}

func (h *SSH) keygen(ctx context.Context, name string) error {
	file := filepath.Join(h.dir, name)
	for _, old := range []string{file, file + ".pub"} {
		if err := os.Remove(old); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("remove old key: %w", err)
		}
	}
	if out, err := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", file).CombinedOutput(); err != nil {
		return fmt.Errorf("make key: %w: %s", err, out)
	}
	return nil
}

func (h *SSH) read(name string) (string, error) {
	content, err := os.ReadFile(filepath.Join(h.dir, name))
	if err != nil {
		return "", fmt.Errorf("read key: %w", err)
	}
	return string(content), nil
}

func (h *SSH) accept(ctx context.Context) {
	for {
		conn, err := h.listener.Accept()
		if err != nil {
			return // it is closed
		}
		h.running.Go(func() { h.serve(ctx, conn.(*net.TCPConn)) })
	}
}

// serve hands a connection to a process of its own.
func (h *SSH) serve(ctx context.Context, conn *net.TCPConn) {
	file, err := conn.File()
	_ = conn.Close()
	if err != nil {
		return // the client sees that
	}
	defer file.Close()
	args := []string{"-i", "-f", os.DevNull}
	for _, option := range []string{
		"HostKey " + filepath.Join(h.dir, "host"), "AuthorizedKeysFile " + filepath.Join(h.dir, "identity.pub"), "StrictModes no", "UsePAM no",
		"PasswordAuthentication no", "KbdInteractiveAuthentication no", "PermitRootLogin prohibit-password", "PidFile none",
	} {
		args = append(args, "-o", option)
	}
	command := exec.CommandContext(ctx, sshd, args...)
	command.Stdin, command.Stdout = file, file
	_ = command.Run() // how it ended the client sees
}
