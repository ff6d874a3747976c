package signed

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
)

// Signers are whose signatures count.
type Signers struct {
	openpgp openpgp.EntityList
	ssh     []allowed
}

// Signer is who signed.
type Signer struct {
	// Key is "GPG FINGERPRINT" or "SSH TYPE SHA256:HASH".
	Key string
	// Name is the user ID of the OpenPGP key, or the principal that the allowed signers give to the SSH key.
	Name string
}

// String is the key with its name.
func (s Signer) String() string {
	if s.Name == "" {
		return s.Key
	}
	return s.Key + " " + s.Name
}

// allowedName is the name of a file of allowed signers, or how it ends.
const allowedName = "allowed_signers"

// ParseSigners reads files of public keys: armored OpenPGP keys, any number in each, and files named allowed_signers, or
// with that behind a dot, in the format of ssh-keygen(1). The error names the file, and of allowed signers the line.
func ParseSigners(files map[string][]byte) (*Signers, error) {
	out := &Signers{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		content := files[name]
		switch {
		case name == allowedName || path.Ext(name) == "."+allowedName:
			lines, err := parseAllowed(content)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			out.ssh = append(out.ssh, lines...)
		case bytes.Contains(content, []byte("PRIVATE KEY")):
			return nil, fmt.Errorf("%s: it holds a private key: put the public one there (gpg --armor --export), and consider this one known to others", name)
		case bytes.Contains(content, []byte(beginKey)):
			keys, err := parseKeys(content)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			out.openpgp = append(out.openpgp, keys...)
		case strings.HasPrefix(strings.TrimSpace(string(content)), "ssh-"):
			return nil, fmt.Errorf("%s: an SSH key alone says not whose it is: put it into a file %s, behind the name or address of its owner", name, allowedName)
		default:
			return nil, fmt.Errorf("%s: it holds no armored OpenPGP public key: write one with gpg --armor --export; SSH keys belong into a file %s", name, allowedName)
		}
	}
	if len(out.openpgp)+len(out.ssh) == 0 {
		return nil, fmt.Errorf("it holds no key: add files with armored OpenPGP public keys, or a file %s with SSH keys", allowedName)
	}
	return out, nil
}

// Verify says who signed an object; now is for the expiry of OpenPGP keys. The error is a *Refusal.
func (s *Signers) Verify(o *Object, now time.Time) (Signer, error) {
	if len(o.Signature) == 0 {
		return Signer{}, refuse(Unsigned, "", "it has no signature")
	}
	switch kindOf(o.Signature) {
	case kindOpenPGP:
		return s.verifyOpenPGP(o, now)
	case kindSSH:
		return s.verifySSH(o, now)
	case kindX509:
		return Signer{}, refuse(Unsupported, "", "its signature is an X.509 one: GPG and SSH signatures are verified")
	case kindNone:
	}
	return Signer{}, refuse(Malformed, "", "its signature is of no kind that git knows")
}
