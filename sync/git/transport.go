package git

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	"golang.org/x/crypto/ssh"
)

// wire is the network side of one session. It counts what the server sends and remembers why it stopped, because
// go-git keeps only the text of the errors that its readers return.
type wire struct {
	source  Source
	url     *url.URL
	limits  Limits
	roots   *x509.CertPool
	signer  ssh.Signer // for ssh alone, as is known
	known   knownHosts
	tunnels tunnels

	mu       sync.Mutex
	limit    string
	allowed  int64
	received int64
	stopped  *Error
	retry    time.Time
	// everything lets the whole list of refs through; otherwise sieve has what it kept back of it.
	everything bool
	sieve      *sieve
	// listing is the beginning of the list of refs, of which go-git keeps not all that the server can do.
	listing []byte
	// wanted is whether the host has asked for a certificate of the client.
	wanted bool
}

func (w *wire) certificateWanted() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wanted
}

// tunnels are the ways to speak HTTP: only the host of the repository is shown the client's certificate. What is not
// encrypted is asked of an HTTP proxy, all else through it.
type tunnels struct {
	origin, elsewhere, plain *http.Transport
}

// newWire prepares the network side. Each session has its own: the certificates that one repository trusts are
// not trusted for another.
func (s Source) newWire(u *url.URL, l Limits) (*wire, error) {
	w := &wire{source: s, url: u, limits: l, limit: "RefBytes", allowed: l.RefBytes}
	var err error
	if w.roots, err = s.roots(); err != nil {
		return nil, err
	}
	if u.Scheme == "ssh" {
		w.signer, w.known, err = s.sshKeys()
		return w, err
	}
	certificate, err := s.certificate()
	if err != nil {
		return nil, err
	}
	w.tunnels = tunnels{origin: w.transport(), elsewhere: w.transport(), plain: w.transport()}
	w.tunnels.origin.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.wanted = true
		return certificate, nil
	}
	w.tunnels.plain.DialContext = (&net.Dialer{Timeout: l.ResolveTimeout}).DialContext
	w.tunnels.plain.Proxy = func(r *http.Request) (*url.URL, error) { return s.proxyFor(r.URL) }
	return w, nil
}

func (w *wire) transport() *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return w.reach(ctx, &url.URL{Scheme: "https", Host: address})
		},
		TLSClientConfig:        &tls.Config{RootCAs: w.roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // the limit counts what arrives
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// reach connects to the host of a URL, and for no longer than it takes to ask a server for its refs.
func (w *wire) reach(ctx context.Context, u *url.URL) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, w.limits.ResolveTimeout)
	defer cancel()
	return w.source.reach(ctx, u, w.roots)
}

// connect begins a session with the server.
func (w *wire) connect(ctx context.Context) (transport.UploadPackSession, error) {
	if w.url.Scheme == "ssh" {
		return w.dialSSH(ctx)
	}
	ep, err := transport.NewEndpoint(w.url.String())
	if err != nil || ep.Protocol != w.url.Scheme {
		return nil, w.source.errorf(InvalidSource, shape)
	}
	return w.client().NewUploadPackSession(ep, w.source.Auth.method())
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
	response, err := w.way(r.URL).RoundTrip(r)
	if err != nil {
		return nil, err
	}
	w.forget()
	w.saidLater(response)
	response.Body = &counted{ReadCloser: response.Body, wire: w}
	if lists(response) && !w.everything {
		w.sieve = newSieve(response.Body, w.source)
		response.Body = w.sieve
	}
	return response, nil
}

// sift has the list of refs sifted with which a stream begins.
func (w *wire) sift(stream io.Reader) io.Reader {
	if w.everything {
		return stream
	}
	w.sieve = newSieve(io.NopCloser(stream), w.source)
	w.sieve.goesOn = true
	return w.sieve
}

// way is how to speak to a host.
func (w *wire) way(to *url.URL) *http.Transport {
	switch {
	case to.Scheme != "https":
		return w.tunnels.plain
	case sameOrigin(to, w.url):
		return w.tunnels.origin
	default:
		return w.tunnels.elsewhere
	}
}

func (w *wire) close() {
	if w.tunnels.origin == nil {
		return
	}
	for _, way := range []*http.Transport{w.tunnels.origin, w.tunnels.elsewhere, w.tunnels.plain} {
		way.CloseIdleConnections()
	}
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
	c.wire.keep(p[:n])
	return n, err
}
