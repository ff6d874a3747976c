package git_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/sync/git"
)

// gate is a proxy: it asks for a user and password, carries bytes to one address whatever it is asked for, and counts.
type gate struct {
	to             string // where it leads
	user, password string // what it asks for; none when empty

	mu      sync.Mutex
	asked   []string // for which addresses
	carried int      // bytes from there
	denied  int
}

func (g *gate) note(address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, address)
}

func (g *gate) deny() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.denied++
}

// carry copies both ways until one end closes.
func (g *gate) carry(conn net.Conn, r io.Reader, address string) {
	g.note(address)
	to, err := net.Dial("tcp", g.to)
	if err != nil {
		return
	}
	defer func() { _ = to.Close() }()
	go func() { _, _ = io.Copy(to, r); _ = to.Close() }()
	_, _ = io.Copy(conn, io.TeeReader(to, writer(func(p []byte) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.carried += len(p)
	})))
}

// writer calls a function with what is written.
type writer func(p []byte)

func (w writer) Write(p []byte) (int, error) {
	w(p)
	return len(p), nil
}

// connect is a proxy for HTTP: tunnels by CONNECT (RFC 9110, 9.3.6), and plain requests.
func (g *gate) connect(conn net.Conn) {
	r := bufio.NewReader(conn)
	request, err := http.ReadRequest(r)
	if err != nil {
		return
	}
	wanted := "Basic " + base64.StdEncoding.EncodeToString([]byte(g.user+":"+g.password))
	if g.user != "" && request.Header.Get("Proxy-Authorization") != wanted {
		g.deny()
		_, _ = io.WriteString(conn, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
		return
	}
	if request.Method == http.MethodConnect {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		g.carry(conn, r, request.Host)
		return
	}
	request.Header.Del("Proxy-Authorization")
	request.Header.Set("Connection", "close")
	var head bytes.Buffer
	_ = request.Write(&head)
	g.carry(conn, io.MultiReader(&head, r), request.Host)
}

// socks is a proxy for SOCKS5 (RFC 1928) with a user and password (RFC 1929).
func (g *gate) socks(conn net.Conn) {
	read := func(n int) []byte {
		b := make([]byte, n)
		_, _ = io.ReadFull(conn, b)
		return b
	}
	method := byte(0)
	if g.user != "" {
		method = 2
	}
	if !bytes.Contains(read(int(read(2)[1])), []byte{method}) {
		g.deny()
		_, _ = conn.Write([]byte{5, 0xff})
		return
	}
	_, _ = conn.Write([]byte{5, method})
	if method == 2 {
		user := string(read(int(read(2)[1])))
		password := string(read(int(read(1)[0])))
		if user != g.user || password != g.password {
			g.deny()
			_, _ = conn.Write([]byte{1, 1})
			return
		}
		_, _ = conn.Write([]byte{1, 0})
	}
	var host string
	switch kind := read(4)[3]; kind {
	case 1:
		host = net.IP(read(4)).String()
	case 3:
		host = string(read(int(read(1)[0])))
	}
	address := net.JoinHostPort(host, fmt.Sprint(binary.BigEndian.Uint16(read(2))))
	_, _ = conn.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	g.carry(conn, conn, address)
}

// TestProxies asks for repositories of hosts that only the proxy can reach.
func TestProxies(t *testing.T) {
	secure, plain, over := newTLSServer(t), newServer(t), newSSHD(t)
	commits := map[string]string{}
	for name, s := range map[string]*server{"https": secure, "http": plain, "ssh": over.server} {
		commits[name] = s.push("one", map[string]string{"noise": string(noise(50_000))})
	}
	sources := map[string]git.Source{
		// The certificate of net/http/httptest is for example.com.
		"https": {URL: "https://example.com/repo.git", CA: certificate(secure)},
		"http":  {URL: "http://git.invalid/repo.git", InsecureHTTP: true},
		"ssh": {URL: strings.Replace(over.URL, net.JoinHostPort(over.host, over.port), "git.invalid", 1), Auth: git.Auth{Identity: over.key},
			KnownHosts: []byte(over.line("git.invalid", over.hostKey("ed25519")+".pub"))},
	}
	backends := map[string]string{
		"https": secure.HTTP.Listener.Addr().String(), "http": plain.HTTP.Listener.Addr().String(), "ssh": net.JoinHostPort(over.host, over.port),
	}
	asked := map[string]string{"https": "example.com:443", "http": "git.invalid", "ssh": "git.invalid:22"}
	for _, kind := range []string{"http", "socks5"} {
		for name, source := range sources {
			t.Run(name+" through "+kind, func(t *testing.T) {
				g := &gate{to: backends[name], user: "user", password: canary}
				address := listen(t, map[string]func(net.Conn){"http": g.connect, "socks5": g.socks}[kind])
				source.Ref = "refs/heads/main"
				source.Proxy = git.Proxy{Address: kind + "://" + address, Username: "user", Password: canary}
				if got := fetch(t, &git.Client{Dir: t.TempDir()}, source, "").Commit.Hash; got != commits[name] {
					t.Errorf("got %s, want %s", got, commits[name])
				}
				g.wantCarried(t, asked[name], 50_000)

				source.Proxy.Password = "wrong-" + canary
				_, err := leads(t.Context(), &git.Client{}, source)
				wantError(t, err, git.AuthenticationFailed, "username and password of proxySecretRef")
				withoutCanary(t, err)
				source.Proxy.Username, source.Proxy.Password = "", ""
				_, err = leads(t.Context(), &git.Client{}, source)
				wantError(t, err, git.AuthenticationFailed, "proxySecretRef")
				if g.denied != 2 {
					t.Errorf("the proxy denied %d connections, want 2", g.denied)
				}
			})
		}
	}
}

// wantCarried wants all connections to have been to one address, and at least that many bytes to have come from there.
func (g *gate) wantCarried(t *testing.T, address string, atLeast int) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, got := range g.asked {
		if strings.TrimSuffix(got, ":80") != address {
			t.Errorf("the proxy was asked for %s, want %s", got, address)
		}
	}
	if len(g.asked) == 0 || g.carried < atLeast {
		t.Errorf("%d connections went through the proxy and brought %d bytes, want at least %d", len(g.asked), g.carried, atLeast)
	}
}

// TestAProxyOverTLS has its certificate verified, and is shown no client certificate.
func TestAProxyOverTLS(t *testing.T) {
	s := newTLSServer(t)
	commit := s.push("one", map[string]string{"a": "1"})
	g := &gate{to: s.HTTP.Listener.Addr().String(), user: "user", password: canary}
	shown := make(chan int, 10)
	address := "https://" + secured(t, shown, g.connect)
	source := git.Source{URL: "https://example.com/repo.git", Ref: "refs/heads/main", CA: certificate(s), Proxy: git.Proxy{Address: address, Username: "user", Password: canary}}
	source.Auth = clientCertificate(t)
	_, err := leads(t.Context(), &git.Client{}, git.Source{URL: source.URL, Ref: source.Ref, Proxy: source.Proxy})
	wantError(t, err, git.Unreachable, "the proxy "+address+" cannot be used", "certificate")
	if got, err := leads(t.Context(), &git.Client{}, source); err != nil || got != commit {
		t.Errorf("it leads to %q, %v", got, err)
	}
	if n := <-shown; n != 0 {
		t.Error("the proxy was shown the client's certificate")
	}
	g.wantCarried(t, "example.com:443", 1)
}

func TestProxiesOfTheEnvironment(t *testing.T) {
	secure, over := newTLSServer(t), newSSHD(t)
	secure.push("one", map[string]string{"a": "1"})
	over.push("one", map[string]string{"a": "1"})
	https, ssh := &gate{to: secure.HTTP.Listener.Addr().String()}, &gate{to: net.JoinHostPort(over.host, over.port)}
	named := &gate{to: https.to}
	t.Setenv("HTTPS_PROXY", "http://"+listen(t, https.connect))
	t.Setenv("ALL_PROXY", "socks5://"+listen(t, ssh.socks))
	t.Setenv("NO_PROXY", "other.invalid")
	source := git.Source{URL: "https://example.com/repo.git", Ref: "refs/heads/main", CA: certificate(secure)}
	if _, err := leads(t.Context(), &git.Client{}, source); err != nil {
		t.Errorf("https: %v", err)
	}
	https.wantCarried(t, "example.com:443", 1)
	overSSH := over.source()
	overSSH.URL = strings.Replace(over.URL, net.JoinHostPort(over.host, over.port), "git.invalid", 1)
	overSSH.KnownHosts = []byte(over.line("git.invalid", over.hostKey("ed25519")+".pub"))
	if _, err := leads(t.Context(), &git.Client{}, overSSH); err != nil {
		t.Errorf("ssh: %v", err)
	}
	ssh.wantCarried(t, "git.invalid:22", 1)
	overSSH.URL = strings.Replace(overSSH.URL, "git.invalid", "other.invalid", 1)
	_, err := leads(t.Context(), &git.Client{}, overSSH)
	wantError(t, err, git.Unreachable, "other.invalid")

	source.Proxy.Address = "http://" + listen(t, named.connect)
	if _, err := leads(t.Context(), &git.Client{}, source); err != nil {
		t.Errorf("a proxy that is named: %v", err)
	}
	named.wantCarried(t, "example.com:443", 1)
	if len(https.asked) != 1 {
		t.Errorf("the proxy of the environment was asked for %v, though another one is named", https.asked)
	}
}

func TestProxiesThatFail(t *testing.T) {
	s := newSSHD(t)
	s.push("one", map[string]string{"a": "1"})
	source := s.source()
	say := func(text string) string {
		return "http://" + listen(t, func(conn net.Conn) {
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			_, _ = io.WriteString(conn, text)
		})
	}
	endless := "http://" + listen(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
		for {
			if _, err := io.WriteString(conn, "X: "+strings.Repeat("x", 1000)+"\r\n"); err != nil {
				return
			}
		}
	})
	for sentence, c := range map[string]struct {
		proxy  git.Proxy
		reason git.Reason
		says   string
	}{
		"one that is away":             {git.Proxy{Address: "http://127.0.0.1:1"}, git.Unreachable, "the proxy http://127.0.0.1:1 cannot be used"},
		"a SOCKS proxy that is away":   {git.Proxy{Address: "socks5://127.0.0.1:1"}, git.Unreachable, "the proxy socks5://127.0.0.1:1 cannot be used"},
		"one that does not allow it":   {git.Proxy{Address: say("HTTP/1.1 403 Forbidden\r\n\r\n")}, git.Unreachable, "answers 403 when it is asked for " + net.JoinHostPort(s.host, s.port)},
		"one that speaks something":    {git.Proxy{Address: say("hello\r\n\r\n")}, git.Unreachable, "cannot be used"},
		"one that redirects":           {git.Proxy{Address: say("HTTP/1.1 302 Found\r\nLocation: http://x/\r\n\r\n")}, git.Unreachable, "answers 302"},
		"one that never ends its head": {git.Proxy{Address: endless}, git.Unreachable, "cannot be used"},
		"no address":                   {git.Proxy{Username: "x"}, git.InvalidSource, "proxySecretRef has no address"},
		"no URL":                       {git.Proxy{Address: "proxy:3128"}, git.InvalidSource, "address of proxySecretRef is not a URL"},
		"another scheme":               {git.Proxy{Address: "ftp://proxy"}, git.InvalidSource, `the scheme "ftp"`},
		"a password in the address":    {git.Proxy{Address: "http://u:" + canary + "@proxy"}, git.InvalidSource, "its keys username and password"},
		"a password with a line break": {git.Proxy{Address: "http://proxy", Password: canary + "\r\n"}, git.InvalidSource, "line break"},
		"a path":                       {git.Proxy{Address: "http://proxy/x"}, git.InvalidSource, "has a path"},
	} {
		t.Run(sentence, func(t *testing.T) {
			source.Proxy = c.proxy
			_, err := leads(t.Context(), &git.Client{}, source)
			wantError(t, err, c.reason, c.says)
			withoutCanary(t, err)
		})
	}
}

// TestAProxyThatIsQuick sends the first words of the server in one packet with its own answer.
func TestAProxyThatIsQuick(t *testing.T) {
	s := newSSHD(t)
	s.push("one", map[string]string{"a": "1"})
	source := s.source()
	source.Proxy.Address = "http://" + listen(t, func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			return
		}
		to, err := net.Dial("tcp", net.JoinHostPort(s.host, s.port))
		if err != nil {
			return
		}
		defer func() { _ = to.Close() }()
		r := bufio.NewReader(to)
		version, _ := r.ReadString('\n')
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n"+version)
		go func() { _, _ = io.Copy(to, conn); _ = to.Close() }()
		_, _ = io.Copy(conn, r)
	})
	if _, err := leads(t.Context(), &git.Client{Limits: git.Limits{ResolveTimeout: 10 * time.Second}}, source); err != nil {
		t.Error(err)
	}
}

// TestProxyCredentialsAreForTheProxy has the server say what it saw, and send the client on.
func TestProxyCredentialsAreForTheProxy(t *testing.T) {
	var seen strings.Builder
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(&seen, r.Host, r.Header)
		if r.Host == "git.invalid" {
			http.Redirect(w, r, "http://other.invalid"+r.URL.String(), http.StatusFound)
		}
	}))
	t.Cleanup(server.Close)
	g := &gate{to: server.Listener.Addr().String(), user: "user", password: canary}
	source := git.Source{URL: "http://git.invalid/repo.git", Ref: "refs/heads/main", InsecureHTTP: true,
		Proxy: git.Proxy{Address: "socks5://" + listen(t, g.socks), Username: "user", Password: canary}}
	_, err := leads(t.Context(), &git.Client{}, source)
	withoutCanary(t, err)
	source.Proxy.Address = "http://" + listen(t, g.connect)
	_, err = leads(t.Context(), &git.Client{}, source)
	withoutCanary(t, err)
	mu.Lock()
	defer mu.Unlock()
	if all := seen.String(); strings.Count(all, "other.invalid") != 2 || strings.Contains(all, "Proxy-") || strings.Contains(all, canary) {
		t.Errorf("the servers saw:\n%s", all)
	}
}
