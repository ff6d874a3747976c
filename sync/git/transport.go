package git

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
)

// wire is the HTTP side of one session. It counts what the server sends and remembers why it stopped, because
// go-git keeps only the text of the errors that its readers return.
type wire struct {
	source Source
	base   *http.Transport

	mu       sync.Mutex
	limit    string
	allowed  int64
	received int64
	stopped  *Error
	retry    time.Time
}

// newWire prepares the HTTP side. Each session has its own: the certificates that one repository trusts are
// not trusted for another.
func (s Source) newWire(l Limits) (*wire, error) {
	roots, err := s.roots()
	if err != nil {
		return nil, err
	}
	return &wire{
		source:  s,
		limit:   "RefBytes",
		allowed: l.RefBytes,
		base: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: l.ResolveTimeout}).DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    10 * time.Second,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true, // the limit counts what arrives
			MaxResponseHeaderBytes: 64 << 10,
		},
	}, nil
}

func (s Source) roots() (*x509.CertPool, error) {
	if len(s.CA) == 0 {
		return nil, nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(s.CA) {
		return nil, s.errorf(InvalidSource, "caFile holds no PEM certificate: correct it in secretRef")
	}
	return roots, nil
}

// client is a Git transport over this wire. The transport drops the credentials when a redirect leaves the
// origin of the repository, and follows redirects of the first request only.
func (w *wire) client() transport.Transport {
	return githttp.NewClientWithOptions(&http.Client{Transport: w}, &githttp.ClientOptions{
		RedirectPolicy: githttp.FollowInitialRedirects,
	})
}

// allow starts a new count under another limit.
func (w *wire) allow(limit string, bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limit, w.allowed, w.received = limit, bytes, 0
}

// RoundTrip makes one request and counts the answer.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := w.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	w.saidLater(response)
	response.Body = &counted{ReadCloser: response.Body, wire: w}
	return response, nil
}

func (w *wire) close() {
	w.base.CloseIdleConnections()
}

// overrun is the error that stopped the wire; nil when it was not stopped.
func (w *wire) overrun() *Error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stopped
}

// count adds bytes and stops the wire at the limit.
func (w *wire) count(n int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.received += int64(n)
	if w.received > w.allowed && w.stopped == nil {
		w.stopped = w.source.exceeded(w.limit, w.allowed, w.received, "bytes on the wire")
	}
	if w.stopped != nil {
		return w.stopped
	}
	return nil
}

type counted struct {
	io.ReadCloser
	wire *wire
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if over := c.wire.count(n); over != nil {
		return 0, over
	}
	return n, err
}
