package git

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
)

// Auth holds the credentials for a repository. Over https that is a user name and password, a bearer token, a GitHub App,
// or none of them, and a client certificate beside any of them; over ssh it is a private key. It shows itself as its
// kinds and nothing else, whichever way it is printed, logged or encoded.
type Auth struct {
	Username string
	// Password belongs to Username; over ssh it is the passphrase of Identity.
	Password    string
	BearerToken string
	// Identity is a private key for ssh, in PEM or OpenSSH's own form.
	Identity string
	// ClientCert and ClientKey are a certificate and its key in PEM. They are shown to the host of the repository alone.
	ClientCert string
	ClientKey  string
	App        App
}

// App is an installation of a GitHub App, whose key Client exchanges for tokens that are valid for an hour.
type App struct {
	ID string
	// InstallationID or InstallationOwner, an organisation or a user, name the installation: one of them.
	InstallationID    string
	InstallationOwner string
	// PrivateKey is the App's RSA key in PEM.
	PrivateKey string
	// BaseURL is that of the API; empty for github.com.
	BaseURL string
}

var (
	_ fmt.Stringer   = Auth{}
	_ fmt.GoStringer = Auth{}
	_ fmt.Formatter  = Auth{}
	_ json.Marshaler = Auth{}
	_ slog.LogValuer = Auth{}
	_ fmt.Formatter  = App{}
	_ json.Marshaler = App{}
	_ slog.LogValuer = App{}
)

// String names the kinds of credentials.
func (a Auth) String() string {
	var kinds []string
	for _, kind := range []struct {
		has  bool
		name string
	}{
		{a.BearerToken != "", "bearer token"},
		{a.basic(), "user name and password"},
		{a.App != App{}, "GitHub App"},
		{a.Identity != "", "ssh key"},
		{a.ClientCert != "" || a.ClientKey != "", "client certificate"},
	} {
		if kind.has {
			kinds = append(kinds, kind.name+" [redacted]")
		}
	}
	if len(kinds) == 0 {
		return "none"
	}
	return strings.Join(kinds, ", ")
}

// GoString is String.
func (a Auth) GoString() string { return a.String() }

// Format is String for every verb, so that none prints the fields.
func (a Auth) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(a.String())) }

// MarshalJSON is String.
func (a Auth) MarshalJSON() ([]byte, error) { return json.Marshal(a.String()) }

// LogValue is String.
func (a Auth) LogValue() slog.Value { return slog.StringValue(a.String()) }

// Format is what Auth shows, for every verb.
func (g App) Format(f fmt.State, verb rune) { Auth{App: g}.Format(f, verb) }

// MarshalJSON is what Auth shows.
func (g App) MarshalJSON() ([]byte, error) { return Auth{App: g}.MarshalJSON() }

// LogValue is what Auth shows.
func (g App) LogValue() slog.Value { return Auth{App: g}.LogValue() }

func (a Auth) basic() bool {
	return a.Username != "" || a.Password != ""
}

// method is the form that the transport for http takes; nil when there are no credentials.
func (a Auth) method() transport.AuthMethod {
	switch {
	case a.BearerToken != "":
		return &githttp.TokenAuth{Token: a.BearerToken}
	case a.basic():
		return &githttp.BasicAuth{Username: a.Username, Password: a.Password}
	default:
		return nil
	}
}
