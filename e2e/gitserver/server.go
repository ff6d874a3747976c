// Package gitserver serves Git repositories over HTTP on the loopback interface with Git's own server, for tests and
// the demo. It can be stopped and started again at the same address, and counts what it is asked.
package gitserver

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Options say what to serve. Without Username and Token everybody may read and push.
type Options struct {
	// Dir is where repositories and their clones lie; it is created if need be. Empty: a temporary folder.
	Dir string
	// Username and Password are what a request must bring, by basic authentication.
	Username, Password string
	// Token is what a request must bring as a bearer token. With Username as well, either is enough.
	Token string
}

// Requests counts requests that were let in, by kind, and those that were not.
type Requests struct {
	// InfoRefs are the listings of refs with which each fetch, push and ls-remote begins.
	InfoRefs int
	// UploadPack are the fetches; by protocol version 2 also the listings of refs.
	UploadPack int
	// ReceivePack are the pushes.
	ReceivePack int
	// Denied are the requests without the right credential. Git asks once without any.
	Denied int
}

// Server is a Git server.
type Server struct {
	// URL is where the server listens, without credentials and a final slash.
	URL string

	opts    Options
	backend http.Handler
	address string
	remove  bool

	mu       sync.Mutex
	http     *http.Server
	requests Requests
}

// Start starts a server on a free port of the loopback interface. It ends when ctx does or when Close is called.
func Start(ctx context.Context, opts Options) (*Server, error) {
	s := &Server{opts: opts}
	if opts.Dir == "" {
		dir, err := os.MkdirTemp("", "gitserver-")
		if err != nil {
			return nil, fmt.Errorf("create folder of Git server: %w", err)
		}
		s.opts.Dir, s.remove = dir, true
	}
	root := filepath.Join(s.opts.Dir, bareFolder)
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, fmt.Errorf("create folder of Git server: %w", err)
	}
	git, err := exec.LookPath("git")
	if err != nil {
		return nil, fmt.Errorf("find git: %w", err)
	}
	s.backend = &cgi.Handler{
		Path: git,
		Args: []string{"http-backend"},
		Env: append(hermetic(),
			"GIT_PROJECT_ROOT="+root, "GIT_HTTP_EXPORT_ALL=1",
			"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http.receivepack", "GIT_CONFIG_VALUE_0=true"),
	}
	s.address = "127.0.0.1:0"
	if err := s.Resume(ctx); err != nil {
		return nil, err
	}
	s.URL = "http://" + s.address
	context.AfterFunc(ctx, func() { _ = s.Close() })
	return s, nil
}

// RepoURL returns the URL of the repository of that name.
func (s *Server) RepoURL(name string) string {
	return s.URL + "/" + name + ".git"
}

// Requests returns what the server has been asked since Start.
func (s *Server) Requests() Requests {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// Stop ends the service, as in an outage: connections are cut and new ones refused. Repositories stay.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.http == nil {
		return nil
	}
	err := s.http.Close()
	s.http = nil
	if err != nil {
		return fmt.Errorf("stop Git server: %w", err)
	}
	return nil
}

// Resume starts the service again at its address. While it runs, this does nothing.
func (s *Server) Resume(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.http != nil {
		return nil
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.address)
	if err != nil {
		return fmt.Errorf("start Git server: %w", err)
	}
	s.address = listener.Addr().String()
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	server := s.http
	go func() { _ = server.Serve(listener) }() // It ends by Stop, with an error that says so.
	return nil
}

// Close stops the server for good, and removes its folder if it is a temporary one.
func (s *Server) Close() error {
	err := s.Stop()
	if s.remove {
		err = errors.Join(err, os.RemoveAll(s.opts.Dir))
	}
	return err
}

// ServeHTTP lets the request in and hands it to Git.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.admits(r) {
		s.count(func(n *Requests) { n.Denied++ })
		w.Header().Set("WWW-Authenticate", `Basic realm="gitserver"`)
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/info/refs"):
		s.count(func(n *Requests) { n.InfoRefs++ })
	case strings.HasSuffix(r.URL.Path, "/git-upload-pack"):
		s.count(func(n *Requests) { n.UploadPack++ })
	case strings.HasSuffix(r.URL.Path, "/git-receive-pack"):
		s.count(func(n *Requests) { n.ReceivePack++ })
	}
	// CGI has no chunked bodies, which Git sends when they are large.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	r.TransferEncoding = nil
	s.backend.ServeHTTP(w, r)
}

// admits says whether the request has a right credential, if one is asked for.
func (s *Server) admits(r *http.Request) bool {
	if s.opts.Username == "" && s.opts.Token == "" {
		return true
	}
	if username, password, ok := r.BasicAuth(); ok && s.opts.Username != "" {
		return equal(username, s.opts.Username) && equal(password, s.opts.Password)
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && s.opts.Token != "" && equal(token, s.opts.Token)
}

func equal(a, b string) bool {
	return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

func (s *Server) count(add func(*Requests)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	add(&s.requests)
}
