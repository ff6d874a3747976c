package signed_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/sync/git/signed"
)

// object is one row of the table: an object, and what is to be said of it.
type object struct {
	kind string
	raw  []byte
	// allowed are the allowed signers; by default those of the world.
	allowed string
	// reason is why it is refused; empty when it counts.
	reason signed.Reason
	// stricter is why git takes what is refused here; empty when both say the same.
	stricter string
	// name is who signed, where it counts.
	name string
}

// TestTheSameVerdictAsGit asks git, with the real gpg and ssh-keygen, about each object, and this package.
func TestTheSameVerdictAsGit(t *testing.T) {
	w := newWorld(t)
	w.openpgpKeys()
	allowed := w.sshKeys()
	rows := map[string]object{}
	for _, of := range []map[string]object{w.openpgp(), w.doubled(), w.forged(), w.tags(), w.ssh(), w.sshTimes(), w.sshCertificates()} {
		maps.Copy(rows, of)
	}
	for _, sentence := range slices.Sorted(maps.Keys(rows)) {
		row := rows[sentence]
		t.Run(sentence, func(t *testing.T) {
			if row.allowed == "" {
				row.allowed = allowed
			}
			signer, err := w.ours(row)
			git, said := w.accepts(row.kind, row.raw, row.allowed)
			ours := err == nil
			switch {
			case ours != (row.reason == ""):
				t.Errorf("here it is %v (%v), want %q", ours, err, row.reason)
			case err != nil && !errors.Is(err, row.reason):
				t.Errorf("the reason is another one than %s: %v", row.reason, err)
			case git && !ours && row.stricter == "":
				t.Errorf("git takes it, and here it is refused: %v\n%s", err, said)
			case !git && ours:
				t.Errorf("git refuses it, and here it counts as by %s\n%s", signer, said)
			case git == ours && row.stricter != "":
				t.Errorf("the row says %q, and git says the same as here\n%s", row.stricter, said)
			case row.name != "" && !strings.Contains(signer.String(), row.name):
				t.Errorf("signed by %q, want %q", signer, row.name)
			}
		})
	}
}

// ours is the verdict of this package.
func (w *world) ours(row object) (signed.Signer, error) {
	files := maps.Clone(w.keys)
	files["allowed_signers"] = []byte(row.allowed)
	signers, err := signed.ParseSigners(files)
	if err != nil {
		w.t.Fatal(err)
	}
	parse := signed.ParseCommit
	if row.kind == "tag" {
		parse = signed.ParseTag
	}
	o, err := parse(row.raw)
	if err != nil {
		return signed.Signer{}, err
	}
	return signers.Verify(o, time.Now())
}

// openpgpKeys makes the keys that the rows sign with.
func (w *world) openpgpKeys() {
	w.key("ann", "ed25519", "sign", "never")
	w.key("rsa", "rsa3072", "cert", "never")
	w.gpg(nil, "--faked-system-time", made, "--quick-add-key", w.fingerprints["rsa"], "rsa3072", "sign", "never")
	w.key("stranger", "ed25519", "sign", "never")
	w.key("expired", "ed25519", "sign", "1y")
	w.key("subexpired", "ed25519", "cert", "never")
	w.gpg(nil, "--faked-system-time", made, "--quick-add-key", w.fingerprints["subexpired"], "ed25519", "sign", "1y")
	w.key("revoked", "ed25519", "sign", "never")
	w.key("subrevoked", "ed25519", "cert", "never")
	w.gpg(nil, "--faked-system-time", made, "--quick-add-key", w.fingerprints["subrevoked"], "ed25519", "sign", "never")
	later := []string{"--faked-system-time", "20240701T000000"}
	w.key("extended", "ed25519", "sign", "1y")
	w.gpg(nil, append(later, "--quick-set-expire", w.fingerprints["extended"], "0")...)
	w.key("shortened", "ed25519", "sign", "never")
	w.gpg(nil, append(later, "--quick-set-expire", w.fingerprints["shortened"], "1y")...)
	for owner, expires := range map[string]string{"subextended": "1y", "subshortened": "never"} {
		w.key(owner, "ed25519", "cert", "never")
		w.gpg(nil, "--faked-system-time", made, "--quick-add-key", w.fingerprints[owner], "ed25519", "sign", expires)
		w.gpg(nil, append(later, "--quick-set-expire", w.fingerprints[owner], map[string]string{"1y": "0", "never": "1y"}[expires], "*")...)
	}
	w.key("renamed", "ed25519", "sign", "never")
	w.gpg(nil, append(later, "--quick-add-uid", w.fingerprints["renamed"], "new <new@example.com>")...)
	w.gpg(nil, "--faked-system-time", "20240801T000000", "--quick-revoke-uid", w.fingerprints["renamed"], "renamed <renamed@example.com>")
	w.key("weak", "rsa1024", "sign", "never")
	w.key("dsa", "dsa2048", "sign", "never")
	w.key("nist", "nistp256", "sign", "never")
}

func (w *world) openpgp() map[string]object {
	payload := w.payload("2024-06-01")
	commit := func(owner string, args ...string) []byte {
		return with(payload, "gpgsig", w.sign(payload, owner, args...))
	}
	good := commit("ann")
	beforeRevoked, beforeSubRevoked := commit("revoked"), commit("subrevoked")
	w.revoke("revoked")
	w.revokeSubkey("subrevoked")
	past := []string{"--faked-system-time", "20240801T000000"}
	renamed := with(payload, "gpgsig", w.sign(payload, "new", past...))
	w.trust("extended", "shortened", "subextended", "subshortened", "renamed")
	w.trust("ann", "rsa", "expired", "subexpired", "revoked", "subrevoked", "weak", "dsa", "nist")
	past = []string{"--faked-system-time", "20240601T000000"}
	windows := func(signature []byte) []byte {
		return with(payload, "gpgsig", bytes.ReplaceAll(signature, []byte("\n"), []byte("\r\n")))
	}
	noted := bytes.Replace(w.sign(payload, "ann"), []byte("-----\n"), []byte("-----\nComment: by hand\nVersion: 1\n"), 1)
	checksum := regexp.MustCompile(`(?m)^=....$`)
	return map[string]object{
		"GPG: good":                                  {kind: "commit", raw: good, name: "ann <ann@example.com>"},
		"GPG: good, RSA, by a subkey":                {kind: "commit", raw: commit("rsa"), name: w.fingerprints["rsa"]},
		"GPG: good, ECDSA":                           {kind: "commit", raw: commit("nist"), name: w.fingerprints["nist"]},
		"GPG: good, of a text":                       {kind: "commit", raw: commit("ann", "--textmode")},
		"GPG: good, SHA-512":                         {kind: "commit", raw: commit("ann", "--digest-algo", "SHA512")},
		"GPG: a key that was extended":               {kind: "commit", raw: commit("extended", past...)},
		"GPG: a key that was shortened":              {kind: "commit", raw: commit("shortened", past...), reason: signed.KeyExpired},
		"GPG: a subkey that was extended":            {kind: "commit", raw: commit("subextended", past...)},
		"GPG: a subkey that was shortened":           {kind: "commit", raw: commit("subshortened", past...), reason: signed.KeyExpired},
		"GPG: a key with another name than before":   {kind: "commit", raw: renamed, name: "new <new@example.com>"},
		"GPG: good, with the line ends of Windows":   {kind: "commit", raw: windows(w.sign(payload, "ann"))},
		"GPG: good, with headers in its armor":       {kind: "commit", raw: with(payload, "gpgsig", noted)},
		"GPG: a wrong checksum":                      {kind: "commit", raw: with(payload, "gpgsig", checksum.ReplaceAll(w.sign(payload, "ann"), []byte("=AAAA"))), reason: signed.Malformed},
		"GPG: no checksum":                           {kind: "commit", raw: with(payload, "gpgsig", checksum.ReplaceAll(w.sign(payload, "ann"), nil))},
		"GPG: no signature":                          {kind: "commit", raw: payload, reason: signed.Unsigned},
		"GPG: an unknown key":                        {kind: "commit", raw: commit("stranger"), reason: signed.UnknownKey},
		"GPG: a key expired since":                   {kind: "commit", raw: commit("expired", past...), reason: signed.KeyExpired},
		"GPG: a subkey expired since":                {kind: "commit", raw: commit("subexpired", past...), reason: signed.KeyExpired},
		"GPG: a key revoked since":                   {kind: "commit", raw: beforeRevoked, reason: signed.KeyRevoked},
		"GPG: a subkey revoked since":                {kind: "commit", raw: beforeSubRevoked, reason: signed.KeyRevoked},
		"GPG: the signature has expired":             {kind: "commit", raw: commit("ann", "--faked-system-time", "20240601T000000", "--default-sig-expire", "1d"), reason: signed.SignatureExpired},
		"GPG: older than its key":                    {kind: "commit", raw: commit("ann", "--faked-system-time", "20230601T000000", "--ignore-time-conflict", "--ignore-valid-from"), reason: signed.BadSignature},
		"GPG: made in the future":                    {kind: "commit", raw: commit("ann", "--faked-system-time", "20990601T000000"), reason: signed.BadSignature, stricter: "gpg warns of the clock at most"},
		"GPG: SHA-1":                                 {kind: "commit", raw: commit("ann", "--digest-algo", "SHA1"), reason: signed.Unsupported, stricter: "SHA-1 collides"},
		"GPG: RSA of 1024 bits":                      {kind: "commit", raw: commit("weak"), reason: signed.Unsupported, stricter: "too short a key"},
		"GPG: DSA":                                   {kind: "commit", raw: commit("dsa"), reason: signed.Unsupported, stricter: "an old algorithm"},
		"GPG: another message":                       {kind: "commit", raw: bytes.Replace(good, []byte("subject"), []byte("Subject"), 1), reason: signed.BadSignature},
		"GPG: another tree":                          {kind: "commit", raw: bytes.Replace(good, []byte("tree 4b"), []byte("tree 4c"), 1), reason: signed.BadSignature},
		"GPG: another author":                        {kind: "commit", raw: bytes.Replace(good, []byte("author Ann"), []byte("author Bob"), 1), reason: signed.BadSignature},
		"GPG: another committer":                     {kind: "commit", raw: bytes.Replace(good, []byte("committer Ann"), []byte("committer Bob"), 1), reason: signed.BadSignature},
		"GPG: a parent put in":                       {kind: "commit", raw: bytes.Replace(good, []byte("\nauthor"), []byte("\nparent "+strings.Repeat("a", 40)+"\nauthor"), 1), reason: signed.BadSignature},
		"GPG: a header put in":                       {kind: "commit", raw: with(good, "x-note", []byte("y")), reason: signed.BadSignature},
		"GPG: a line break at the end":               {kind: "commit", raw: append(bytes.Clone(good), '\n'), reason: signed.BadSignature},
		"GPG: a damaged signature":                   {kind: "commit", raw: with(payload, "gpgsig", damaged(checksum.ReplaceAll(w.sign(payload, "ann"), nil))), reason: signed.BadSignature},
		"GPG: a signature without an end":            {kind: "commit", raw: with(payload, "gpgsig", w.sign(payload, "ann")[:100]), reason: signed.Malformed},
		"GPG: a signed message in place of its mark": {kind: "commit", raw: with(payload, "gpgsig", []byte(w.gpg(payload, "--armor", "-u", "ann@example.com", "--sign"))), reason: signed.Malformed},
		"GPG: an empty armor":                        {kind: "commit", raw: with(payload, "gpgsig", []byte("-----BEGIN PGP SIGNATURE-----\n\n-----END PGP SIGNATURE-----")), reason: signed.Malformed},
	}
}

// damaged changes one letter of what the key has written, near the end of an armor.
func damaged(signature []byte) []byte {
	out := bytes.Clone(signature)
	near := bytes.LastIndex(out, []byte("\n-----END")) - 12
	if out[near] == 'A' {
		out[near] = 'B'
	} else {
		out[near] = 'A'
	}
	return out
}

// doubled are objects with more than one signature.
func (w *world) doubled() map[string]object {
	payload := w.payload("2024-06-01")
	ann, rsa, stranger := w.sign(payload, "ann"), w.sign(payload, "rsa"), w.sign(payload, "stranger")
	ssh := w.sshSign(payload, "ssh-ann", "git")
	two := func(first, second []byte) []byte { return with(with(payload, "gpgsig", first), "gpgsig", second) }
	return map[string]object{
		"two: by one key in two headers":          {kind: "commit", raw: two(ann, ann), reason: signed.Malformed},
		"two: by two keys in two headers":         {kind: "commit", raw: two(ann, rsa), reason: signed.Malformed},
		"two: the second by a stranger":           {kind: "commit", raw: two(ann, stranger), reason: signed.Malformed},
		"two: the first by a stranger":            {kind: "commit", raw: two(stranger, ann), reason: signed.Malformed},
		"two: in one header":                      {kind: "commit", raw: with(payload, "gpgsig", slices.Concat(ann, rsa)), reason: signed.Malformed},
		"two: in one armor":                       {kind: "commit", raw: with(payload, "gpgsig", w.sign(payload, "ann", "-u", "rsa@example.com")), reason: signed.Malformed},
		"two: in one armor, one by a stranger":    {kind: "commit", raw: with(payload, "gpgsig", w.sign(payload, "ann", "-u", "stranger@example.com")), reason: signed.Malformed},
		"two: SSH, then GPG":                      {kind: "commit", raw: two(ssh, ann), reason: signed.Malformed, stricter: "git reads as far as the first one's end"},
		"two: GPG, then SSH":                      {kind: "commit", raw: two(ann, ssh), reason: signed.Malformed, stricter: "gpg does not look at what follows"},
		"two: SSH in one header, then a stranger": {kind: "commit", raw: with(payload, "gpgsig", slices.Concat(ssh, w.sshSign(payload, "ssh-stranger", "git"))), reason: signed.Malformed, stricter: "git reads as far as the first one's end"},
		"two: something after the signature":      {kind: "commit", raw: with(payload, "gpgsig", slices.Concat(ann, []byte("tree 0000\n"))), reason: signed.Malformed, stricter: "gpg does not look at what follows"},
	}
}

// forged are objects whose headers two readers may read in two ways.
func (w *world) forged() map[string]object {
	payload := w.payload("2024-06-01")
	signature := w.sign(payload, "ann")
	good := with(payload, "gpgsig", signature)
	twoTrees := bytes.Replace(payload, []byte("\nauthor"), []byte("\ntree "+strings.Repeat("a", 40)+"\nauthor"), 1)
	lateTree := with(payload, "tree", []byte(strings.Repeat("a", 40)))
	signedAs := func(p []byte) []byte { return with(p, "gpgsig", w.sign(p, "ann")) }
	noCommitter := bytes.Replace(payload, []byte("committer Ann"), []byte("comitter Ann"), 1)
	return map[string]object{
		"forged: a header that git leaves out":         {kind: "commit", raw: with(good, "gpgsig-sha256", signature), reason: signed.Malformed, stricter: "nothing covers that header"},
		"forged: a header that begins like it":         {kind: "commit", raw: with(good, "gpgsigx", []byte("tree "+strings.Repeat("a", 40))), reason: signed.Malformed, stricter: "nothing covers that header"},
		"forged: only the header of the other hash":    {kind: "commit", raw: with(payload, "gpgsig-sha256", signature), reason: signed.Malformed},
		"forged: a second tree before, not signed":     {kind: "commit", raw: append([]byte("tree "+strings.Repeat("a", 40)+"\n"), good...), reason: signed.Malformed},
		"forged: two trees, signed so":                 {kind: "commit", raw: signedAs(twoTrees), reason: signed.Malformed, stricter: "git reads the first one"},
		"forged: a tree after the others, signed so":   {kind: "commit", raw: signedAs(lateTree), reason: signed.Malformed, stricter: "git reads the first one"},
		"forged: the signature before the tree":        {kind: "commit", raw: append([]byte("gpgsig "+strings.ReplaceAll(strings.TrimSpace(string(signature)), "\n", "\n ")+"\n"), payload...), reason: signed.Malformed},
		"forged: a signature in the message":           {kind: "commit", raw: append(bytes.Clone(payload), []byte("\ngpgsig "+strings.ReplaceAll(strings.TrimSpace(string(signature)), "\n", "\n ")+"\n")...), reason: signed.Unsigned},
		"forged: a signature as the end of a message":  {kind: "commit", raw: append(bytes.Clone(payload), signature...), reason: signed.Unsigned},
		"forged: an empty signature":                   {kind: "commit", raw: with(payload, "gpgsig", nil), reason: signed.Malformed},
		"forged: no committer, signed so":              {kind: "commit", raw: signedAs(noCommitter), reason: signed.Malformed},
		"forged: the signature of a tag on a commit":   {kind: "commit", raw: with(payload, "gpgsig", w.sign(w.tagPayload(w.object("commit", payload), "commit", "v1"), "ann")), reason: signed.BadSignature},
		"forged: the signature of another commit":      {kind: "commit", raw: with(payload, "gpgsig", w.sign(w.payload("2024-06-02"), "ann")), reason: signed.BadSignature},
		"forged: the signature of a signed commit":     {kind: "commit", raw: with(payload, "gpgsig", w.sign(good, "ann")), reason: signed.BadSignature},
		"forged: an X.509 signature":                   {kind: "commit", raw: with(payload, "gpgsig", []byte("-----BEGIN SIGNED MESSAGE-----\nMIIB\n-----END SIGNED MESSAGE-----")), reason: signed.Unsupported},
		"forged: good, with other headers":             {kind: "commit", raw: signedAs(with(with(payload, "encoding", []byte("ISO-8859-1")), "x-note", []byte("a\nb")))},
		"forged: good, a merge of a signed tag":        {kind: "commit", raw: signedAs(with(payload, "mergetag", append(w.tagPayload(w.object("commit", payload), "commit", "v1"), signature...)))},
		"forged: good, a message without line break":   {kind: "commit", raw: signedAs(bytes.TrimRight(payload, "\n"))},
		"forged: good, a message with a zero byte":     {kind: "commit", raw: signedAs(append(bytes.Clone(payload), 0, 'x', '\n'))},
		"forged: good, with two parents":               {kind: "commit", raw: signedAs(bytes.Replace(payload, []byte("\nauthor"), []byte(strings.Repeat("\nparent "+strings.Repeat("a", 40), 2)+"\nauthor"), 1))},
		"forged: good, before 1970 by an hour of zone": {kind: "commit", raw: signedAs(bytes.ReplaceAll(payload, fmt.Appendf(nil, "> %d", at("2024-06-01")), []byte("> 0")))},
	}
}

func (w *world) tags() map[string]object {
	commit := w.object("commit", w.payload("2024-06-01"))
	payload := w.tagPayload(commit, "commit", "v1")
	signature := w.sign(payload, "ann")
	tag := func(p, s []byte) []byte { return slices.Concat(p, s) }
	again := tag(payload, signature)
	outer := w.tagPayload(w.object("tag", again), "tag", "v2")
	return map[string]object{
		"tag: good":                              {kind: "tag", raw: tag(payload, signature), name: "ann"},
		"tag: good, SSH":                         {kind: "tag", raw: tag(payload, w.sshSign(payload, "ssh-ann", "git")), name: "ann@example.com"},
		"tag: no signature":                      {kind: "tag", raw: payload, reason: signed.Unsigned},
		"tag: an unknown key":                    {kind: "tag", raw: tag(payload, w.sign(payload, "stranger")), reason: signed.UnknownKey},
		"tag: of another commit":                 {kind: "tag", raw: tag(bytes.Replace(payload, []byte(commit), []byte(w.object("commit", w.payload("2024-06-02"))), 1), signature), reason: signed.BadSignature},
		"tag: under another name":                {kind: "tag", raw: tag(bytes.Replace(payload, []byte("tag v1"), []byte("tag v2"), 1), signature), reason: signed.BadSignature},
		"tag: the signature of a commit":         {kind: "tag", raw: tag(payload, w.sign(w.payload("2024-06-01"), "ann")), reason: signed.BadSignature},
		"tag: signed twice, one over the other":  {kind: "tag", raw: tag(again, w.sign(again, "rsa")), name: "rsa"},
		"tag: a stranger's below a good one":     {kind: "tag", raw: tag(tag(payload, w.sign(payload, "stranger")), signature), reason: signed.BadSignature},
		"tag: two in one armor":                  {kind: "tag", raw: tag(payload, w.sign(payload, "ann", "-u", "rsa@example.com")), reason: signed.Malformed},
		"tag: something after the signature":     {kind: "tag", raw: tag(tag(payload, signature), []byte("more\n")), reason: signed.Malformed, stricter: "gpg does not look at what follows"},
		"tag: of a signed tag, itself not":       {kind: "tag", raw: outer, reason: signed.Unsigned},
		"tag: of a tag, signed":                  {kind: "tag", raw: tag(outer, w.sign(outer, "ann")), name: "ann"},
		"tag: a header that git leaves out":      {kind: "tag", raw: tag(with(payload, "gpgsig-sha256", signature), signature), reason: signed.Malformed, stricter: "nothing covers that header"},
		"tag: an object named twice, signed so":  {kind: "tag", raw: tag(with(payload, "object", []byte(commit)), w.sign(with(payload, "object", []byte(commit)), "ann")), reason: signed.Malformed, stricter: "git reads the first one"},
		"tag: a signature in a header of a mark": {kind: "tag", raw: with(payload, "gpgsig", signature), reason: signed.Malformed},
	}
}
