package git

import (
	"bytes"
	"cmp"
	"context"
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
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	githubHost = "github.com"
	githubAPI  = "https://api.github.com"
	// githubUser is who the bearer of an installation's token is to Git.
	githubUser = "x-access-token"
	// keyLife is how long what the App signs may be used; GitHub takes ten minutes at most, by its own clock.
	keyLife = 9 * time.Minute
)

// checkApp refuses an App that is not whole, and one whose token would go to a host that it is not of.
func (s Source) checkApp() error {
	if err := s.checkAppKeys(); err != nil {
		return err
	}
	if err := s.checkAppBase(); err != nil {
		return err
	}
	_, err := s.appKey()
	return err
}

func (s Source) checkAppKeys() error {
	app := s.Auth.App
	for _, key := range []struct {
		name, value, is string
	}{
		{"githubAppID", app.ID, "the ID of the App"},
		{"githubAppPrivateKey", app.PrivateKey, "a private key of the App in PEM"},
		{"githubAppInstallationID or githubAppInstallationOwner", app.InstallationID + app.InstallationOwner, "where it is installed"},
	} {
		if key.value == "" {
			return s.errorf(InvalidSource, "secretRef has a GitHub App without %s: add %s", key.name, key.is)
		}
	}
	// They become a part of a path.
	word := regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]*$`)
	switch {
	case app.InstallationID != "" && app.InstallationOwner != "":
		return s.errorf(InvalidSource, "secretRef has both githubAppInstallationID and githubAppInstallationOwner: keep one of them")
	case !word.MatchString(app.ID) || !word.MatchString(app.InstallationID+app.InstallationOwner):
		return s.errorf(InvalidSource, "githubAppID, githubAppInstallationID or githubAppInstallationOwner of secretRef has letters that none has: correct it")
	default:
		return nil
	}
}

func (s Source) checkAppBase() error {
	app := s.Auth.App
	u, errURL := url.Parse(s.URL)
	base, errBase := url.Parse(cmp.Or(app.BaseURL, githubAPI))
	switch {
	case errURL != nil || errBase != nil || base.Hostname() == "" || base.User != nil || base.RawQuery != "":
		return s.errorf(InvalidSource, "githubAppBaseURL of secretRef is not a URL: write https://HOST/api/v3")
	case base.Scheme != "https" && (base.Scheme != "http" || !s.InsecureHTTP):
		return s.errorf(InvalidSource, "githubAppBaseURL of secretRef is not an https URL: write https://HOST/api/v3")
	case app.BaseURL == "" && !strings.EqualFold(u.Hostname(), githubHost):
		return s.errorf(InvalidSource, "the repository is not on %s, and secretRef has no githubAppBaseURL: add https://HOST/api/v3", githubHost)
	default:
		return nil
	}
}

func (s Source) appKey() (*rsa.PrivateKey, error) {
	if block, _ := pem.Decode([]byte(s.Auth.App.PrivateKey)); block != nil {
		if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
			return key, nil
		}
		if parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			if key, ok := parsed.(*rsa.PrivateKey); ok {
				return key, nil
			}
		}
	}
	return nil, s.errorf(InvalidSource, "githubAppPrivateKey of secretRef is not an RSA key in PEM: write the file that GitHub gives")
}

// exchange has the API make a token for the installation, for reading and nothing else.
func (s Source) exchange(ctx context.Context, u *url.URL, l Limits) (token, error) {
	w, err := s.newWire(u, l)
	if err != nil {
		return token{}, err
	}
	defer w.close()
	signed, err := s.signApp(time.Now())
	if err != nil {
		return token{}, err
	}
	installation := s.Auth.App.InstallationID
	if installation == "" {
		if installation, err = w.installation(ctx, signed); err != nil {
			return token{}, err
		}
	}
	var made struct {
		Token     string    `json:"token"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	wanted := map[string]any{"permissions": map[string]string{"contents": "read"}}
	if _, err := w.api(ctx, http.MethodPost, "/app/installations/"+installation+"/access_tokens", signed, wanted, &made); err != nil {
		return token{}, err
	}
	if made.Token == "" || strings.ContainsAny(made.Token, "\r\n\x00") {
		return token{}, s.errorf(InvalidAnswer, "the API of the GitHub App answers without a token: look at githubAppBaseURL")
	}
	return token{value: made.Token, expires: made.ExpiresAt}, nil
}

// installation asks for the one of an organisation, or of a user.
func (w *wire) installation(ctx context.Context, signed string) (string, error) {
	var found struct {
		ID int64 `json:"id"`
	}
	owner := w.source.Auth.App.InstallationOwner
	status, err := w.api(ctx, http.MethodGet, "/orgs/"+owner+"/installation", signed, nil, &found)
	if status == http.StatusNotFound {
		_, err = w.api(ctx, http.MethodGet, "/users/"+owner+"/installation", signed, nil, &found)
	}
	return strconv.FormatInt(found.ID, 10), err
}

// api makes one request to the API as the App. It follows no redirect.
func (w *wire) api(ctx context.Context, method, path, signed string, body, answer any) (status int, _ error) {
	const most = 1 << 20
	s := w.source
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return 0, fmt.Errorf("encode request: %w", err)
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(cmp.Or(s.Auth.App.BaseURL, githubAPI), "/")+path, content)
	if err != nil {
		return 0, s.errorf(InvalidSource, "githubAppBaseURL of secretRef is not a URL: write https://HOST/api/v3")
	}
	request.Header.Set("Authorization", "Bearer "+signed)
	request.Header.Set("Accept", "application/vnd.github+json")
	request.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	response, err := w.way(request.URL).RoundTrip(request)
	if err != nil {
		return 0, s.classify(ctx, w, err)
	}
	defer func() { _ = response.Body.Close() }()
	if err := s.apiRefusal(response.StatusCode); err != nil {
		return response.StatusCode, err
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, most)).Decode(answer); err != nil {
		if ctx.Err() != nil {
			return response.StatusCode, s.classify(ctx, w, err)
		}
		return response.StatusCode, s.errorf(InvalidAnswer, "the API of the GitHub App does not answer in JSON: look at githubAppBaseURL")
	}
	return response.StatusCode, nil
}

// apiRefusal is the error for a status of the API; nil for success.
func (s Source) apiRefusal(status int) error {
	switch {
	case status == http.StatusOK || status == http.StatusCreated:
		return nil
	case status == http.StatusUnauthorized:
		return s.errorf(AuthenticationFailed, "GitHub does not accept the App's key (401): correct githubAppID and githubAppPrivateKey of secretRef")
	case status == http.StatusNotFound:
		return s.errorf(AuthenticationFailed, "the GitHub App has no such installation (404): install it, or correct "+
			"githubAppInstallationID or githubAppInstallationOwner of secretRef")
	case status == http.StatusUnprocessableEntity:
		return s.errorf(AuthenticationFailed, "the GitHub App may not read contents (422): give it the permission, and accept it where it is installed")
	case status == http.StatusForbidden, status == http.StatusTooManyRequests, status >= http.StatusInternalServerError:
		return s.errorf(Unreachable, "the API of the GitHub App answers %d: it will be asked again", status)
	default:
		return s.errorf(InvalidAnswer, "the API of the GitHub App answers %d: look at githubAppBaseURL", status)
	}
}

// signApp is a JSON Web Token (RFC 7519, RS256) in which the App says who it is.
func (s Source) signApp(now time.Time) (string, error) {
	key, err := s.appKey()
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(map[string]any{
		"iat": now.Add(-time.Minute).Unix(), // their clock may be behind ours
		"exp": now.Add(keyLife).Unix(),
		"iss": s.Auth.App.ID,
	})
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	said := segment([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + segment(claims)
	sum := sha256.Sum256([]byte(said))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		return "", s.errorf(InvalidSource, "githubAppPrivateKey of secretRef does not sign: write the file that GitHub gives")
	}
	return said + "." + segment(signature), nil
}

func segment(b []byte) string {
	return base64.RawURLEncoding.EncodeToString(b)
}
