package git_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/sync/git"
)

// clientCertificate makes a certificate that signs itself, and its key.
func clientCertificate(t *testing.T) git.Auth {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "rollcall"}, NotBefore: time.Unix(0, 0), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return git.Auth{
		ClientCert: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})),
		ClientKey:  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})),
	}
}

// secured serves over TLS with the certificate of net/http/httptest, and says how many certificates each client shows.
func secured(t *testing.T, shown chan<- int, serve func(net.Conn)) string {
	t.Helper()
	lender := httptest.NewUnstartedServer(nil)
	lender.StartTLS()
	t.Cleanup(lender.Close)
	config := &tls.Config{Certificates: lender.TLS.Certificates, ClientAuth: tls.RequestClientCert}
	return listen(t, func(conn net.Conn) {
		secure := tls.Server(conn, config)
		if secure.HandshakeContext(t.Context()) != nil {
			return
		}
		shown <- len(secure.ConnectionState().PeerCertificates)
		serve(secure)
	})
}

func newMutualServer(t *testing.T, who git.Auth, version uint16) *server {
	t.Helper()
	s := prepare(t)
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM([]byte(who.ClientCert))
	s.HTTP = httptest.NewUnstartedServer(s)
	s.HTTP.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.HTTP.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted, MaxVersion: version}
	s.HTTP.StartTLS()
	t.Cleanup(s.HTTP.Close)
	s.URL = s.HTTP.URL + "/repo.git"
	return s
}

func TestClientCertificates(t *testing.T) {
	who, other := clientCertificate(t), clientCertificate(t)
	for name, version := range map[string]uint16{"TLS 1.3": tls.VersionTLS13, "TLS 1.2": tls.VersionTLS12} {
		t.Run(name, func(t *testing.T) {
			s := newMutualServer(t, who, version)
			commit := s.push("one", map[string]string{"a": "1"})
			source := git.Source{URL: s.URL, Ref: "refs/heads/main", CA: certificate(s), Auth: who}
			if got := fetch(t, &git.Client{Dir: t.TempDir()}, source, "").Commit.Hash; got != commit {
				t.Errorf("got %s", got)
			}
			source.Auth = git.Auth{}
			_, err := leads(t.Context(), &git.Client{}, source)
			wantError(t, err, git.AuthenticationFailed, "wants a client certificate", "add tls.crt and tls.key")
			source.Auth = other
			_, err = leads(t.Context(), &git.Client{}, source)
			wantError(t, err, git.AuthenticationFailed, "renew tls.crt and tls.key")
		})
	}
}

func TestClientCertificatesThatAreRefused(t *testing.T) {
	who, other := clientCertificate(t), clientCertificate(t)
	for sentence, c := range map[string]struct {
		auth git.Auth
		says string
	}{
		"a key alone":                {git.Auth{ClientKey: who.ClientKey}, "add the certificate of the key"},
		"a certificate alone":        {git.Auth{ClientCert: who.ClientCert}, "add the key of the certificate"},
		"the key of another":         {git.Auth{ClientCert: who.ClientCert, ClientKey: other.ClientKey}, "not a PEM certificate and its key"},
		"what is no PEM":             {git.Auth{ClientCert: canary, ClientKey: canary}, "not a PEM certificate and its key"},
		"an ssh key and no password": {git.Auth{Identity: canary}, "has a key for ssh (identity), and the URL is https"},
	} {
		t.Run(sentence, func(t *testing.T) {
			_, err := leads(t.Context(), &git.Client{}, git.Source{URL: "https://git.invalid/r", Ref: "refs/heads/main", Auth: c.auth})
			wantError(t, err, git.InvalidSource, c.says)
			withoutCanary(t, err)
		})
	}
}

// TestAClientCertificateDoesNotFollowToAnotherHost is the redirect of the credentials once more: here a second host asks
// for the certificate in its handshake.
func TestAClientCertificateDoesNotFollowToAnotherHost(t *testing.T) {
	who := clientCertificate(t)
	s := newMutualServer(t, who, 0)
	shown := make(chan int, 10)
	elsewhere := secured(t, shown, func(conn net.Conn) {
		_, _ = http.ReadRequest(bufio.NewReader(conn))
		_, _ = conn.Write([]byte("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))
	})
	var mu sync.Mutex
	certificates := 0
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		certificates = len(r.TLS.PeerCertificates)
		mu.Unlock()
		http.Redirect(w, r, "https://"+elsewhere+r.URL.String(), http.StatusMovedPermanently)
	})
	source := git.Source{URL: s.URL, Ref: "refs/heads/main", CA: certificate(s), Auth: who}
	_, err := leads(t.Context(), &git.Client{}, source)
	wantError(t, err, git.RepositoryNotFound)
	mu.Lock()
	defer mu.Unlock()
	if n := <-shown; n != 0 || certificates != 1 {
		t.Errorf("the host was shown %d certificates and the other one %d, want 1 and 0", certificates, n)
	}
}

func TestCAs(t *testing.T) {
	s := newTLSServer(t)
	s.push("one", map[string]string{"a": "1"})
	for sentence, c := range map[string]struct {
		ca   []byte
		says string
	}{
		"that of the server":    {certificate(s), ""},
		"it beside another one": {[]byte(clientCertificate(t).ClientCert + string(certificate(s))), ""},
		"another one":           {[]byte(clientCertificate(t).ClientCert), "put its CA into caFile of secretRef"},
		"none":                  {nil, "put its CA into caFile of secretRef"},
		"a file that is no PEM": {[]byte("x"), "caFile holds no PEM certificate"},
		"a PEM that is no CA":   {[]byte(clientCertificate(t).ClientKey), "caFile holds no PEM certificate"},
	} {
		t.Run(sentence, func(t *testing.T) {
			_, err := leads(t.Context(), &git.Client{}, git.Source{URL: s.URL, Ref: "refs/heads/main", CA: c.ca})
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}
