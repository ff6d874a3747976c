package git

import (
	"encoding/base64"
	"net/url"
	"regexp"
	"strings"
)

// redact leaves of a URL what may be shown: scheme, host and path. What does not parse loses everything up to
// its last @ and from its first ? or #.
func redact(raw string) string {
	raw = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, raw)
	if end := strings.IndexAny(raw, "?#"); end >= 0 {
		raw = raw[:end]
	}
	scheme, rest, hasScheme := strings.Cut(raw, "://")
	if !hasScheme {
		scheme, rest = "", raw
	} else {
		scheme += "://"
	}
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		rest = rest[at+1:]
	}
	const longest = 300
	if len(rest) > longest {
		rest = rest[:longest] + "…"
	}
	return scheme + rest
}

// scrub takes out of a text what must not be shown: the credentials in every form in which they travel, and
// the parts of URLs that redact removes. It bounds the length too.
func (s Source) scrub(text string) string {
	for _, secret := range append(s.Auth.secrets(), Auth{Username: s.Proxy.Username, Password: s.Proxy.Password}.secrets()...) {
		text = strings.ReplaceAll(text, secret, "[redacted]")
	}
	text = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"']+`).ReplaceAllStringFunc(text, redact)
	text = regexp.MustCompile(`[?&][^\s"'=]*=[^\s"']*`).ReplaceAllString(text, "")
	const longest = 300
	if len(text) > longest {
		text = text[:longest] + "…"
	}
	return text
}

// secrets are the forms of the credentials that a server or a library may repeat, longest first.
func (a Auth) secrets() []string {
	var all []string
	if a.Password != "" || a.Username != "" {
		all = append(all, base64.StdEncoding.EncodeToString([]byte(a.Username+":"+a.Password)))
	}
	for _, secret := range []string{a.Password, a.BearerToken} {
		if secret != "" {
			all = append(all, url.QueryEscape(secret), url.PathEscape(secret), secret)
		}
	}
	return all
}
