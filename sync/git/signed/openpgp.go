package signed

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

const (
	beginKey = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
	endKey   = "-----END PGP PUBLIC KEY BLOCK-----"
	// leastRSA is the smallest RSA key that counts, in bits.
	leastRSA = 2048
)

// parseKeys reads every armored block of a file.
func parseKeys(content []byte) (keys openpgp.EntityList, err error) {
	defer func() {
		if p := recover(); p != nil {
			keys, err = nil, errors.New("it cannot be read as OpenPGP keys: export them again with gpg --armor --export")
		}
	}()
	for rest := content; ; {
		start := bytes.Index(rest, []byte(beginKey))
		if start < 0 {
			return keys, nil
		}
		end := bytes.Index(rest, []byte(endKey))
		if end < start {
			return nil, fmt.Errorf("a key does not end with %s: export it again with gpg --armor --export", endKey)
		}
		end += len(endKey)
		found, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(rest[start:end]))
		if err != nil {
			return nil, fmt.Errorf("key %d cannot be read (%s): export it again with gpg --armor --export", len(keys)+1, firstLine(err))
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("key %d is of a kind that is not supported: use RSA, ECDSA or EdDSA", len(keys)+1)
		}
		keys, rest = append(keys, found...), rest[end:]
	}
}

// verifyOpenPGP wants one signature by one of the keys. gpg is asked by git in the same way: more than one verdict is
// none.
func (s *Signers) verifyOpenPGP(o *Object, now time.Time) (out Signer, err error) {
	defer func() {
		if p := recover(); p != nil {
			out, err = Signer{}, refuse(Malformed, "", "its GPG signature cannot be read")
		}
	}()
	signature, packets, err := onePacket(o.Signature)
	if err != nil {
		return Signer{}, err
	}
	id := "GPG " + issuer(signature)
	if err := acceptable(signature, id, now); err != nil {
		return Signer{}, err
	}
	if len(s.openpgp.KeysById(*signature.IssuerKeyId)) == 0 {
		return Signer{}, refuse(UnknownKey, id, "it is signed by %s, which is not among the signers", id)
	}
	config := &packet.Config{Time: func() time.Time { return now }}
	_, owner, err := openpgp.VerifyDetachedSignature(s.openpgp, bytes.NewReader(o.Payload), bytes.NewReader(packets), config)
	if err != nil {
		return Signer{}, unverified(err, id)
	}
	if err := strong(owner, signature, id); err != nil {
		return Signer{}, err
	}
	return Signer{Key: fmt.Sprintf("GPG %X", owner.PrimaryKey.Fingerprint), Name: userID(owner)}, nil
}

// dearmored takes the packets out of an armor.
func dearmored(signature []byte) ([]byte, error) {
	text, err := armored(signature, openpgp.SignatureType)
	if err != nil {
		return nil, err
	}
	unreadable := refuse(Malformed, "", "the armor of its GPG signature cannot be read, or its checksum is wrong")
	block, err := armor.Decode(bytes.NewReader(signature))
	if err != nil || block.Type != openpgp.SignatureType {
		return nil, unreadable
	}
	packets, err := io.ReadAll(io.LimitReader(block.Body, longestSignature))
	if err != nil || !checksumHolds(text, packets) {
		return nil, unreadable
	}
	return packets, nil
}

// onePacket takes the one signature out of its armor, with its bytes.
func onePacket(signature []byte) (*packet.Signature, []byte, error) {
	packets, err := dearmored(signature)
	if err != nil {
		return nil, nil, err
	}
	reader := packet.NewReader(bytes.NewReader(packets))
	first, err := reader.Next()
	if err != nil {
		return nil, nil, refuse(Malformed, "", "its GPG signature cannot be read")
	}
	found, ok := first.(*packet.Signature)
	switch {
	case !ok || found.IssuerKeyId == nil:
		return nil, nil, refuse(Malformed, "", "its GPG signature names no key")
	case found.SigType != packet.SigTypeBinary && found.SigType != packet.SigTypeText:
		return nil, nil, refuse(Malformed, "", "its GPG signature is not one of a document")
	}
	if _, err := reader.Next(); err != io.EOF { //nolint:errorlint // the packet reader returns it bare
		return nil, nil, refuse(Malformed, "GPG "+issuer(found), "it has more than one GPG signature")
	}
	return found, packets, nil
}

// checksumHolds is whether the checksum in the last line of an armor, if there is one, is that of its content (RFC 4880, 6.1).
// The armor's own reader leaves it out, and gpg does not.
func checksumHolds(text, content []byte) bool {
	last := bytes.TrimSpace(text[bytes.LastIndexByte(text, '\n')+1:])
	encoded, ok := bytes.CutPrefix(last, []byte("="))
	if !ok {
		return true
	}
	want, err := base64.StdEncoding.DecodeString(string(encoded))
	if err != nil || len(want) != 3 {
		return false
	}
	sum := uint32(0xb704ce)
	for _, b := range content {
		sum ^= uint32(b) << 16
		for range 8 {
			if sum <<= 1; sum&0x1000000 != 0 {
				sum ^= 0x1864cfb
			}
		}
	}
	return sum&0xffffff == uint32(want[0])<<16|uint32(want[1])<<8|uint32(want[2])
}

func issuer(s *packet.Signature) string {
	if len(s.IssuerFingerprint) > 0 {
		return fmt.Sprintf("%X", s.IssuerFingerprint)
	}
	return fmt.Sprintf("%016X", *s.IssuerKeyId)
}

// acceptable refuses what no key makes good.
func acceptable(s *packet.Signature, id string, now time.Time) error {
	switch {
	case !slices.Contains([]crypto.Hash{crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA3_256, crypto.SHA3_512}, s.Hash):
		return refuse(Unsupported, id, "its signature by %s uses a hash that is not safe any more", id)
	case s.PubKeyAlgo == packet.PubKeyAlgoDSA:
		return refuse(Unsupported, id, "its signature by %s is a DSA one, which is not safe any more", id)
	case s.CreationTime.After(now.Add(clockSkew)):
		return refuse(BadSignature, id, "its signature by %s was made in the future", id)
	default:
		return nil
	}
}

// clockSkew is how far the clocks of whoever signs and of this machine may be apart.
const clockSkew = 24 * time.Hour

// strong refuses keys that are too weak, and signatures that are older than their key.
func strong(owner *openpgp.Entity, s *packet.Signature, id string) error {
	key := owner.PrimaryKey
	for _, sub := range owner.Subkeys {
		if sub.PublicKey.KeyId == *s.IssuerKeyId {
			key = sub.PublicKey
		}
	}
	for _, k := range []*packet.PublicKey{owner.PrimaryKey, key} {
		if bits, err := k.BitLength(); k.PubKeyAlgo == packet.PubKeyAlgoRSA && (err != nil || bits < leastRSA) {
			return refuse(Unsupported, id, "its signature is by %s, an RSA key of %d bits: %d are the least", id, bits, leastRSA)
		}
	}
	if s.CreationTime.Before(key.CreationTime) {
		return refuse(BadSignature, id, "its signature by %s is older than the key", id)
	}
	return nil
}

// unverified is what an error of the library means.
func unverified(err error, id string) *Refusal {
	switch {
	case errors.Is(err, pgperrors.ErrKeyRevoked):
		return refuse(KeyRevoked, id, "it is signed by %s, which its owner has revoked", id)
	case errors.Is(err, pgperrors.ErrKeyExpired):
		return refuse(KeyExpired, id, "it is signed by %s, which has expired", id)
	case errors.Is(err, pgperrors.ErrSignatureExpired):
		return refuse(SignatureExpired, id, "its signature by %s has expired", id)
	case errors.Is(err, pgperrors.ErrUnknownIssuer):
		return refuse(NotPermitted, id, "it is signed by %s, which is among the signers but not made for signing", id)
	default:
		return refuse(BadSignature, id, "its signature by %s does not match what it signs", id)
	}
}

// userID is the name that the owner of a key has given it.
func userID(owner *openpgp.Entity) string {
	if _, identity := owner.PrimarySelfSignature(); identity != nil {
		return firstLine(errors.New(identity.Name))
	}
	return ""
}

// firstLine is one short line of what a library or a stranger said.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	const longest = 160
	if len(line) > longest {
		line = strings.ToValidUTF8(line[:longest], "") + "…"
	}
	return line
}
