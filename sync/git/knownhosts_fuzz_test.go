package git

import (
	"crypto/ed25519"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// FuzzKnownHosts reads files of strangers, and has OpenSSH's reader in x/crypto look at the same: whoever is let through
// here is let through there too.
func FuzzKnownHosts(f *testing.F) {
	public, _, err := ed25519.GenerateKey(strings.NewReader(strings.Repeat("a", 64)))
	if err != nil {
		f.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		f.Fatal(err)
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
	for _, hosts := range []string{
		"git.example.com", "[git.example.com]:2222", "*.example.com,!git.example.com", "@revoked *", "@cert-authority *", "|1|", "# git.example.com",
		knownhosts.HashHostname("git.example.com"), knownhosts.HashHostname("[git.example.com]:2222"), "GIT.example.com", "!", "*", "?", "a,,b", "*,!*",
		strings.Repeat("*a", 50),
	} {
		f.Add(hosts + " " + line)
	}
	f.Add("git.example.com " + line + " a comment of words\r\n\n@revoked git.example.com ssh-rsa AAAA\n")
	f.Fuzz(func(t *testing.T, file string) {
		known, err := parseKnownHosts([]byte(file))
		if err != nil {
			if strings.Contains(err.Error(), "AAAA") {
				t.Errorf("the error repeats the file: %v", err)
			}
			return
		}
		path := filepath.Join(t.TempDir(), "known_hosts")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		theirs, err := knownhosts.New(path)
		compared := err == nil && !patterned(known)
		for _, host := range []string{"git.example.com", "a", "192.0.2.1"} {
			for _, port := range []string{"22", "2222"} {
				if len(known.algorithms(knownAs(host, port))) == 0 {
					t.Errorf("%s:%s is asked for no key", host, port)
				}
				address := net.JoinHostPort(host, port)
				if known.verify(knownAs(host, port), address, key) != nil || !compared {
					continue
				}
				if err := theirs(address, &net.TCPAddr{}, key); err != nil {
					t.Errorf("%s is let through, and by x/crypto it is not: %v", address, err)
				}
			}
		}
	})
}

// patterned is whether OpenSSH reads a line otherwise than x/crypto does: there a pattern is never for a port of its own
// choice, and capitals are others.
func patterned(known knownHosts) bool {
	for _, line := range known {
		for _, pattern := range line.patterns {
			if strings.ContainsAny(pattern, "*?") || !strings.HasPrefix(pattern, "|") && pattern != strings.ToLower(pattern) {
				return true
			}
		}
	}
	return false
}
