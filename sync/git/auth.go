package git

import (
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
)

// Auth holds the credentials for a repository: a user name and password, a bearer token, or neither. It shows
// itself as its kind and nothing else, whichever way it is printed, logged or encoded.
type Auth struct {
	Username    string
	Password    string
	BearerToken string
}

var (
	_ fmt.Stringer   = Auth{}
	_ fmt.GoStringer = Auth{}
	_ fmt.Formatter  = Auth{}
	_ json.Marshaler = Auth{}
	_ slog.LogValuer = Auth{}
)

// String names the kind of credentials.
func (a Auth) String() string {
	switch {
	case a.BearerToken != "":
		return "bearer token [redacted]"
	case a.basic():
		return "user name and password [redacted]"
	default:
		return "none"
	}
}

// GoString is String.
func (a Auth) GoString() string { return a.String() }

// Format is String for every verb, so that none prints the fields.
func (a Auth) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(a.String())) }

// MarshalJSON is String.
func (a Auth) MarshalJSON() ([]byte, error) { return json.Marshal(a.String()) }

// LogValue is String.
func (a Auth) LogValue() slog.Value { return slog.StringValue(a.String()) }

func (a Auth) basic() bool {
	return a.Username != "" || a.Password != ""
}

// method is the form that the transport takes; nil when there are no credentials.
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
