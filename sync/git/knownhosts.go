package git

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // known_hosts hashes host names with it
	"encoding/base64"
	"fmt"
	"net"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// knownHosts are the lines of a known_hosts file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT), in their order. x/crypto's own
// reader wants a file, and takes the key of an authority for the key of a host.
type knownHosts []knownHost

type knownHost struct {
	// marker is empty, markAuthority or markRevoked.
	marker   string
	patterns []string
	key      ssh.PublicKey
}

const (
	markAuthority = "cert-authority"
	markRevoked   = "revoked"
)

// parseKnownHosts reads every line. One that cannot be read is an error that gives its number and not its text.
func parseKnownHosts(data []byte) (knownHosts, error) {
	var out knownHosts
	for i, line := range bytes.Split(data, []byte("\n")) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		marker, patterns, key, _, _, err := ssh.ParseKnownHosts(withoutComment(line))
		switch {
		case err != nil:
			return nil, fmt.Errorf("line %d is not one of known_hosts", i+1)
		case marker != "" && marker != markAuthority && marker != markRevoked:
			return nil, fmt.Errorf("line %d has a mark that is neither @cert-authority nor @revoked", i+1)
		}
		for _, pattern := range patterns {
			if strings.HasPrefix(pattern, "|") && !hashed(pattern) {
				return nil, fmt.Errorf("line %d has a hashed host that cannot be read", i+1)
			}
		}
		out = append(out, knownHost{marker: marker, patterns: patterns, key: key})
	}
	return out, nil
}

// withoutComment leaves the mark, the hosts, the type and the key: a comment may be of several words, which x/crypto does
// not take.
func withoutComment(line []byte) []byte {
	fields, wanted := bytes.Fields(line), 3
	if line[0] == '@' {
		wanted++
	}
	return bytes.Join(fields[:min(len(fields), wanted)], []byte(" "))
}

// knownAs is the name of a host in known_hosts.
func knownAs(host, port string) string {
	if host = strings.ToLower(host); port == sshPort {
		return host
	}
	return "[" + host + "]:" + port
}

// of are the lines with that mark that are for a host.
func (k knownHosts) of(marker, name string) knownHosts {
	var out knownHosts
	for _, line := range k {
		if line.marker == marker && line.matches(name) {
			out = append(out, line)
		}
	}
	return out
}

// matches is whether a line is for a host: a pattern that is negated beats all others.
func (l knownHost) matches(name string) bool {
	found := false
	for _, pattern := range l.patterns {
		pattern, negated := strings.CutPrefix(pattern, "!")
		if !matchesHost(pattern, name) {
			continue
		}
		if negated {
			return false
		}
		found = true
	}
	return found
}

func matchesHost(pattern, name string) bool {
	if strings.HasPrefix(pattern, "|") {
		salt, sum, ok := unhashed(pattern)
		mac := hmac.New(sha1.New, salt)
		_, _ = mac.Write([]byte(name))
		return ok && hmac.Equal(mac.Sum(nil), sum)
	}
	return wildcard(strings.ToLower(pattern), name)
}

func hashed(pattern string) bool {
	_, _, ok := unhashed(pattern)
	return ok
}

// unhashed takes |1|SALT|HASH apart.
func unhashed(pattern string) (salt, sum []byte, ok bool) {
	parts := strings.Split(pattern, "|")
	if len(parts) != 4 || parts[1] != "1" {
		return nil, nil, false
	}
	salt, errSalt := base64.StdEncoding.DecodeString(parts[2])
	sum, errSum := base64.StdEncoding.DecodeString(parts[3])
	return salt, sum, errSalt == nil && errSum == nil && len(sum) == sha1.Size
}

// wildcard matches with * for any text and ? for one byte, in time that grows with the product of the lengths and no faster.
func wildcard(pattern, name string) bool {
	p, n, star, back := 0, 0, -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, back = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			back++
			p, n = star+1, back
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// algorithms are the types of host keys to ask a host for: those of the keys that it is known by, and certificates
// only if an authority is known for it. A host that is not known is asked for the key that it most likely publishes: the
// error shows it.
func (k knownHosts) algorithms(name string) []string {
	var out []string
	if len(k.of(markAuthority, name)) > 0 {
		for _, algorithm := range ssh.SupportedAlgorithms().HostKeys {
			if strings.Contains(algorithm, "-cert-v01@") {
				out = append(out, algorithm)
			}
		}
	}
	for _, line := range k.of("", name) {
		switch kind := line.key.Type(); kind {
		case ssh.KeyAlgoRSA:
			out = append(out, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		default:
			out = append(out, kind)
		}
	}
	if len(out) == 0 {
		return []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// revoked is whether a key, the key that a certificate is of, or the one that has signed it is marked.
func (k knownHosts) revoked(key ssh.PublicKey) bool {
	keys := []ssh.PublicKey{key}
	if cert, ok := key.(*ssh.Certificate); ok {
		keys = append(keys, cert.Key, cert.SignatureKey)
	}
	return slices.ContainsFunc(k, func(line knownHost) bool {
		return line.marker == markRevoked && slices.ContainsFunc(keys, func(key ssh.PublicKey) bool { return same(line.key, key) })
	})
}

func same(a, b ssh.PublicKey) bool {
	return bytes.Equal(a.Marshal(), b.Marshal())
}

// verify is nil when a host may have a key, and says otherwise what is wrong.
func (k knownHosts) verify(name, address string, key ssh.PublicKey) error {
	if k.revoked(key) {
		return fmt.Errorf("known_hosts marks as revoked the key that %s offers (%s)", name, shownKey(key))
	}
	if cert, ok := key.(*ssh.Certificate); ok {
		return k.verifyCertificate(name, address, cert)
	}
	known := k.of("", name)
	if slices.ContainsFunc(known, func(line knownHost) bool { return same(line.key, key) }) {
		return nil
	}
	if len(known) == 0 {
		return fmt.Errorf("known_hosts has no key of %s, which offers %s", name, shownKey(key))
	}
	var shown []string
	for _, line := range known {
		shown = append(shown, shownKey(line.key))
	}
	return fmt.Errorf("%s offers the key %s, and known_hosts knows it by %s", name, shownKey(key), strings.Join(shown, ", "))
}

func (k knownHosts) verifyCertificate(name, address string, cert *ssh.Certificate) error {
	checker := ssh.CertChecker{
		IsHostAuthority: func(authority ssh.PublicKey, _ string) bool {
			return slices.ContainsFunc(k.of(markAuthority, name), func(line knownHost) bool { return same(line.key, authority) })
		},
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%s is no address", name)
	}
	if err := checker.CheckHostKey(net.JoinHostPort(strings.ToLower(host), port), nil, cert); err != nil {
		return fmt.Errorf("%s offers the certificate %s, signed by %s, which does not hold (%s)",
			name, shownKey(cert.Key), shownKey(cert.SignatureKey), strings.TrimPrefix(err.Error(), "ssh: "))
	}
	return nil
}

// shownKey is a key as ssh-keygen -l shows it.
func shownKey(key ssh.PublicKey) string {
	return strings.TrimPrefix(key.Type(), "ssh-") + " " + ssh.FingerprintSHA256(key)
}
