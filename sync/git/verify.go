package git

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/rollcall-dev/rollcall/sync/git/signed"
)

// Verification is whose signature a commit has to have, and on what.
type Verification struct {
	Mode VerifyMode
	// Signers are the files of public keys, as signed.ParseSigners reads them.
	Signers map[string][]byte
	// From is where people find the signers, such as "Secret agents/signers"; errors name it.
	From string
}

// VerifyMode says which object is to be signed. The set is closed.
type VerifyMode string

const (
	// VerifyHead is the commit.
	VerifyHead VerifyMode = "head"
	// VerifyTag is the annotated tag that the ref names; who may make one, says what commit is good.
	VerifyTag VerifyMode = "tag"
	// VerifyTagAndHead is both.
	VerifyTagAndHead VerifyMode = "tagAndHead"
)

const tagPrefix = "refs/tags/"

// checkVerify refuses what can never be verified, before the network sees any of it.
func (s Source) checkVerify() error {
	if s.Verify == nil {
		return nil
	}
	switch s.Verify.Mode {
	case VerifyHead:
		return nil
	case VerifyTag, VerifyTagAndHead:
		if s.Semver != "" || s.Commit == "" && strings.HasPrefix(s.Ref, tagPrefix) {
			return nil
		}
		return s.errorf(InvalidSource, "the signature of a tag is wanted (verify.mode %s), and this is no tag: follow one, or set verify.mode to %s", s.Verify.Mode, VerifyHead)
	default:
		return s.errorf(InvalidSource, "verify.mode %q is not one of %s, %s and %s", s.Verify.Mode, VerifyHead, VerifyTag, VerifyTagAndHead)
	}
}

// verify wants the signatures that are asked for; ref is the full name that led to the commit. What it judges are the
// bytes whose hashes the tree was found by. The error is an *Error.
func (s *Snapshot) verify(v *Verification, ref string, now time.Time) error {
	if v == nil {
		return nil
	}
	signers, err := signed.ParseSigners(v.Signers)
	if err != nil {
		return s.source.errorf(InvalidSource, "read %s: %s", v.From, err)
	}
	var by []string
	if v.Mode != VerifyHead {
		signer, err := s.signedTag(signers, ref, now)
		if err != nil {
			return s.unverified(v, "its tag", err)
		}
		by = append(by, "tag: "+signer.String())
	}
	if v.Mode != VerifyTag {
		signer, err := s.signedCommit(signers, now)
		if err != nil {
			return s.unverified(v, "", err)
		}
		by = append(by, signer.String())
	}
	s.Commit.SignedBy = line(strings.Join(by, "; "))
	return nil
}

// signedCommit says who signed the commit, and that its tree is the one that was signed.
func (s *Snapshot) signedCommit(signers *signed.Signers, now time.Time) (signed.Signer, error) {
	o, err := signed.ParseCommit(s.chain[len(s.chain)-1].content)
	if err != nil {
		return signed.Signer{}, err
	}
	if o.Target != s.root.String() {
		return signed.Signer{}, &signed.Refusal{Reason: signed.Malformed, Message: "its headers can be read in two ways"}
	}
	return signers.Verify(o, now)
}

// signedTag says who signed the tag, and that it is the one of that name and of the object that was found by it.
func (s *Snapshot) signedTag(signers *signed.Signers, ref string, now time.Time) (signed.Signer, error) {
	if len(s.chain) == 1 {
		return signed.Signer{}, &signed.Refusal{Reason: signed.Unsigned, Message: "it is a lightweight tag, which holds no signature"}
	}
	o, err := signed.ParseTag(s.chain[0].content)
	if err != nil {
		return signed.Signer{}, err
	}
	next := s.chain[1]
	if o.Target != next.Hash().String() || o.TargetType != next.Type().String() {
		return signed.Signer{}, &signed.Refusal{Reason: signed.Malformed, Message: "its headers can be read in two ways"}
	}
	if name := strings.TrimPrefix(ref, tagPrefix); o.Name != name {
		return signed.Signer{}, &signed.Refusal{Reason: signed.NotPermitted, Message: fmt.Sprintf("it was made as tag %q and is found as %q", line(o.Name), name)}
	}
	return signers.Verify(o, now)
}

// unverified is the error that holds a commit.
func (s *Snapshot) unverified(v *Verification, what string, err error) *Error {
	if what != "" {
		what += ": "
	}
	e := s.source.errorf(UnverifiedCommit, "commit %.12s by %s is not verified: %s%s; it goes no further: have it signed by one of the signers in %s, or add the key of whoever signed it there",
		s.Commit.Hash, s.Commit.Author, what, err, v.From)
	commit := s.Commit
	e.Commit = &commit
	return e
}

// tipFile notes in a clone what the ref named when it was made.
const tipFile = "rollcall-tip"

func noteTip(dir string, tip plumbing.Hash) error {
	return os.WriteFile(filepath.Join(dir, tipFile), []byte(tip.String()), 0o600)
}

// notedTip is what the ref named when a clone was made; the commit when nobody knows.
func notedTip(dir string, commit plumbing.Hash) plumbing.Hash {
	text, err := os.ReadFile(filepath.Join(dir, tipFile))
	if err != nil || !plumbing.IsHash(string(text)) {
		return commit
	}
	return plumbing.NewHash(string(text))
}

// serves is whether a clone of the right commit has the tag too, if that is to be verified.
func (s *Snapshot) serves(source Source, tip plumbing.Hash) bool {
	return source.Verify == nil || source.Verify.Mode == VerifyHead || s.tip == tip
}
