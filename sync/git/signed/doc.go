// Package signed says whose signature is on a commit or on a tag, from the bytes of the object, as git verify-commit
// and git verify-tag do: with OpenPGP keys and with the allowed signers of SSH.
//
// An object is taken apart once, strictly, and what was signed is cut out of it as git cuts it. What a verdict is about
// is read from that part alone: two readers that differ about a header are how a signature comes to stand under
// something else (CVE-2026-45022). Where git and this package differ, this package says no:
//
//   - an object with two signatures, with a header gpgsig-sha256, or whose headers stand twice or in another order
//   - OpenPGP signatures with SHA-1 or older, DSA, or RSA keys below 2048 bits; SSH signatures with DSA or ssh-rsa
//   - X.509 signatures, and armor of a type other than PGP SIGNATURE
//   - a file of allowed signers with a line that does not parse, which ssh-keygen skips
//   - a tag that was made under another name than the one it is found by
//
// Whether a key has expired is judged by the time that the caller names, as gpg does by its clock; valid-after and
// valid-before of an SSH key are judged by the time in the object, as git has ssh-keygen do it.
package signed
