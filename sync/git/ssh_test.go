package git_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/rollcall-dev/rollcall/sync/git"
)

func TestOverSSH(t *testing.T) {
	s := newSSHD(t)
	want := s.push("one", map[string]string{"a/b.yaml": "x"})
	for sentence, key := range map[string]git.Auth{
		"an ed25519 key":             {Identity: s.key},
		"an RSA key":                 {Identity: s.newKey("rsa", "")},
		"an ECDSA key":               {Identity: s.newKey("ecdsa", "")},
		"a key with a passphrase":    {Identity: s.newKey("ed25519", canary), Password: canary},
		"a passphrase without need":  {Identity: s.key, Password: "unused"},
		"keys for https beside them": {Identity: s.key, Username: "u", BearerToken: "t"},
	} {
		t.Run(sentence+" lets in", func(t *testing.T) {
			source, client := s.source(), &git.Client{Dir: t.TempDir()}
			source.Auth = key
			if commit, err := leads(t.Context(), client, source); err != nil || commit != want {
				t.Fatalf("it leads to %q, %v, want %q", commit, err, want)
			}
			if content, err := fetch(t, client, source, want).ReadFile("a/b.yaml"); err != nil || string(content) != "x" {
				t.Errorf("ReadFile = %q, %v", content, err)
			}
		})
	}
	t.Run("a key that the server does not know is named", func(t *testing.T) {
		source, file := s.source(), filepath.Join(t.TempDir(), "id")
		s.keygen("-t", "ed25519", "-f", file)
		source.Auth.Identity = s.read(file)
		_, err := leads(t.Context(), &git.Client{}, source)
		wantError(t, err, git.AuthenticationFailed, s.fingerprint(file), "read access")
	})
	t.Run("a repository that is not there is named", func(t *testing.T) {
		source := s.source()
		source.URL = strings.Replace(s.URL, "repo.git", "other.git", 1)
		_, err := leads(t.Context(), &git.Client{}, source)
		wantError(t, err, git.RepositoryNotFound, "other.git", "does not appear to be a git repository")
	})
	t.Run("a missing branch is named, with those that there are", func(t *testing.T) {
		source := s.source()
		source.Ref = "refs/heads/production"
		_, err := leads(t.Context(), &git.Client{}, source)
		wantError(t, err, git.RefNotFound, "it has main")
	})
	t.Run("an empty repository is its own error", func(t *testing.T) {
		empty := newSSHD(t)
		_, err := leads(t.Context(), &git.Client{}, empty.source())
		wantError(t, err, git.EmptyRepository, "push one")
	})
}

// TestPathsOverSSH is CVE-2026-45570: the path becomes a part of a command for the shell of the server.
func TestPathsOverSSH(t *testing.T) {
	s := newSSHD(t)
	want := s.push("one", map[string]string{"a": "1"})
	proof := filepath.Join(s.dir, "ran")
	for name, inURL := range map[string]string{
		"it's.git": "it's.git", "a b.git": "a%20b.git", "no!way.git": "no!way.git", "$(touch " + strings.ReplaceAll(proof, "/", "_") + ").git": "$(touch%20" + strings.ReplaceAll(proof, "/", "_") + ").git",
		"';touch x;'.git": "';touch%20x;'.git", "`id`.git": "`id`.git", "-c.git": "-c.git", "ä.git": "ä.git",
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.Symlink(s.bare, filepath.Join(filepath.Dir(s.bare), name)); err != nil {
				t.Fatal(err)
			}
			source := s.source()
			source.URL = strings.Replace(s.URL, "repo.git", inURL, 1)
			if commit, err := leads(t.Context(), &git.Client{}, source); err != nil || commit != want {
				t.Errorf("it leads to %q, %v, want %q", commit, err, want)
			}
		})
	}
}

func TestKnownHosts(t *testing.T) {
	s := newSSHD(t, "rsa")
	s.push("one", map[string]string{"a": "1"})
	ed, rsa := s.hostKey("ed25519")+".pub", s.hostKey("rsa")+".pub"
	other := filepath.Join(s.dir, "other")
	s.keygen("-t", "ed25519", "-f", other)
	ecdsa := filepath.Join(s.dir, "ecdsa")
	s.keygen("-t", "ecdsa", "-f", ecdsa)
	name := s.name()
	for sentence, c := range map[string]struct {
		known  string
		reason git.Reason // empty when it is let through
		says   []string
	}{
		"the host and its port":             {known: s.line(name, ed)},
		"one of several names":              {known: s.line("github.com,"+name+",x", ed)},
		"a hashed name":                     {known: s.line(knownhosts.HashHostname(name), ed)},
		"a pattern":                         {known: s.line("[127.0.?.*]:*", ed)},
		"a line after a comment":            {known: "# hosts\n\n" + s.line("github.com", other+".pub") + s.line(name, ed)},
		"Windows' line ends":                {known: strings.ReplaceAll(s.line(name, ed), "\n", "\r\n")},
		"a comment of words":                {known: strings.TrimSuffix(s.line(name, ed), "\n") + " a comment of words\n"},
		"the RSA key alone, of a host of 2": {known: s.line(name, rsa)},
		"a key that was changed, and now":   {known: s.line(name, other+".pub") + s.line(name, ed)},
		"an authority of other hosts":       {known: s.line("@cert-authority *.example.com", other+".pub") + s.line(name, ed)},

		"another key":             {s.line(name, other+".pub"), git.HostKeyInvalid, []string{s.fingerprint(ed), s.fingerprint(other + ".pub"), "ssh-keyscan -p " + s.port + " 127.0.0.1"}},
		"another host":            {s.line("github.com", ed), git.HostKeyInvalid, []string{"has no key of " + name, s.fingerprint(ed)}},
		"the host without a port": {s.line("127.0.0.1", ed), git.HostKeyInvalid, []string{"has no key of " + name}},
		"a pattern with a not":    {s.line("[127.0.0.*]:*,!"+name, ed), git.HostKeyInvalid, []string{"has no key of"}},
		"a key that is revoked":   {s.line(name, ed) + s.line("@revoked *", ed), git.HostKeyInvalid, []string{"marks as revoked", s.fingerprint(ed)}},
		"a type it does not have": {s.line(name, ecdsa+".pub"), git.HostKeyInvalid, []string{"ecdsa-sha2-nistp256", "ssh-ed25519"}},
		"an authority's key as a host's": {s.line("@cert-authority "+name, ed), git.HostKeyInvalid,
			[]string{"-cert-v01@openssh.com"}},
		"a line that is cut":    {"\n" + name + " ssh-ed25519 AAAA", git.InvalidSource, []string{"known_hosts of secretRef: line 2"}},
		"a mark nobody knows":   {s.line("@trusted "+name, ed), git.InvalidSource, []string{"line 1", "neither @cert-authority nor @revoked"}},
		"a hash that is none":   {s.line("|1|abc|def", ed), git.InvalidSource, []string{"line 1", "hashed host"}},
		"nothing but a comment": {"# nothing\n", git.InvalidSource, []string{"no line with a key"}},
		"nothing":               {"", git.InvalidSource, []string{"secretRef has no known_hosts", "ssh-keyscan"}},
	} {
		t.Run(sentence, func(t *testing.T) {
			source := s.source()
			source.KnownHosts = []byte(c.known)
			_, err := leads(t.Context(), &git.Client{}, source)
			if c.reason == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			wantError(t, err, c.reason, c.says...)
		})
	}
}

func TestHostCertificates(t *testing.T) {
	s := newSSHD(t)
	s.push("one", map[string]string{"a": "1"})
	ca, other := filepath.Join(s.dir, "ca"), filepath.Join(s.dir, "other")
	s.keygen("-t", "ed25519", "-f", ca)
	s.keygen("-t", "ed25519", "-f", other)
	host, cert := s.hostKey("ed25519")+".pub", s.hostKey("ed25519")+"-cert.pub"
	plain := s.config
	for sentence, c := range map[string]struct {
		sign  []string
		known string
		says  []string // nil when it is let through
	}{
		"a certificate of a known authority":   {[]string{"-h", "-n", "127.0.0.1"}, s.line("@cert-authority [127.0.0.*]:*", ca+".pub"), nil},
		"the plain key of a host that has one": {[]string{"-h", "-n", "127.0.0.1"}, s.line(s.name(), host), nil},
		"one of an authority nobody knows": {
			[]string{"-h", "-n", "127.0.0.1"}, s.line("@cert-authority *", other+".pub"),
			[]string{"no authorities", s.fingerprint(ca + ".pub"), s.fingerprint(host)},
		},
		"one for another host": {[]string{"-h", "-n", "git.example.com"}, s.line("@cert-authority *", ca+".pub"), []string{"principal"}},
		"one that has expired": {[]string{"-h", "-n", "127.0.0.1", "-V", "20200101:20210101"}, s.line("@cert-authority *", ca+".pub"), []string{"expired"}},
		"a revoked authority":  {[]string{"-h", "-n", "127.0.0.1"}, s.line("@cert-authority *", ca+".pub") + s.line("@revoked *", ca+".pub"), []string{"revoked"}},
		"a revoked host":       {[]string{"-h", "-n", "127.0.0.1"}, s.line("@cert-authority *", ca+".pub") + s.line("@revoked *", host), []string{"revoked"}},
	} {
		t.Run(sentence, func(t *testing.T) {
			s.keygen(append(append([]string{"-s", ca, "-I", "host"}, c.sign...), host)...)
			s.reconfigure(append(plain[:len(plain):len(plain)], "HostCertificate "+cert))
			source := s.source()
			source.KnownHosts = []byte(c.known)
			_, err := leads(t.Context(), &git.Client{}, source)
			if c.says == nil {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			wantError(t, err, git.HostKeyInvalid, c.says...)
		})
	}
}

// TestSSHReadsNothingOfItsUser gives the process a user whose configuration, agent and known_hosts would change
// everything.
func TestSSHReadsNothingOfItsUser(t *testing.T) {
	s := newSSHD(t)
	s.push("one", map[string]string{"a": "1"})
	var asked atomic.Int64
	socket := filepath.Join(t.TempDir(), "agent")
	agent, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = agent.Close() })
	go func() {
		for {
			conn, err := agent.Accept()
			if err != nil {
				return
			}
			asked.Add(1)
			_ = conn.Close()
		}
	}()
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"config": "Host *\n  Hostname 127.0.0.2\n  Port 1\n  StrictHostKeyChecking no\n", "id_ed25519": s.key,
		"known_hosts": s.line(s.name(), s.hostKey("ed25519")+".pub"),
	} {
		if err := os.WriteFile(filepath.Join(home, ".ssh", name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("HOME", home)
	t.Setenv("SSH_AUTH_SOCK", socket)
	t.Setenv("SSH_KNOWN_HOSTS", filepath.Join(home, ".ssh", "known_hosts"))
	if _, err := leads(t.Context(), &git.Client{}, s.source()); err != nil {
		t.Errorf("with a key and known_hosts: %v", err)
	}
	without := s.source()
	without.Auth, without.KnownHosts = git.Auth{}, nil
	_, err = leads(t.Context(), &git.Client{}, without)
	wantError(t, err, git.InvalidSource, "identity", "known_hosts")
	if n := asked.Load(); n != 0 {
		t.Errorf("the agent was asked %d times", n)
	}
}

func TestSSHKeysThatAreRefused(t *testing.T) {
	s := newSSHD(t)
	locked := s.newKey("ed25519", canary)
	for sentence, c := range map[string]struct {
		auth git.Auth
		says string
	}{
		"no key":                     {git.Auth{Password: "x"}, "secretRef has no identity"},
		"no key, but a user":         {git.Auth{Username: "x"}, "secretRef has no identity"},
		"a key that is none":         {git.Auth{Identity: canary}, "identity of secretRef is not a private key"},
		"a public key":               {git.Auth{Identity: s.read(s.hostKey("ed25519") + ".pub")}, "is not a private key"},
		"a key that is cut":          {git.Auth{Identity: s.key[:200]}, "to its last line"},
		"no passphrase":              {git.Auth{Identity: locked}, "add its passphrase as password"},
		"a passphrase of another":    {git.Auth{Identity: locked, Password: "x"}, "does not open identity"},
		"a passphrase with a \\n":    {git.Auth{Identity: locked, Password: canary + "\n"}, "line break"},
		"a bearer token and no more": {git.Auth{BearerToken: canary}, "secretRef has no identity"},
	} {
		t.Run(sentence, func(t *testing.T) {
			source := s.source()
			source.Auth = c.auth
			_, err := leads(t.Context(), &git.Client{}, source)
			wantError(t, err, git.InvalidSource, c.says)
			withoutCanary(t, err)
		})
	}
}

// TestWhatServersSay has a server say something in place of a list of refs.
func TestWhatServersSay(t *testing.T) {
	for said, want := range map[string]struct {
		reason git.Reason
		says   string
	}{
		"ERROR: Repository not found.": {git.RepositoryNotFound, "hides it from this key"},
		"remote: ERROR: The project you were looking for could not be found or you don't have permission to view it.": {git.RepositoryNotFound, "hides it"},
		"fatal: '/x' does not appear to be a git repository":                                                          {git.RepositoryNotFound, "look at the URL"},
		"bash: line 1: git-upload-pack: command not found":                                                            {git.InvalidAnswer, "no git on the server"},
		"You do not have permission to pull":                                                                          {git.AuthenticationFailed, "give it read access"},
		"This account is currently not available.":                                                                    {git.InvalidAnswer, "does not run git-upload-pack"},
		"": {git.InvalidAnswer, "said nothing"},
		"\x1b[31mred\r\nand https://user:" + canary + "@host/?x=" + canary + " twice": {git.InvalidAnswer, `"[31mred and https://host/ twice"`},
	} {
		for where, say := range map[string]func(ssh.Channel){
			"beside it":   func(c ssh.Channel) { _, _ = io.WriteString(c.Stderr(), said+"\n") },
			"as a packet": func(c ssh.Channel) { _, _ = io.WriteString(c, hex(len(said)+8)+"ERR "+said) },
		} {
			if where == "as a packet" && said == "" {
				continue
			}
			t.Run(where+": "+said, func(t *testing.T) {
				source := ownSSHD(t, func(conn net.Conn, c *ssh.ServerConfig) {
					if channel := accepted(t, conn, c, true); channel != nil {
						say(channel)
						_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{128}))
						_ = channel.Close()
						_, _ = io.Copy(io.Discard, conn)
					}
				})
				_, err := leads(t.Context(), &git.Client{}, source)
				wantError(t, err, want.reason, want.says)
				withoutCanary(t, err)
			})
		}
	}
	for sentence, say := range map[string]string{"nothing": "", "HTTP": "HTTP/1.1 400 Bad Request\r\n\r\n"} {
		t.Run("a server that says "+sentence+" and goes", func(t *testing.T) {
			source := ownSSHD(t, func(conn net.Conn, _ *ssh.ServerConfig) { _, _ = io.WriteString(conn, say) })
			_, err := leads(t.Context(), &git.Client{}, source)
			wantError(t, err, git.Unreachable, "in the handshake")
		})
	}
}
