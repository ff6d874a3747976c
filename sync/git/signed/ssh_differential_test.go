package signed_test

import (
	"bytes"
	"strings"

	"github.com/rollcall-dev/rollcall/sync/git/signed"
)

// sshKeys makes the keys that the rows sign with, and returns who may sign.
func (w *world) sshKeys() string {
	lines := []string{
		"# who may sign", "",
		"ann@example.com " + w.sshKey("ssh-ann", "-t", "ed25519"),
		"bob@example.com,*@ops.example.com namespaces=\"git,file\" " + w.sshKey("ssh-bob", "-t", "ecdsa"),
		"rsa@example.com " + w.sshKey("ssh-rsa", "-t", "rsa", "-b", "2048"),
	}
	w.sshKey("ssh-stranger", "-t", "ed25519")
	w.sshKey("ssh-ca", "-t", "ed25519")
	w.sshKey("ssh-otherca", "-t", "ed25519")
	return strings.Join(lines, "\n") + "\n"
}

func (w *world) ssh() map[string]object {
	payload := w.payload("2024-06-01")
	commit := func(owner, namespace string, args ...string) []byte {
		return with(payload, "gpgsig", w.sshSign(payload, owner, namespace, args...))
	}
	good := commit("ssh-ann", "git")
	key := w.read("ssh-ann.pub")
	weak := w.sshKey("ssh-weak", "-t", "rsa", "-b", "1024")
	dsa := w.sshKey("ssh-dsa", "-t", "dsa")
	_, _ = weak, dsa
	return map[string]object{
		"SSH: good":                               {kind: "commit", raw: good, name: "ann@example.com"},
		"SSH: good, ECDSA":                        {kind: "commit", raw: commit("ssh-bob", "git"), name: "bob@example.com"},
		"SSH: good, RSA":                          {kind: "commit", raw: commit("ssh-rsa", "git"), name: "rsa@example.com"},
		"SSH: good, SHA-256":                      {kind: "commit", raw: commit("ssh-ann", "git", "-O", "hashalg=sha256")},
		"SSH: an unknown key":                     {kind: "commit", raw: commit("ssh-stranger", "git"), reason: signed.UnknownKey},
		"SSH: an RSA key of 1024 bits":            {kind: "commit", raw: commit("ssh-weak", "git"), reason: signed.Unsupported},
		"SSH: made for another namespace":         {kind: "commit", raw: commit("ssh-ann", "file"), reason: signed.NotPermitted},
		"SSH: allowed for another namespace":      {kind: "commit", raw: good, allowed: "ann@example.com namespaces=\"file\" " + key, reason: signed.NotPermitted},
		"SSH: allowed for patterns of namespaces": {kind: "commit", raw: good, allowed: "ann@example.com namespaces=\"g?t*\" " + key},
		"SSH: a namespace excepted":               {kind: "commit", raw: good, allowed: "ann@example.com namespaces=\"*,!git\" " + key, reason: signed.NotPermitted},
		"SSH: the second line allows it":          {kind: "commit", raw: good, allowed: "ann@example.com namespaces=\"file\" " + key + "\nann@example.com " + key + "\n"},
		"SSH: the second line, of another name":   {kind: "commit", raw: good, allowed: "ann@example.com namespaces=\"file\" " + key + "\nbob@example.com " + key + "\n", reason: signed.NotPermitted},
		"SSH: a pattern for a name":               {kind: "commit", raw: good, allowed: "*@example.com " + key, name: "*@example.com"},
		"SSH: a name excepted":                    {kind: "commit", raw: good, allowed: "*@example.com,!ann@example.com " + key},
		"SSH: a name in quotes":                   {kind: "commit", raw: good, allowed: "\"Ann of Ops\" " + key, name: "Ann of Ops"},
		"SSH: options in capitals":                {kind: "commit", raw: good, allowed: "ann@example.com NAMESPACES=\"git\" " + key},
		"SSH: nobody is allowed":                  {kind: "commit", raw: good, allowed: "# nobody", reason: signed.UnknownKey},
		"SSH: another message":                    {kind: "commit", raw: bytes.Replace(good, []byte("subject"), []byte("Subject"), 1), reason: signed.BadSignature},
		"SSH: another tree":                       {kind: "commit", raw: bytes.Replace(good, []byte("tree 4b"), []byte("tree 4c"), 1), reason: signed.BadSignature},
		"SSH: a damaged signature":                {kind: "commit", raw: with(payload, "gpgsig", damaged(w.sshSign(payload, "ssh-ann", "git"))), reason: signed.BadSignature},
		"SSH: an empty armor":                     {kind: "commit", raw: with(payload, "gpgsig", []byte("-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----")), reason: signed.Malformed},
		"SSH: no base64":                          {kind: "commit", raw: with(payload, "gpgsig", []byte("-----BEGIN SSH SIGNATURE-----\n!!!!\n-----END SSH SIGNATURE-----")), reason: signed.Malformed},
		"SSH: the signature of another commit":    {kind: "commit", raw: with(payload, "gpgsig", w.sshSign(w.payload("2024-06-02"), "ssh-ann", "git")), reason: signed.BadSignature},
	}
}

// sshTimes are signatures at times that the allowed signers bound; the payload is of midnight, in UTC.
func (w *world) sshTimes() map[string]object {
	payload := w.payload("2024-06-01")
	raw := with(payload, "gpgsig", w.sshSign(payload, "ssh-ann", "git"))
	key := w.read("ssh-ann.pub")
	line := func(options string) string { return "ann@example.com " + options + " " + key }
	return map[string]object{
		"time: before valid-before":               {kind: "commit", raw: raw, allowed: line(`valid-before="20240602"`)},
		"time: at valid-before":                   {kind: "commit", raw: raw, allowed: line(`valid-before="20240601"`)},
		"time: a second after valid-before":       {kind: "commit", raw: raw, allowed: line(`valid-before="20240531235959Z"`), reason: signed.KeyExpired},
		"time: after valid-before":                {kind: "commit", raw: raw, allowed: line(`valid-before="20240101"`), reason: signed.KeyExpired},
		"time: at valid-after":                    {kind: "commit", raw: raw, allowed: line(`valid-after="202406010000"`)},
		"time: before valid-after":                {kind: "commit", raw: raw, allowed: line(`valid-after="20240601000001"`), reason: signed.NotPermitted},
		"time: within both":                       {kind: "commit", raw: raw, allowed: line(`valid-after="20240101",valid-before="20250101",namespaces="git"`)},
		"time: over, and another line has it":     {kind: "commit", raw: raw, allowed: line(`valid-before="20240101"`) + "\n" + line(`valid-after="20240101"`)},
		"time: over, and another name has it now": {kind: "commit", raw: raw, allowed: line(`valid-before="20240101"`) + "\nbob@example.com " + key, name: "bob@example.com"},
		"time: over, a name excepted":             {kind: "commit", raw: raw, allowed: "*@example.com,!ann@example.com valid-before=\"20240101\" " + key, reason: signed.KeyExpired},
	}
}

// sshCertificates are signatures by keys that an authority vouches for.
func (w *world) sshCertificates() map[string]object {
	payload := w.payload("2024-06-01")
	certify := func(authority, principals, validity string, args ...string) []byte {
		w.sshKey("ssh-vouched", "-t", "ed25519")
		args = append([]string{"-q", "-s", w.file(authority), "-I", "id", "-V", validity, "-n", principals}, args...)
		if principals == "" {
			args = args[:len(args)-2]
		}
		w.run(nil, "ssh-keygen", append(args, w.file("ssh-vouched.pub"))...)
		signature := w.sshSign(payload, "ssh-vouched-cert.pub", "git")
		for _, suffix := range []string{"", ".pub", "-cert.pub"} {
			w.remove("ssh-vouched" + suffix)
		}
		return with(payload, "gpgsig", signature)
	}
	ca := `*@example.com cert-authority ` + w.read("ssh-ca.pub")
	year := "20240101:20250101"
	good := certify("ssh-ca", "ann@example.com", year)
	return map[string]object{
		"certificate: good":                      {kind: "commit", raw: good, allowed: ca, name: "ann@example.com"},
		"certificate: of two names, one allowed": {kind: "commit", raw: certify("ssh-ca", "root,ann@example.com", year), allowed: ca, name: "ann@example.com"},
		"certificate: of a name not allowed":     {kind: "commit", raw: certify("ssh-ca", "ann@other.example", year), allowed: ca, reason: signed.NotPermitted},
		"certificate: of no name":                {kind: "commit", raw: certify("ssh-ca", "", year), allowed: ca, reason: signed.NotPermitted},
		"certificate: by another authority":      {kind: "commit", raw: certify("ssh-otherca", "ann@example.com", year), allowed: ca, reason: signed.UnknownKey},
		"certificate: over at the time":          {kind: "commit", raw: certify("ssh-ca", "ann@example.com", "20230101:20240101"), allowed: ca, reason: signed.NotPermitted},
		"certificate: for a host":                {kind: "commit", raw: certify("ssh-ca", "ann@example.com", year, "-h"), allowed: ca, reason: signed.NotPermitted},
		"certificate: its authority as a key":    {kind: "commit", raw: good, allowed: `ann@example.com ` + w.read("ssh-ca.pub"), reason: signed.UnknownKey},
		"certificate: an authority signs itself": {kind: "commit", raw: with(payload, "gpgsig", w.sshSign(payload, "ssh-ca", "git")), allowed: ca, reason: signed.UnknownKey},
		"certificate: not for this namespace":    {kind: "commit", raw: good, allowed: `*@example.com cert-authority,namespaces="file" ` + w.read("ssh-ca.pub"), reason: signed.NotPermitted},
	}
}
