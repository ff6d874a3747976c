package git_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/sync/git"
)

// sign makes an SSH key, has git sign with it from now on, and returns its line for the allowed signers.
func (s *server) sign(owner string) string {
	s.t.Helper()
	key := filepath.Join(s.t.TempDir(), owner)
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", owner, "-f", key).CombinedOutput(); err != nil {
		s.t.Fatalf("ssh-keygen is needed: %v\n%s", err, out)
	}
	s.git(s.work, "config", "gpg.format", "ssh")
	s.git(s.work, "config", "user.signingKey", key)
	s.signs(true)
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		s.t.Fatal(err)
	}
	return owner + "@example.com " + string(public)
}

func (s *server) signs(on bool) {
	s.t.Helper()
	s.git(s.work, "config", "commit.gpgSign", map[bool]string{true: "true", false: "false"}[on])
}

// verified is the source with signatures wanted.
func (s *server) verified(mode git.VerifyMode, ref string, allowed ...string) git.Source {
	out := s.source()
	out.Ref = ref
	out.Verify = &git.Verification{Mode: mode, Signers: map[string][]byte{"allowed_signers": []byte(strings.Join(allowed, ""))}, From: "Secret agents/signers"}
	return out
}

const main = "refs/heads/main"

func TestACommitOfSomebodyElseIsHeld(t *testing.T) {
	s := newServer(t)
	ann := s.sign("ann")
	client := &git.Client{Dir: t.TempDir()}
	source := s.verified(git.VerifyHead, main, ann)

	first := s.push("one", map[string]string{"a": "1"})
	snapshot := fetch(t, client, source, first)
	if by := snapshot.Commit.SignedBy; !strings.HasPrefix(by, "SSH ssh-ed25519 SHA256:") || !strings.HasSuffix(by, " ann@example.com") {
		t.Errorf("it is signed by %q", by)
	}

	s.signs(false)
	second := s.push("two", map[string]string{"a": "2"})
	for range 2 { // from the server, and from the cache
		_, err := client.Fetch(t.Context(), source, second)
		wantError(t, err, git.UnverifiedCommit, second[:12], "by Ann <ann@example.com>", "it has no signature", "it goes no further", "Secret agents/signers")
		wantHeld(t, err, second)
	}
	if _, err := snapshot.ReadFile("a"); err != nil {
		t.Errorf("the commit before cannot be read any more: %v", err)
	}

	bob := s.sign("bob")
	third := s.push("three", map[string]string{"a": "3"})
	_, err := client.Fetch(t.Context(), source, third)
	wantError(t, err, git.UnverifiedCommit, "SSH ssh-ed25519 SHA256:", "not among the signers")
	if got := fetch(t, client, s.verified(git.VerifyHead, main, ann, bob), third).Commit; got.Hash != third || !strings.Contains(got.SignedBy, "bob") {
		t.Errorf("with the key of bob it is %+v", got)
	}

	s.git(s.work, "push", "-q", "-f", "origin", first+":main")
	if got := fetch(t, client, source, first).Commit; got.Hash != first {
		t.Errorf("back at the older commit it is %+v", got)
	}
}

// wantHeld wants an error to say of which commit it is.
func wantHeld(t *testing.T, err error, commit string) {
	t.Helper()
	var own *git.Error
	if !errors.As(err, &own) {
		t.Fatalf("got %v", err)
	}
	if own.Commit == nil || own.Commit.Hash != commit || own.Commit.SignedBy != "" {
		t.Errorf("it is of commit %+v, want %s", own.Commit, commit)
	}
}

func TestASignedCommitIsVerifiedFromTheCacheToo(t *testing.T) {
	s := newServer(t)
	ann := s.sign("ann")
	commit := s.push("one", map[string]string{"a": "1"})
	client := &git.Client{Dir: t.TempDir()}
	fetch(t, client, s.source(), commit)
	s.HTTP.Close()
	if got := fetch(t, client, s.verified(git.VerifyHead, main, ann), commit).Commit.SignedBy; got == "" {
		t.Error("the clone of an earlier fetch was not verified")
	}
	stranger := s.sign("stranger")
	_, err := client.Fetch(t.Context(), s.verified(git.VerifyHead, main, stranger), commit)
	wantError(t, err, git.UnverifiedCommit, "not among the signers")
	// What was applied once is read again without: its signature was looked at when it was new.
	if _, err := client.Commit(t.Context(), s.verified(git.VerifyHead, main, stranger), commit); err != nil {
		t.Errorf("Commit: %v", err)
	}
}

func TestTagsAreVerified(t *testing.T) {
	s := newServer(t)
	ann := s.sign("ann")
	s.signs(false)
	commit := s.push("one", map[string]string{"a": "1"})
	client := &git.Client{Dir: t.TempDir()}
	tag := func(args ...string) {
		t.Helper()
		s.git(s.work, append([]string{"tag", "-f"}, args...)...)
		s.git(s.work, "push", "-q", "-f", "--tags", "origin")
	}
	ref := func(name string) git.Source { return s.verified(git.VerifyTag, "refs/tags/"+name, ann) }

	tag("-s", "-m", "good", "v1")
	if got := fetch(t, client, ref("v1"), commit).Commit; got.Hash != commit || !strings.HasPrefix(got.SignedBy, "tag: SSH ") {
		t.Errorf("a signed tag of a commit that is not signed gives %+v", got)
	}
	both := ref("v1")
	both.Verify.Mode = git.VerifyTagAndHead
	_, err := client.Fetch(t.Context(), both, commit)
	wantError(t, err, git.UnverifiedCommit, "it has no signature")

	// The same commit, by a tag that nobody signed: the clone that lies in the cache must not vouch for it.
	tag("-a", "-m", "not signed", "v1")
	_, err = client.Fetch(t.Context(), ref("v1"), commit)
	wantError(t, err, git.UnverifiedCommit, "its tag: it has no signature")
	tag("v1", commit)
	_, err = client.Fetch(t.Context(), ref("v1"), commit)
	wantError(t, err, git.UnverifiedCommit, "lightweight tag")
	tag("-s", "-m", "good again", "v1", commit)
	fetch(t, client, ref("v1"), commit)

	// An old release under a new name.
	s.git(s.work, "push", "-q", "-f", "origin", "refs/tags/v1:refs/tags/v2")
	_, err = client.Fetch(t.Context(), ref("v2"), commit)
	wantError(t, err, git.UnverifiedCommit, `made as tag "v1"`, `found as "v2"`)

	s.signs(true)
	signed := s.push("two", map[string]string{"a": "2"})
	tag("-s", "-m", "both", "v3")
	both.Ref = "refs/tags/v3"
	if got := fetch(t, client, both, signed).Commit.SignedBy; strings.Count(got, "ann@example.com") != 2 {
		t.Errorf("tag and commit are signed by %q", got)
	}
	s.git(s.work, "tag", "-s", "-m", "of a tag", "v4", "v3")
	s.git(s.work, "push", "-q", "--tags", "origin")
	fetch(t, client, ref("v4"), signed)
}

func TestWhatCanNeverBeVerifiedIsRefused(t *testing.T) {
	for sentence, c := range map[string]struct {
		source git.Source
		says   string
	}{
		"the tag of a branch":    {git.Source{Ref: main, Verify: &git.Verification{Mode: git.VerifyTag}}, "set verify.mode to head"},
		"both, of a branch":      {git.Source{Ref: main, Verify: &git.Verification{Mode: git.VerifyTagAndHead}}, "set verify.mode to head"},
		"the tag of a commit":    {git.Source{Commit: strings.Repeat("a", 40), Verify: &git.Verification{Mode: git.VerifyTag}}, "this is no tag"},
		"another mode":           {git.Source{Ref: main, Verify: &git.Verification{Mode: "HEAD"}}, `verify.mode "HEAD" is not one of`},
		"no mode: nothing is it": {git.Source{Ref: main, Verify: &git.Verification{}}, `verify.mode "" is not one of`},
	} {
		t.Run(sentence, func(t *testing.T) {
			c.source.URL = "https://rollcall.invalid/repo"
			_, err := (&git.Client{Dir: t.TempDir()}).Fetch(t.Context(), c.source, "")
			wantError(t, err, git.InvalidSource, c.says)
		})
	}
	s := newServer(t)
	commit := s.push("one", map[string]string{"a": "1"})
	_, err := (&git.Client{Dir: t.TempDir()}).Fetch(t.Context(), s.verified(git.VerifyHead, main, "ann\n"), commit)
	wantError(t, err, git.InvalidSource, "Secret agents/signers", "allowed_signers: line 1")
}
