package git

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"
	"golang.org/x/net/proxy"
)

// Proxy is what to connect to a server through. Its credentials are shown to it alone.
type Proxy struct {
	// Address is a URL with the scheme http, https or socks5, without a user; empty for the proxies of the environment:
	// HTTPS_PROXY, HTTP_PROXY and, for ssh, ALL_PROXY, each with NO_PROXY.
	Address string
	// Username and Password are what the proxy asks for; they may be empty.
	Username string
	Password string
}

// Format shows the address, and that there are credentials, for every verb.
func (p Proxy) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(p.shown())) }

// MarshalJSON is what Format shows.
func (p Proxy) MarshalJSON() ([]byte, error) { return json.Marshal(p.shown()) }

// LogValue is what Format shows.
func (p Proxy) LogValue() slog.Value { return slog.StringValue(p.shown()) }

func (p Proxy) shown() string {
	return redact(p.Address) + " " + Auth{Username: p.Username, Password: p.Password}.String()
}

func (s Source) checkProxy() error {
	if s.Proxy == (Proxy{}) {
		return nil
	}
	u, err := url.Parse(s.Proxy.Address)
	switch {
	case s.Proxy.Address == "":
		return s.errorf(InvalidSource, "proxySecretRef has no address: add the URL of the proxy, such as http://proxy:3128 or socks5://proxy:1080")
	case err != nil || u.Hostname() == "" || strings.ContainsFunc(s.Proxy.Address, unprintable):
		return s.errorf(InvalidSource, "address of proxySecretRef is not a URL: write http://host:port, https://host:port or socks5://host:port")
	case u.User != nil:
		return s.errorf(InvalidSource, "address of proxySecretRef holds a user name or password: use its keys username and password")
	case strings.Trim(u.Path, "/")+u.RawQuery+u.Fragment != "":
		return s.errorf(InvalidSource, "address of proxySecretRef has a path, a query or a fragment: write http://host:port")
	case !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme):
		return s.errorf(InvalidSource, "address of proxySecretRef has the scheme %q: use http, https or socks5", u.Scheme)
	default:
		return nil
	}
}

// proxyFor is what to reach a URL through: the proxy that is named, or else that of the environment; nil for none.
func (s Source) proxyFor(u *url.URL) (*url.URL, error) {
	if s.Proxy.Address != "" {
		named, err := url.Parse(s.Proxy.Address)
		if err == nil && s.Proxy.Username+s.Proxy.Password != "" {
			named.User = url.UserPassword(s.Proxy.Username, s.Proxy.Password)
		}
		return named, err
	}
	environment := httpproxy.FromEnvironment()
	if u.Scheme == "ssh" {
		environment.HTTPSProxy = cmp.Or(os.Getenv("ALL_PROXY"), os.Getenv("all_proxy"))
		u = &url.URL{Scheme: "https", Host: u.Host}
	}
	return environment.ProxyFunc()(u)
}

// reach connects to the host of a URL, through its proxy if it has one. The context bounds the connecting alone.
func (s Source) reach(ctx context.Context, u *url.URL, roots *x509.CertPool) (net.Conn, error) {
	address := net.JoinHostPort(u.Hostname(), portOf(u))
	through, err := s.proxyFor(u)
	if err != nil {
		return nil, s.errorf(InvalidSource, "the proxy of the environment is not a URL: correct HTTPS_PROXY or ALL_PROXY")
	}
	if through == nil {
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}
	switch through.Scheme {
	case "socks5", "socks5h":
		return s.reachSOCKS(ctx, through, address)
	case "http", "https":
		return s.reachConnect(ctx, through, address, roots)
	default:
		return nil, s.errorf(InvalidSource, "the proxy of the environment has the scheme %q: use http, https or socks5", through.Scheme)
	}
}

// dialProxy connects to a proxy, with TLS if it wants that.
func (s Source) dialProxy(ctx context.Context, through *url.URL, roots *x509.CertPool) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(through.Hostname(), portOf(through)))
	if err != nil {
		return nil, s.proxyAway(ctx, through, err)
	}
	if through.Scheme != "https" {
		return conn, nil
	}
	secure := tls.Client(conn, &tls.Config{ServerName: through.Hostname(), RootCAs: roots, MinVersion: tls.VersionTLS12})
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, s.proxyAway(ctx, through, err)
	}
	return secure, nil
}

// proxyAway is the error about a proxy that does not do its work.
func (s Source) proxyAway(ctx context.Context, through *url.URL, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return s.errorf(Unreachable, "the proxy %s cannot be used (%s): look at the proxy, and at address of proxySecretRef",
		redact(through.String()), s.scrub(innermost(err)))
}

func (s Source) proxyRefuses(through *url.URL) error {
	return s.errorf(AuthenticationFailed, "the proxy %s does not accept the credentials: correct username and password of proxySecretRef",
		redact(through.String()))
}

func (s Source) reachSOCKS(ctx context.Context, through *url.URL, address string) (net.Conn, error) {
	var auth *proxy.Auth
	if through.User != nil {
		password, _ := through.User.Password()
		auth = &proxy.Auth{User: through.User.Username(), Password: password}
	}
	dialer, err := proxy.SOCKS5("tcp", net.JoinHostPort(through.Hostname(), portOf(through)), auth, &net.Dialer{})
	if err != nil {
		return nil, s.proxyAway(ctx, through, err)
	}
	conn, err := dialer.(proxy.ContextDialer).DialContext(ctx, "tcp", address)
	switch {
	case err == nil:
		return conn, nil
	case ctx.Err() == nil && strings.Contains(err.Error(), "authentication"):
		return nil, s.proxyRefuses(through) // the errors of its library have no type
	default:
		return nil, s.proxyAway(ctx, through, err)
	}
}

// reachConnect asks a proxy for HTTP for a tunnel.
func (s Source) reachConnect(ctx context.Context, through *url.URL, address string, roots *x509.CertPool) (net.Conn, error) {
	conn, err := s.dialProxy(ctx, through, roots)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	tunnel, err := s.tunnel(ctx, conn, through, address)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return tunnel, nil
}

func (s Source) tunnel(ctx context.Context, conn net.Conn, through *url.URL, address string) (net.Conn, error) {
	request := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{}}
	if user := through.User; user != nil {
		password, _ := user.Password()
		asked := http.Request{Header: http.Header{}}
		asked.SetBasicAuth(user.Username(), password)
		request.Header.Set("Proxy-Authorization", asked.Header.Get("Authorization"))
	}
	if err := request.Write(conn); err != nil {
		return nil, s.proxyAway(ctx, through, err)
	}
	const longest = 64 << 10
	// What a server that speaks first has sent already lies in this buffer.
	limited := &io.LimitedReader{R: conn, N: longest}
	buffer := bufio.NewReader(limited)
	response, err := http.ReadResponse(buffer, request) //nolint:bodyclose // what follows the head is the tunnel
	if err != nil {
		return nil, s.proxyAway(ctx, through, err)
	}
	switch response.StatusCode {
	case http.StatusOK:
		ahead, _ := buffer.Peek(buffer.Buffered())
		return &readAhead{Conn: conn, ahead: ahead}, nil
	case http.StatusProxyAuthRequired:
		return nil, s.proxyRefuses(through)
	default:
		return nil, s.errorf(Unreachable, "the proxy %s answers %d when it is asked for %s: have it allow that, or use another one",
			redact(through.String()), response.StatusCode, address)
	}
}

// readAhead gives out first what was read of a connection too early.
type readAhead struct {
	net.Conn
	ahead []byte
}

func (r *readAhead) Read(p []byte) (int, error) {
	if len(r.ahead) == 0 {
		return r.Conn.Read(p)
	}
	n := copy(p, r.ahead)
	r.ahead = r.ahead[n:]
	return n, nil
}
