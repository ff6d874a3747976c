package git_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/sync/git"
)

const canary = "s3cr3t-CANARY"

func TestSourcesThatAreRefused(t *testing.T) {
	for sentence, c := range map[string]struct {
		source git.Source
		says   string
	}{
		"a local file":                        {git.Source{URL: "file:///etc"}, `scheme "file" is not supported: use https or ssh`},
		"a path":                              {git.Source{URL: "/var/lib/repo"}, "local paths are not supported"},
		"a relative path":                     {git.Source{URL: "../repo"}, "local paths are not supported"},
		"git's own protocol":                  {git.Source{URL: "git://host/repo"}, `scheme "git" is not supported`},
		"a remote helper":                     {git.Source{URL: "ext::sh -c id"}, "neither an https nor an ssh URL"},
		"a remote helper without a space":     {git.Source{URL: "ext::sh"}, "neither an https nor an ssh URL"},
		"ssh without a key":                   {git.Source{URL: "ssh://git@host/repo"}, "an ssh URL needs a key: name a Secret in secretRef"},
		"scp-like":                            {git.Source{URL: "git@host:org/repo.git"}, "write ssh://git@host/org/repo.git"},
		"scp-like from the root":              {git.Source{URL: "git@host:/srv/repo.git"}, "write ssh://git@host/srv/repo.git"},
		"scp-like with a password":            {git.Source{URL: "git:" + canary + "@host:repo.git"}, "neither an https nor an ssh URL"},
		"scp-like with an option as host":     {git.Source{URL: "git@-oProxyCommand=x:repo"}, "neither an https nor an ssh URL"},
		"scp-like with an option as path":     {git.Source{URL: "git@host:-oProxyCommand=x"}, "neither an https nor an ssh URL"},
		"an option as the host":               {git.Source{URL: "ssh://-oProxyCommand=x/repo"}, "begins with a hyphen"},
		"an option as the user":               {git.Source{URL: "ssh://-oProxyCommand=x@host/repo"}, "the user of the URL"},
		"a user with a line break":            {git.Source{URL: "ssh://a%0ab@host/repo"}, "the user of the URL"},
		"an ssh URL with a password":          {git.Source{URL: "ssh://git:" + canary + "@host/repo"}, "use secretRef"},
		"an ssh URL with a query":             {git.Source{URL: "ssh://git@host/repo?x=" + canary}, "has a query or fragment"},
		"an ssh URL without a path":           {git.Source{URL: "ssh://git@host/"}, "names no repository"},
		"an ssh URL with a line break":        {git.Source{URL: "ssh://git@host/repo%0atouch"}, "a letter that no path has"},
		"an ssh URL with a zero byte":         {git.Source{URL: "ssh://git@host/repo%00"}, "a letter that no path has"},
		"an ssh URL with a host of no letter": {git.Source{URL: "ssh://git@ho$st/repo"}, "names no host"},
		"ssh by another name":                 {git.Source{URL: "git+ssh://git@host/repo"}, `scheme "git+ssh" is not supported`},
		"scp-like with an option":             {git.Source{URL: "host:-oProxyCommand=x"}, "neither an https nor an ssh URL"},
		"an option":                           {git.Source{URL: "-uhttps://host/repo"}, "neither an https nor an ssh URL"},
		"a line break":                        {git.Source{URL: "https://host/repo\n"}, "neither an https nor an ssh URL"},
		"a backslash":                         {git.Source{URL: `https://host\@evil/repo`}, "neither an https nor an ssh URL"},
		"http":                                {git.Source{URL: "http://host/repo"}, "use https, or set insecureHTTP: true"},
		"http with credentials":               {git.Source{URL: "http://host/repo", Auth: git.Auth{Password: canary}}, "the credentials would travel in plain text"},
		"http in capitals":                    {git.Source{URL: "HTTP://host/repo"}, "use https, or set insecureHTTP: true"},
		"a user name in the URL":              {git.Source{URL: "https://user@host/repo"}, "use secretRef"},
		"a password in the URL":               {git.Source{URL: "https://user:" + canary + "@host/repo"}, "use secretRef"},
		"a password in a URL that is no good": {git.Source{URL: "https://user:" + canary + "@ho st:x/repo"}, "neither an https nor an ssh URL"},
		"a password in a broken port":         {git.Source{URL: "https://user:" + canary + "@host:port/repo"}, "neither an https nor an ssh URL"},
		"a query":                             {git.Source{URL: "https://host/repo?sig=" + canary}, "has a query or fragment"},
		"a fragment":                          {git.Source{URL: "https://host/repo#" + canary}, "has a query or fragment"},
		"no host":                             {git.Source{URL: "https:///repo"}, "names no host"},
		"nothing":                             {git.Source{URL: ""}, "neither an https nor an ssh URL"},
		"two kinds of credentials":            {git.Source{URL: "https://host/repo", Auth: git.Auth{Password: canary, BearerToken: canary}}, "keep one of them"},
		"a credential with a line break":      {git.Source{URL: "https://host/repo", Auth: git.Auth{BearerToken: canary + "\nX: y"}}, "line break"},
	} {
		t.Run(sentence, func(t *testing.T) {
			c.source.Ref = "refs/heads/main"
			client := &git.Client{Dir: t.TempDir()}
			_, err := leads(t.Context(), client, c.source)
			wantError(t, err, git.InvalidSource, c.says, "refs/heads/main")
			withoutCanary(t, err)
			_, err = client.Fetch(t.Context(), c.source, "")
			wantError(t, err, git.InvalidSource, c.says)
		})
	}
}

// withoutCanary looks for the secret in every form in which an error can be shown.
func withoutCanary(t *testing.T, err error) {
	t.Helper()
	encoded, _ := json.Marshal(err)
	for _, text := range []string{err.Error(), fmt.Sprintf("%v %+v %#v %q", err, err, err, err), string(encoded)} {
		for _, secret := range []string{canary, base64.StdEncoding.EncodeToString([]byte("user:" + canary))} {
			if strings.Contains(text, secret) {
				t.Errorf("the error shows the secret: %s", text)
			}
		}
	}
}

// TestFailuresShowNoSecrets fails in each way that a server can fail in, with a server that repeats all that
// it was told.
func TestFailuresShowNoSecrets(t *testing.T) {
	echo := func(status int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "https://user:"+canary+"@127.0.0.1:1/x?sig="+canary)
			w.WriteHeader(status)
			fmt.Fprintf(w, "%s %s %v https://a:%s@b/?x=%s", r.URL, r.Header.Get("Authorization"), r.Header, canary, canary)
		})
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := "http://" + closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	serve := func(h http.Handler) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	tlsServer := httptest.NewTLSServer(echo(http.StatusOK))
	t.Cleanup(tlsServer.Close)
	tlsServer.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)

	for sentence, c := range map[string]struct {
		url    string
		reason git.Reason
		says   string
	}{
		"a host that does not exist":      {"http://rollcall.invalid", git.Unreachable, ""},
		"a connection that is refused":    {refused, git.Unreachable, "refused"},
		"a certificate that is not known": {tlsServer.URL, git.CertificateInvalid, "caFile of secretRef"},
		"TLS spoken to a server without":  {strings.Replace(serve(echo(200)), "http", "https", 1), git.CertificateInvalid, "does not speak TLS"},
		"401":                             {serve(echo(401)), git.AuthenticationFailed, "renew the Secret"},
		"403":                             {serve(echo(403)), git.AuthenticationFailed, "read access"},
		"404":                             {serve(echo(404)), git.RepositoryNotFound, "look at the URL"},
		"400":                             {serve(echo(400)), git.InvalidAnswer, "answers 400"},
		"429":                             {serve(echo(429)), git.Unreachable, "answers 429"},
		"500":                             {serve(echo(500)), git.Unreachable, "answers 500"},
		"a redirect to nowhere":           {serve(echo(302)), git.InvalidAnswer, ""},
		"something that is not Git":       {serve(echo(200)), git.InvalidAnswer, "not that of a Git server"},
		"a redirect to itself": {serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path+"?sig="+canary, http.StatusFound)
		})), git.InvalidAnswer, "use the final URL"},
	} {
		t.Run(sentence, func(t *testing.T) {
			for _, auth := range []git.Auth{{Username: "user", Password: canary}, {BearerToken: canary}} {
				source := git.Source{URL: c.url + "/repo.git", Ref: "refs/heads/main", Auth: auth, InsecureHTTP: true}
				_, err := leads(t.Context(), &git.Client{Limits: git.Limits{ResolveTimeout: 5 * time.Second}}, source)
				withoutCanary(t, err)
				if c.says == "" {
					continue
				}
				wantError(t, err, c.reason, c.says, c.url, "refs/heads/main")
			}
		})
	}
}

func TestCredentialsDoNotFollowToAnotherHost(t *testing.T) {
	s := newServer(t)
	s.push("one", map[string]string{"a": "1"})
	var mu sync.Mutex
	var seen []string
	backend := s.Handler
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, fmt.Sprint(r.Header))
		mu.Unlock()
		backend.ServeHTTP(w, r)
	})
	// The same port under another name is another host.
	other := strings.Replace(s.HTTP.URL, "127.0.0.1", "localhost", 1)
	first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			t.Error("the credentials did not reach their own host")
		}
		http.Redirect(w, r, other+r.URL.String(), http.StatusMovedPermanently)
	}))
	t.Cleanup(first.Close)
	for _, auth := range []git.Auth{{Username: "user", Password: canary}, {BearerToken: canary}} {
		source := git.Source{URL: first.URL + "/repo.git", Ref: "refs/heads/main", Auth: auth, InsecureHTTP: true}
		if _, err := (&git.Client{Dir: t.TempDir()}).Fetch(t.Context(), source, ""); err != nil {
			t.Errorf("Fetch: %v", err)
		}
	}
	if all := strings.Join(seen, "\n"); len(seen) < 4 || strings.Contains(all, "Authorization") || strings.Contains(all, canary) {
		t.Errorf("the other host saw %d requests:\n%s", len(seen), all)
	}
}

func TestARedirectFromHTTPSToHTTPIsNotFollowed(t *testing.T) {
	s := newServer(t)
	s.push("one", map[string]string{"a": "1"})
	secure := newTLSServer(t)
	secure.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, s.HTTP.URL+r.URL.String(), http.StatusMovedPermanently)
	})
	source := git.Source{URL: secure.URL, Ref: "refs/heads/main", CA: certificate(secure)}
	_, err := leads(t.Context(), &git.Client{}, source)
	wantError(t, err, git.InvalidAnswer, "must not follow")
}

func TestAuthShowsNothing(t *testing.T) {
	for _, auth := range []git.Auth{{Username: canary, Password: canary}, {BearerToken: canary}} {
		source := git.Source{URL: "https://host/repo", Auth: auth}
		encoded, err := json.Marshal(source)
		if err != nil {
			t.Fatal(err)
		}
		var logged bytes.Buffer
		slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "source", source, "auth", auth)
		slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "source", source, "auth", auth)
		for _, text := range []string{
			string(encoded), logged.String(), auth.String(),
			fmt.Sprintf("%v %+v %#v %s %q %x %d", auth, auth, auth, auth, auth, auth, auth),
			fmt.Sprintf("%v %+v %#v", source, source, source),
		} {
			if strings.Contains(text, canary) || strings.Contains(text, fmt.Sprintf("%x", canary)) {
				t.Errorf("shows the secret: %s", text)
			}
		}
	}
}
