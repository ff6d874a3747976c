package signed

import (
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// permitted returns the principal for whom a key may sign at a time. It goes the way of git: the first line with the
// key names the principals that the signature may be of, and then any line may allow it for one of those.
func permitted(lines []allowed, key ssh.PublicKey, id string, at time.Time) (string, error) {
	var refusal *Refusal
	for _, principal := range claims(lines, key, at) {
		for _, line := range lines {
			if matches(principal, line.principals) != 1 || !line.has(key) {
				continue
			}
			if refusal = line.refusal(key, id, principal, at); refusal == nil {
				return principal, nil
			}
		}
	}
	switch {
	case refusal != nil:
		return "", refusal
	case slices.ContainsFunc(lines, func(line allowed) bool { return line.has(key) }):
		return "", refuse(NotPermitted, id, "it is signed by %s, which is for no principal that the allowed signers have for its authority at that time", id)
	default:
		return "", refuse(UnknownKey, id, "it is signed by %s, which is not among the signers", id)
	}
}

// claims are the principals of the first line with the key that holds at the time, each a pattern; of the first line with
// the key when none does, so that its refusal can be told.
func claims(lines []allowed, key ssh.PublicKey, at time.Time) []string {
	var over []string
	for _, line := range lines {
		if !line.has(key) {
			continue
		}
		if line.early(at) || line.late(at) {
			over = append(over, strings.Split(line.principals, ",")...)
			continue
		}
		principals := strings.Split(line.principals, ",")
		certificate, ok := key.(*ssh.Certificate)
		if !ok {
			return principals
		}
		var named []string
		for _, name := range certificate.ValidPrincipals {
			if matches(name, line.principals) == 1 && certified(certificate, name, at) == nil {
				named = append(named, name)
			}
		}
		if len(named) > 0 {
			return named
		}
	}
	return over
}

func (a allowed) early(at time.Time) bool { return !a.after.IsZero() && at.Before(a.after) }

func (a allowed) late(at time.Time) bool { return !a.before.IsZero() && at.After(a.before) }

// has is whether a line is about a key, or about the authority of its certificate.
func (a allowed) has(key ssh.PublicKey) bool {
	certificate, ok := key.(*ssh.Certificate)
	if a.authority {
		return ok && equal(certificate.SignatureKey, a.key)
	}
	return !ok && equal(key, a.key)
}

func equal(a, b ssh.PublicKey) bool { return string(a.Marshal()) == string(b.Marshal()) }

// refusal is why a line that is about a key does not allow it; nil when it does.
func (a allowed) refusal(key ssh.PublicKey, id, principal string, at time.Time) *Refusal {
	const zone = "2006-01-02 15:04:05Z"
	switch {
	case a.namespaces != "" && matches(sshNamespace, a.namespaces) != 1:
		return refuse(NotPermitted, id, "it is signed by %s, which line %d of the allowed signers allows for namespaces %q, not for %q", id, a.line, shown(a.namespaces), sshNamespace)
	case a.early(at):
		return refuse(NotPermitted, id, "it is signed by %s as of %s, and line %d of the allowed signers allows that from %s on", id, at.UTC().Format(zone), a.line, a.after.Format(zone))
	case a.late(at):
		return refuse(KeyExpired, id, "it is signed by %s as of %s, and line %d of the allowed signers allows that until %s", id, at.UTC().Format(zone), a.line, a.before.Format(zone))
	}
	if certificate, ok := key.(*ssh.Certificate); ok {
		if err := certified(certificate, principal, at); err != nil {
			return refuse(NotPermitted, id, "it is signed by %s, whose certificate is not for %q at that time: %s", id, shown(principal), firstLine(err))
		}
	}
	return nil
}

// certified is whether a certificate is a good one for a principal at a time.
func certified(c *ssh.Certificate, principal string, at time.Time) error {
	switch {
	case c.CertType != ssh.UserCert:
		return refuse(NotPermitted, "", "it is not one for users")
	case len(c.ValidPrincipals) == 0:
		return refuse(NotPermitted, "", "it names no principal")
	case c.SignatureKey.Type() == ssh.KeyAlgoRSA && (c.Signature == nil || c.Signature.Format == ssh.KeyAlgoRSA):
		return refuse(NotPermitted, "", "its authority has signed it with SHA-1")
	}
	checker := &ssh.CertChecker{Clock: func() time.Time { return at }}
	return checker.CheckCert(principal, c)
}

// matches says of a text and a list of patterns whether one matches (1), none does (0), or one that is negated with !
// does (-1), as ssh-keygen does: * is any text, ? any byte.
func matches(text, patterns string) int {
	found := 0
	for pattern := range strings.SplitSeq(patterns, ",") {
		inner, negated := strings.CutPrefix(pattern, "!")
		switch {
		case !glob(text, inner):
		case negated:
			return -1
		default:
			found = 1
		}
	}
	return found
}

// glob matches byte by byte, going back to the last * only, so that no pattern costs more than the product of lengths.
func glob(text, pattern string) bool {
	t, p, star, mark := 0, 0, -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			t, p = t+1, p+1
		case star >= 0:
			mark++
			t, p = mark, star+1
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
