package signed

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	// sshMagic begins a signature, and what is signed.
	sshMagic = "SSHSIG"
	// sshNamespace is what git signs for.
	sshNamespace = "git"
	// sshDSA is the type of keys that are not safe any more.
	sshDSA = "ssh-dss"
)

// sshSignature is a signature as PROTOCOL.sshsig of OpenSSH describes it.
type sshSignature struct {
	key       ssh.PublicKey
	namespace string
	reserved  string
	hash      string
	signature *ssh.Signature
}

// parseSSH reads an armored signature. The error is a *Refusal.
func parseSSH(signature []byte) (*sshSignature, error) {
	text, err := armored(signature, "SSH SIGNATURE")
	if err != nil {
		return nil, err
	}
	blob, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil {
		return nil, refuse(Malformed, "", "the armor of its SSH signature cannot be read")
	}
	inner, ok := bytes.CutPrefix(blob, []byte(sshMagic))
	if !ok {
		return nil, refuse(Malformed, "", "its SSH signature does not begin as one does")
	}
	var wire struct {
		Version   uint32
		Key       []byte
		Namespace string
		Reserved  string
		Hash      string
		Signature []byte
	}
	if err := ssh.Unmarshal(inner, &wire); err != nil || wire.Version != 1 {
		return nil, refuse(Malformed, "", "its SSH signature cannot be read, or is of another version than 1")
	}
	out := &sshSignature{namespace: wire.Namespace, reserved: wire.Reserved, hash: wire.Hash, signature: &ssh.Signature{}}
	if out.key, err = ssh.ParsePublicKey(wire.Key); err != nil {
		return nil, refuse(Unsupported, "", "its SSH signature is by a key of a kind that is not supported")
	}
	if err := ssh.Unmarshal(wire.Signature, out.signature); err != nil {
		return nil, refuse(Malformed, "", "its SSH signature cannot be read")
	}
	return out, nil
}

// verifySSH wants a signature for git by a key that the allowed signers allow at the time in the object.
func (s *Signers) verifySSH(o *Object, now time.Time) (Signer, error) {
	signature, err := parseSSH(o.Signature)
	if err != nil {
		return Signer{}, err
	}
	id := sshID(signature.key)
	if signature.namespace != sshNamespace {
		return Signer{}, refuse(NotPermitted, id, "its signature by %s was made for %q, not for %q", id, shown(signature.namespace), sshNamespace)
	}
	if err := signature.proves(o.Payload, id); err != nil {
		return Signer{}, err
	}
	at := o.When
	if at.IsZero() {
		at = now
	}
	principal, err := permitted(s.ssh, signature.key, id, at)
	if err != nil {
		return Signer{}, err
	}
	return Signer{Key: id, Name: principal}, nil
}

// proves is whether the signature is over the payload.
func (s *sshSignature) proves(payload []byte, id string) error {
	if err := s.acceptable(id); err != nil {
		return err
	}
	var sum []byte
	switch s.hash {
	case "sha256":
		h := sha256.Sum256(payload)
		sum = h[:]
	case "sha512":
		h := sha512.Sum512(payload)
		sum = h[:]
	default:
		return refuse(Unsupported, id, "its signature by %s uses the hash %q: sha256 and sha512 are supported", id, shown(s.hash))
	}
	signs := append([]byte(sshMagic), ssh.Marshal(struct {
		Namespace, Reserved, Hash string
		Sum                       []byte
	}{s.namespace, s.reserved, s.hash, sum})...)
	if err := s.key.Verify(signs, s.signature); err != nil {
		return refuse(BadSignature, id, "its signature by %s does not match what it signs", id)
	}
	return nil
}

// acceptable refuses keys and algorithms that are not safe any more.
func (s *sshSignature) acceptable(id string) error {
	key := s.key
	if certificate, ok := key.(*ssh.Certificate); ok {
		key = certificate.Key
	}
	formats := []string{key.Type()}
	if key.Type() == ssh.KeyAlgoRSA {
		formats = []string{ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512}
		if bits := rsaBits(key); bits < leastRSA {
			return refuse(Unsupported, id, "its signature is by %s, an RSA key of %d bits: %d are the least", id, bits, leastRSA)
		}
	}
	if key.Type() == sshDSA || !slices.Contains(formats, s.signature.Format) {
		return refuse(Unsupported, id, "its signature by %s uses %q, which is not safe any more", id, shown(s.signature.Format))
	}
	return nil
}

func rsaBits(key ssh.PublicKey) int {
	if inner, ok := key.(ssh.CryptoPublicKey); ok {
		if public, ok := inner.CryptoPublicKey().(*rsa.PublicKey); ok {
			return public.N.BitLen()
		}
	}
	return 0
}

// sshID names a key as ssh-keygen -l does.
func sshID(key ssh.PublicKey) string {
	if certificate, ok := key.(*ssh.Certificate); ok {
		return "SSH certificate of " + certificate.Key.Type() + " " + ssh.FingerprintSHA256(certificate.Key)
	}
	return "SSH " + key.Type() + " " + ssh.FingerprintSHA256(key)
}

// shown bounds what a stranger wrote.
func shown(text string) string {
	const longest = 60
	if len(text) > longest {
		return text[:longest] + "…"
	}
	return text
}
