package signed_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/sync/git/signed"
)

// FuzzObject takes objects apart. What is read of one has to stand in the part that is signed: nothing else tells that
// its author wrote it.
func FuzzObject(f *testing.F) {
	const head = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 2 +0000\n"
	for _, raw := range []string{
		head + "\nm\n",
		head + "gpgsig -----BEGIN SSH SIGNATURE-----\n x\n -----END SSH SIGNATURE-----\n\nm\n",
		head + "gpgsig-sha256 x\n y\n\nm\n",
		"object 4b825dc642cb6eb9a060e54bf8d69288fbee4904\ntype commit\ntag v1\ntagger A <a@b> 1 +0000\n\nm\n-----BEGIN PGP SIGNATURE-----\n",
		"tree 4b\n \nparent\n\n", "\n", "",
	} {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := bytes.Clone(raw)
		for _, parse := range []func([]byte) (*signed.Object, error){signed.ParseCommit, signed.ParseTag} {
			o, err := parse(raw)
			if (o == nil) == (err == nil) {
				t.Fatalf("got %v, %v", o, err)
			}
			if err != nil {
				wantRefusal(t, err)
				continue
			}
			if len(o.Payload) > len(raw) || o.Target == "" || o.TargetType == "" {
				t.Errorf("read %+v", o)
			}
			if !bytes.Contains(o.Payload, []byte(o.Target)) {
				t.Errorf("the target %s is not in what is signed", o.Target)
			}
			if len(o.Signature) == 0 && !bytes.Equal(o.Payload, raw) {
				t.Error("without a signature all of it is the payload")
			}
		}
		if !bytes.Equal(before, raw) {
			t.Error("the object was changed")
		}
	})
}

// FuzzSignature verifies signatures that nobody made: none may count.
func FuzzSignature(f *testing.F) {
	for _, text := range []string{
		"-----BEGIN SSH SIGNATURE-----\nU1NIU0lHAAAAAQ==\n-----END SSH SIGNATURE-----\n",
		"-----BEGIN PGP SIGNATURE-----\n\niHUEABYKAB0WIQ==\n=abcd\n-----END PGP SIGNATURE-----\n",
		"-----BEGIN SIGNED MESSAGE-----\n", "-----BEGIN PGP MESSAGE-----\n\nAAAA\n-----END PGP MESSAGE-----",
	} {
		f.Add([]byte(text), []byte("payload"))
	}
	signers, err := signed.ParseSigners(map[string][]byte{"allowed_signers": []byte("*@example.com " + sshEd25519 + "\n")})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, signature, payload []byte) {
		signer, err := signers.Verify(&signed.Object{Payload: payload, Signature: signature}, time.Unix(1717200000, 0))
		if err == nil {
			t.Fatalf("it counts as signed by %s", signer)
		}
		wantRefusal(t, err)
	})
}

// FuzzSigners reads files of signers.
func FuzzSigners(f *testing.F) {
	for _, text := range []string{
		"ann@example.com " + sshEd25519, `"a b",!c namespaces="git,file",valid-after="20240101Z" ` + sshEd25519,
		"* cert-authority " + sshEd25519 + "\n#\n\r\n", `a namespaces="\"" ` + sshEd25519, "a b=", "a ,", `a b="\`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		for _, name := range []string{"allowed_signers", "keys.asc"} {
			signers, err := signed.ParseSigners(map[string][]byte{name: content})
			if (signers == nil) == (err == nil) {
				t.Fatalf("got %v, %v", signers, err)
			}
			if err != nil && err.Error() == "" {
				t.Error("an error without words")
			}
		}
	})
}

// wantRefusal wants an error with a reason and words.
func wantRefusal(t *testing.T, err error) {
	t.Helper()
	var refusal *signed.Refusal
	if !errors.As(err, &refusal) || refusal.Reason == "" || refusal.Message == "" {
		t.Errorf("an error without a reason or a message: %#v", err)
	}
}
