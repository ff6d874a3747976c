package git

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// Source says where a repository is and how to read it.
type Source struct {
	// URL is an https URL, or an http one with InsecureHTTP, without user, query and fragment; or an ssh one, which may
	// name a user.
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
	// Verify is whose signature Fetch wants; nil for nobody's.
	Verify *Verification
	// CA are PEM certificates to trust beside those of the system; it may be empty.
	CA []byte
	// KnownHosts is a known_hosts file; an ssh URL needs one.
	KnownHosts []byte
	// Proxy is what to connect through; without one those of the environment count.
	Proxy Proxy
}

// check looks at the source before go-git or the network see any of it, and returns its URL.
func (s Source) check() (*url.URL, error) {
	if err := s.checkRef(); err != nil {
		return nil, err
	}
	if err := s.scpLike(); err != nil {
		return nil, err
	}
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
	if err := s.checkAuth(u.Scheme); err != nil {
		return nil, err
	}
	return u, nil
}

const shape = "this is neither an https nor an ssh URL: write https://host/path or ssh://git@host/path (local paths are not supported)"

// scpLike refuses git@host:path with the URL that says the same, as one repository is to have one name.
func (s Source) scpLike() error {
	host, path, ok := strings.Cut(s.URL, ":")
	if !ok || strings.Contains(s.URL, "://") || strings.HasPrefix(path, ":") || strings.ContainsFunc(s.URL, unprintable) {
		return nil
	}
	user, name, hasUser := strings.Cut(host, "@")
	if !hasUser || !isHostname(name) || !isHostname(user) || path == "" || strings.HasPrefix(path, "-") {
		return nil
	}
	return s.errorf(InvalidSource, "this is not a URL: write ssh://%s@%s/%s", user, name, strings.TrimPrefix(path, "/"))
}

// isHostname is whether a name has the letters of one, and is no option of a program.
func isHostname(name string) bool {
	return name != "" && !strings.HasPrefix(name, "-") && !strings.ContainsFunc(name, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_", r)
	})
}

// checkURL refuses the parts of a URL that hold secrets elsewhere, and a URL without a host.
func (s Source) checkURL(u *url.URL) error {
	_, password := u.User.Password()
	switch {
	case u.User != nil && (u.Scheme != "ssh" || password):
		return s.errorf(InvalidSource, "the URL holds a user name or password: remove it and use secretRef")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return s.errorf(InvalidSource, "the URL has a query or fragment: remove it, and use secretRef for credentials")
	case u.Hostname() == "":
		return s.errorf(InvalidSource, "the URL names no host: write https://host/path")
	case strings.HasPrefix(u.Hostname(), "-"):
		return s.errorf(InvalidSource, "the host of the URL begins with a hyphen: correct it")
	case u.Scheme == "ssh":
		return s.checkSSH(u)
	default:
		return nil
	}
}

func unprintable(r rune) bool {
	return r <= ' ' || r == 0x7f || r == '\\'
}

// checkSSH refuses what a host, a user or a path of a server cannot be.
func (s Source) checkSSH(u *url.URL) error {
	switch {
	case !isHostname(u.Hostname()) && net.ParseIP(u.Hostname()) == nil:
		return s.errorf(InvalidSource, "the URL names no host: write ssh://git@host/path")
	case u.User != nil && !isHostname(u.User.Username()):
		return s.errorf(InvalidSource, "the user of the URL has letters that none has: write ssh://git@host/path")
	case strings.Trim(u.Path, "/") == "":
		return s.errorf(InvalidSource, "the URL names no repository: write ssh://git@host/path")
	case strings.ContainsFunc(u.Path, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return s.errorf(InvalidSource, "the path of the URL has a letter that no path has: correct it")
	default:
		return nil
	}
}

func (s Source) checkScheme(scheme string) error {
	switch scheme {
	case "https", "ssh":
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
	default:
		return s.errorf(InvalidSource, "scheme %q is not supported: use https or ssh", scheme)
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

// SameRepository is whether two sources ask the same repository in the same way, the credentials among it, for whatever
// of it.
func (s Source) SameRepository(other Source) bool {
	s.Ref, s.Commit, s.Semver, s.Verify = "", "", "", nil
	other.Ref, other.Commit, other.Semver, other.Verify = "", "", "", nil
	return sameSource(s, other)
}
