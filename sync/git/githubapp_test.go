package git_test

import (
	"bufio"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
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

// github is the API of an App as far as it is asked, and a Git server that takes the tokens of that API alone, both on
// one host over TLS, as GitHub Enterprise Server has them.
type github struct {
	*server
	key *rsa.PrivateKey

	mu     sync.Mutex
	life   time.Duration
	made   int             // how many tokens
	valid  map[string]bool // which of them Git accepts
	wanted string          // what the last one was to be allowed
	refuse int             // a status to refuse with in place of a token
}

func newGitHub(t *testing.T) *github {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	g := &github{server: newTLSServer(t), key: key, life: time.Hour, valid: map[string]bool{}}
	backend := g.Handler
	g.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path, isAPI := strings.CutPrefix(r.URL.Path, "/api/v3"); {
		case isAPI:
			g.api(w, r, path)
		case !g.admits(r):
			w.WriteHeader(http.StatusUnauthorized)
		default:
			backend.ServeHTTP(w, r)
		}
	})
	return g
}

func (g *github) admits(r *http.Request) bool {
	user, password, _ := r.BasicAuth()
	g.mu.Lock()
	defer g.mu.Unlock()
	return user == "x-access-token" && g.valid[password]
}

func (g *github) api(w http.ResponseWriter, r *http.Request, path string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.verify(r); err != nil {
		http.Error(w, fmt.Sprintf(`{"message": %q}`, err), http.StatusUnauthorized)
		return
	}
	switch r.Method + " " + path {
	case "GET /users/octo/installation":
		_, _ = io.WriteString(w, `{"id": 42}`)
	case "POST /app/installations/42/access_tokens":
		if g.refuse != 0 {
			http.Error(w, canary, g.refuse)
			return
		}
		body, _ := io.ReadAll(r.Body)
		g.made++
		g.wanted = string(body)
		token := fmt.Sprintf("ghs_%s_%d", canary, g.made)
		g.valid[token] = true
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"token": %q, "expires_at": %q, "permissions": {"contents": "read"}}`, token, time.Now().Add(g.life).UTC().Format(time.RFC3339))
	default:
		http.NotFound(w, r)
	}
}

// verify does what GitHub does with a JSON Web Token (RFC 7519).
func (g *github) verify(r *http.Request) error {
	parts := strings.Split(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), ".")
	if len(parts) != 3 {
		return fmt.Errorf("%q is no token", r.Header.Get("Authorization"))
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || rsa.VerifyPKCS1v15(&g.key.PublicKey, crypto.SHA256, sum[:], signature) != nil {
		return fmt.Errorf("the signature does not hold")
	}
	var claims struct {
		Iss      string
		Iat, Exp int64
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return fmt.Errorf("the claims cannot be read")
	}
	if now := time.Now().Unix(); claims.Iss != "1234" || claims.Iat > now || claims.Exp <= now || claims.Exp-claims.Iat > 600 {
		return fmt.Errorf("the claims are %+v", claims)
	}
	return nil
}

func (g *github) source() git.Source {
	return git.Source{URL: g.URL, Ref: "refs/heads/main", CA: certificate(g.server), Auth: git.Auth{App: git.App{
		ID: "1234", InstallationID: "42", BaseURL: g.HTTP.URL + "/api/v3",
		PrivateKey: string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(g.key)})),
	}}}
}

func (g *github) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.made
}

func (g *github) set(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
}

func TestGitHubApp(t *testing.T) {
	g := newGitHub(t)
	want := g.push("one", map[string]string{"a": "1"})
	client := &git.Client{Dir: t.TempDir()}
	resolve := func(t *testing.T, tokens int) {
		t.Helper()
		if commit, err := leads(t.Context(), client, g.source()); err != nil || commit != want {
			t.Errorf("it leads to %q, %v, want %q", commit, err, want)
		}
		if n := g.count(); n != tokens {
			t.Errorf("%d tokens were made, want %d", n, tokens)
		}
	}
	t.Run("its key is exchanged for a token, which serves while it is valid", func(t *testing.T) {
		resolve(t, 1)
		resolve(t, 1)
		fetch(t, client, g.source(), want)
		if n := g.count(); n != 1 {
			t.Errorf("%d tokens were made, want 1", n)
		}
		if g.wanted != `{"permissions":{"contents":"read"}}` {
			t.Errorf("the token was to be allowed %s", g.wanted)
		}
	})
	t.Run("a token that is taken back is replaced, once", func(t *testing.T) {
		g.set(func() { clear(g.valid) })
		resolve(t, 2)
		resolve(t, 2)
	})
	t.Run("one that would end in the middle of a fetch is replaced before", func(t *testing.T) {
		g.set(func() { g.life = 4 * time.Minute; clear(g.valid) })
		resolve(t, 3)
		resolve(t, 4)
		resolve(t, 5)
		g.set(func() { g.life = time.Hour })
		resolve(t, 6)
		resolve(t, 6)
	})
	t.Run("another GitSync of the same App shares it", func(t *testing.T) {
		source := g.source()
		source.Ref = "refs/heads/other"
		_, err := leads(t.Context(), client, source)
		wantError(t, err, git.RefNotFound)
		if n := g.count(); n != 6 {
			t.Errorf("%d tokens were made, want 6", n)
		}
	})
	t.Run("a repository that takes no token of it asks for one new token and no more", func(t *testing.T) {
		source := g.source()
		other := newTLSServer(t)
		other.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/api") {
				g.Handler.ServeHTTP(w, r)
				return
			}
			w.WriteHeader(http.StatusUnauthorized)
		})
		source.URL, source.Auth.App.BaseURL = other.URL, other.HTTP.URL+"/api/v3"
		_, err := leads(t.Context(), client, source)
		wantError(t, err, git.AuthenticationFailed, "401")
		withoutCanary(t, err)
		if n := g.count(); n != 7 {
			t.Errorf("%d tokens were made, want 7", n)
		}
	})
	t.Run("the owner may stand for the installation, organisation or user", func(t *testing.T) {
		source := g.source()
		source.Auth.App.InstallationID, source.Auth.App.InstallationOwner = "", "octo"
		if commit, err := leads(t.Context(), &git.Client{}, source); err != nil || commit != want {
			t.Errorf("it leads to %q, %v, want %q", commit, err, want)
		}
	})
	t.Run("it goes through a proxy too", func(t *testing.T) {
		through := &gate{to: g.HTTP.Listener.Addr().String()}
		source := g.source()
		source.URL, source.Auth.App.BaseURL = "https://example.com/repo.git", "https://example.com/api/v3"
		source.Proxy.Address = "http://" + listen(t, through.connect)
		if _, err := leads(t.Context(), &git.Client{}, source); err != nil {
			t.Error(err)
		}
		through.wantCarried(t, "example.com:443", 1000)
	})
}

func TestGitHubAppsThatFail(t *testing.T) {
	g := newGitHub(t)
	g.push("one", map[string]string{"a": "1"})
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(other)
	if err != nil {
		t.Fatal(err)
	}
	otherKey := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	for sentence, c := range map[string]struct {
		change func(*git.Source)
		refuse int
		reason git.Reason
		says   string
	}{
		"the key of another App":      {change: func(s *git.Source) { s.Auth.App.PrivateKey = otherKey }, reason: git.AuthenticationFailed, says: "correct githubAppID and githubAppPrivateKey"},
		"the ID of another App":       {change: func(s *git.Source) { s.Auth.App.ID = "1" }, reason: git.AuthenticationFailed, says: "correct githubAppID"},
		"another installation":        {change: func(s *git.Source) { s.Auth.App.InstallationID = "7" }, reason: git.AuthenticationFailed, says: "no such installation (404)"},
		"an owner it is not with":     {change: func(s *git.Source) { s.Auth.App.InstallationID, s.Auth.App.InstallationOwner = "", "nobody" }, reason: git.AuthenticationFailed, says: "no such installation (404)"},
		"permissions it has not":      {refuse: 422, reason: git.AuthenticationFailed, says: "may not read contents"},
		"a suspended installation":    {refuse: 403, reason: git.Unreachable, says: "answers 403"},
		"too many requests":           {refuse: 429, reason: git.Unreachable, says: "answers 429"},
		"an API that is down":         {refuse: 502, reason: git.Unreachable, says: "answers 502"},
		"a redirect":                  {refuse: 302, reason: git.InvalidAnswer, says: "answers 302"},
		"a page in place of an API":   {refuse: 200, reason: git.InvalidAnswer, says: "does not answer in JSON"},
		"no key":                      {change: func(s *git.Source) { s.Auth.App.PrivateKey = "" }, reason: git.InvalidSource, says: "without githubAppPrivateKey"},
		"no ID":                       {change: func(s *git.Source) { s.Auth.App.ID = "" }, reason: git.InvalidSource, says: "without githubAppID"},
		"no installation":             {change: func(s *git.Source) { s.Auth.App.InstallationID = "" }, reason: git.InvalidSource, says: "without githubAppInstallationID or githubAppInstallationOwner"},
		"two installations":           {change: func(s *git.Source) { s.Auth.App.InstallationOwner = "octo" }, reason: git.InvalidSource, says: "keep one of them"},
		"an installation with a path": {change: func(s *git.Source) { s.Auth.App.InstallationID = "../x" }, reason: git.InvalidSource, says: "letters that none has"},
		"a key that is none":          {change: func(s *git.Source) { s.Auth.App.PrivateKey = canary }, reason: git.InvalidSource, says: "not an RSA key in PEM"},
		"a password beside it":        {change: func(s *git.Source) { s.Auth.Password = canary }, reason: git.InvalidSource, says: "both a GitHub App and"},
		"an API over plain http":      {change: func(s *git.Source) { s.Auth.App.BaseURL = "http://git.invalid" }, reason: git.InvalidSource, says: "not an https URL"},
		"a host that is not GitHub's": {change: func(s *git.Source) { s.Auth.App.BaseURL = "" }, reason: git.InvalidSource, says: "add https://HOST/api/v3"},
	} {
		t.Run(sentence, func(t *testing.T) {
			source := g.source()
			if c.change != nil {
				c.change(&source)
			}
			g.set(func() { g.refuse = c.refuse })
			_, err := (&git.Client{Dir: t.TempDir()}).Fetch(t.Context(), source, "")
			wantError(t, err, c.reason, c.says)
			withoutCanary(t, err)
			if strings.Contains(fmt.Sprintf("%+v %#v %q", source, source, source.Auth.App), "PRIVATE KEY") {
				t.Error("the source shows its key")
			}
		})
	}
}

func TestAGitHubAppsTokenDoesNotFollowToAnotherHost(t *testing.T) {
	g := newGitHub(t)
	var seen []string
	other := newTLSServer(t)
	other.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, fmt.Sprint(r.Header))
		w.WriteHeader(http.StatusNotFound)
	})
	backend := g.Handler
	g.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api") {
			backend.ServeHTTP(w, r)
			return
		}
		if !g.admits(r) {
			t.Error("the token did not reach its own host")
		}
		http.Redirect(w, r, other.HTTP.URL+r.URL.String(), http.StatusMovedPermanently)
	})
	_, err := leads(t.Context(), &git.Client{}, g.source())
	wantError(t, err, git.RepositoryNotFound)
	if all := strings.Join(seen, "\n"); len(seen) != 1 || strings.Contains(all, "Authorization") || strings.Contains(all, canary) {
		t.Errorf("the other host saw %d requests:\n%s", len(seen), all)
	}
}

func TestAnAPIThatDoesNotAnswer(t *testing.T) {
	g := newGitHub(t)
	for sentence, say := range map[string]string{"in its head": "", "in its body": "HTTP/1.1 201 Created\r\n\r\n{"} {
		t.Run(sentence, func(t *testing.T) {
			source := g.source()
			source.Auth.App.BaseURL = "https://" + secured(t, make(chan int, 10), func(conn net.Conn) {
				r := bufio.NewReader(conn)
				_, _ = http.ReadRequest(r)
				_, _ = io.WriteString(conn, say)
				_, _ = io.Copy(io.Discard, r)
			})
			_, err := leads(t.Context(), &git.Client{Limits: git.Limits{ResolveTimeout: 300 * time.Millisecond}}, source)
			wantError(t, err, git.Unreachable, "did not answer in time")
		})
	}
	t.Run("without an end", func(t *testing.T) {
		source := g.source()
		endless := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, `{"token": "`)
			for {
				if _, err := w.Write(make([]byte, 32<<10)); err != nil {
					return
				}
			}
		}))
		t.Cleanup(endless.Close)
		source.Auth.App.BaseURL = endless.URL
		_, err := leads(t.Context(), &git.Client{}, source)
		wantError(t, err, git.InvalidAnswer, "does not answer in JSON")
	})
}
