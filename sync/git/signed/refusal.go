package signed

import "fmt"

// Reason says why a signature does not count. The set is closed. It is an error itself, so that errors.Is finds it.
type Reason string

const (
	// Unsigned is an object without a signature.
	Unsigned Reason = "Unsigned"
	// Malformed is an object or a signature that is not written as git, gpg and ssh-keygen write it.
	Malformed Reason = "Malformed"
	// Unsupported is a kind of signature that is not verified here.
	Unsupported Reason = "Unsupported"
	// UnknownKey is a signature by a key that is not among the signers.
	UnknownKey Reason = "UnknownKey"
	// BadSignature is a signature of something else, or by another key than it says.
	BadSignature Reason = "BadSignature"
	// NotPermitted is a key that is among the signers, but not for this: for another namespace or another time.
	NotPermitted Reason = "NotPermitted"
	// KeyExpired is a key that was good once.
	KeyExpired Reason = "KeyExpired"
	// KeyRevoked is a key that its owner has revoked.
	KeyRevoked Reason = "KeyRevoked"
	// SignatureExpired is a signature that was made to expire, and did.
	SignatureExpired Reason = "SignatureExpired"
)

// Error makes a Reason a target for errors.Is.
func (r Reason) Error() string { return string(r) }

// Refusal is why an object counts as not signed.
type Refusal struct {
	Reason Reason
	// Key is the key that is said to have signed, as people know it; empty when none is named.
	Key string
	// Message is what is wrong, without a way out: that is the caller's to know.
	Message string
}

// Error is the message.
func (r *Refusal) Error() string { return r.Message }

// Unwrap makes errors.Is find the reason.
func (r *Refusal) Unwrap() error { return r.Reason }

func refuse(reason Reason, key, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Key: key, Message: fmt.Sprintf(format, args...)}
}
