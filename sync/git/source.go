package git

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/transport"
)

// Source says where a repository is and how to read it.
type Source struct {
	// URL is an https URL, or an http one with InsecureHTTP, without user, query and fragment.
	URL string
	// Ref is the full name of a ref, such as refs/heads/main.
	Ref string
	// Commit is the full hex name of a commit to read in place of what a ref names; empty for the ref. Not every server
	// gives out a commit that no ref names.
	Commit string
	// Semver is a range of versions, of which the tag with the highest one is read in place of a ref; empty for the ref.
	// Tags below a path are those of a range with that path before it, as in agents/1.x.
	Semver string
	Auth   Auth
	// InsecureHTTP allows http, and with it that the credentials and what is applied to the cluster travel
	// in plain text.
	InsecureHTTP bool
	// CA are PEM certificates to trust beside those of the system; it may be empty.
	CA []byte
}

// endpoint checks the source before go-git or the network see any of it.
func (s Source) endpoint() (*transport.Endpoint, error) {
	if err := s.checkRef(); err != nil {
		return nil, err
	}
	if err := s.checkAuth(); err != nil {
		return nil, err
	}
	const shape = "this is not an https URL: write https://host/path (ssh and local paths are not supported)"
	u, err := url.Parse(s.URL)
	if err != nil || strings.HasPrefix(s.URL, "-") || strings.ContainsFunc(s.URL, unprintable) || !strings.Contains(s.URL, "://") {
		return nil, s.errorf(InvalidSource, shape)
	}
	if err := s.checkScheme(u.Scheme); err != nil {
		return nil, err
	}
	if err := s.checkURL(u); err != nil {
		return nil, err
	}
	ep, err := transport.NewEndpoint(u.String())
	if err != nil || ep.Protocol != u.Scheme {
		return nil, s.errorf(InvalidSource, shape)
	}
	return ep, nil
}

// checkURL refuses the parts of a URL that hold secrets elsewhere, and a URL without a host.
func (s Source) checkURL(u *url.URL) error {
	switch {
	case u.User != nil:
		return s.errorf(InvalidSource, "the URL holds a user name or password: remove it and use secretRef")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return s.errorf(InvalidSource, "the URL has a query or fragment: remove it, and use secretRef for credentials")
	case u.Hostname() == "":
		return s.errorf(InvalidSource, "the URL names no host: write https://host/path")
	default:
		return nil
	}
}

func unprintable(r rune) bool {
	return r <= ' ' || r == 0x7f || r == '\\'
}

func (s Source) checkScheme(scheme string) error {
	switch scheme {
	case "https":
		return nil
	case "http":
		if s.InsecureHTTP {
			return nil
		}
		what := "everything travels in plain text over http"
		if s.Auth != (Auth{}) {
			what = "the credentials would travel in plain text over http"
		}
		return s.errorf(InvalidSource, "%s: use https, or set insecureHTTP: true", what)
	case "ssh", "git+ssh":
		return s.errorf(InvalidSource, "ssh is not supported yet: use https with a token in secretRef")
	default:
		return s.errorf(InvalidSource, "scheme %q is not supported: use https", scheme)
	}
}

// asked is what is asked for, for errors.
func (s Source) asked() string {
	if s.Semver != "" {
		return fmt.Sprintf("semver %q", line(s.Semver))
	}
	return cmp.Or(s.Ref, s.Commit)
}

func (s Source) checkRef() error {
	if s.Semver != "" {
		if s.Ref != "" || s.Commit != "" {
			return s.errorf(InvalidSource, "there is a range of versions and a ref or a commit: keep one of them")
		}
		_, err := s.versionRange()
		return err
	}
	if s.Commit != "" {
		if s.Ref != "" || !plumbing.IsHash(s.Commit) {
			return s.errorf(InvalidSource, "this is not the full name of a commit: write all of its 40 hex digits, and no ref beside it")
		}
		return nil
	}
	name, ok := strings.CutPrefix(s.Ref, "refs/")
	if !ok || name == "" || strings.ContainsFunc(s.Ref, unprintable) || strings.Contains(s.Ref, "..") {
		return s.errorf(InvalidSource, "this is not the full name of a ref: write refs/heads/BRANCH or refs/tags/TAG")
	}
	return nil
}

func (s Source) checkAuth() error {
	if s.Auth.BearerToken != "" && s.Auth.basic() {
		return s.errorf(InvalidSource, "there are both a bearer token and a user name or password: keep one of them in secretRef")
	}
	for _, secret := range []string{s.Auth.Username, s.Auth.Password, s.Auth.BearerToken} {
		if strings.ContainsAny(secret, "\r\n\x00") {
			return s.errorf(InvalidSource, "a credential holds a line break: remove it from secretRef")
		}
	}
	return nil
}

// SameRepository is whether two sources ask the same repository in the same way, the credentials among it, for whatever
// of it.
func (s Source) SameRepository(other Source) bool {
	s.Ref, s.Commit, s.Semver = "", "", ""
	other.Ref, other.Commit, other.Semver = "", "", ""
	return same(s, other)
}
