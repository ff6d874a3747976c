package signed_test

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/sync/git/signed"
)

// When the objects in testdata are looked at. Their keys never expire.
func whenLooked() time.Time { return time.Date(2027, time.January, 1, 0, 0, 0, 0, time.UTC) }

// genuine are the objects in testdata, made with git, gpg and ssh-keygen, and signers are those who signed them.
func genuine(t testing.TB) (objects map[string][]byte, signers *signed.Signers) {
	t.Helper()
	read := func(pattern string) map[string][]byte {
		out := map[string][]byte{}
		found, err := filepath.Glob(filepath.Join("testdata", pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %v", pattern, found, err)
		}
		for _, name := range found {
			if out[filepath.Base(name)], err = os.ReadFile(name); err != nil {
				t.Fatal(err)
			}
		}
		return out
	}
	objects = read("commit.*")
	maps.Copy(objects, read("tag.*"))
	keys := read("*.asc")
	maps.Copy(keys, read("allowed_signers"))
	signers, err := signed.ParseSigners(keys)
	if err != nil {
		t.Fatal(err)
	}
	return objects, signers
}

func parsers() []func([]byte) (*signed.Object, error) {
	return []func([]byte) (*signed.Object, error){signed.ParseCommit, signed.ParseTag}
}

// payloads are what the signatures in testdata are over.
func payloads(t testing.TB) (out [][]byte) {
	t.Helper()
	objects, signers := genuine(t)
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		for _, parse := range parsers() {
			o, err := parse(objects[name])
			if err != nil {
				continue
			}
			if _, err := signers.Verify(o, whenLooked()); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			out = append(out, o.Payload)
		}
	}
	if len(out) != len(objects) {
		t.Fatalf("%d of %d objects were read", len(out), len(objects))
	}
	return out
}

// FuzzObject takes objects apart. What is read of one has to stand in the part that is signed, and whatever is done to a
// signed object, no other payload than the one that was signed counts.
func FuzzObject(f *testing.F) {
	const head = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 2 +0000\n"
	for _, raw := range []string{
		head + "\nm\n", head + "gpgsig-sha256 x\n y\n\nm\n", head + "gpgsig -----BEGIN SSH SIGNATURE-----\n x\n -----END SSH SIGNATURE-----\n\nm\n",
		"object 4b825dc642cb6eb9a060e54bf8d69288fbee4904\ntype commit\ntag v1\ntagger A <a@b> 1 +0000\n\nm\n-----BEGIN PGP SIGNATURE-----\n",
		"tree 4b\n \nparent\n\n", "\n", "",
	} {
		f.Add([]byte(raw))
	}
	objects, signers := genuine(f)
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		f.Add(objects[name])
	}
	were := payloads(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := bytes.Clone(raw)
		for _, parse := range parsers() {
			o, err := parse(raw)
			if (o == nil) == (err == nil) {
				t.Fatalf("got %v, %v", o, err)
			}
			if err != nil {
				wantRefusal(t, err)
				continue
			}
			wantWhole(t, o, raw)
			if _, err := signers.Verify(o, whenLooked()); err != nil {
				wantRefusal(t, err)
			} else if !slices.ContainsFunc(were, func(was []byte) bool { return bytes.Equal(was, o.Payload) }) {
				t.Errorf("nobody has signed %q", o.Payload)
			}
		}
		if !bytes.Equal(before, raw) {
			t.Error("the object was changed")
		}
	})
}

// wantWhole wants all that was read of an object to be in the part that is signed.
func wantWhole(t *testing.T, o *signed.Object, raw []byte) {
	t.Helper()
	switch {
	case len(o.Payload)+len(o.Signature) > len(raw)+1 || o.Target == "" || o.TargetType == "":
		t.Errorf("read %+v", o)
	case !bytes.Contains(o.Payload, []byte(o.Target)) || !bytes.Contains(o.Payload, []byte(o.Name)):
		t.Errorf("the target %s or the name %q is not in what is signed", o.Target, o.Name)
	case len(o.Signature) == 0 && !bytes.Equal(o.Payload, raw):
		t.Error("without a signature all of it is the payload")
	}
}

// FuzzSignature verifies signatures that nobody made: none may count for what nobody signed.
func FuzzSignature(f *testing.F) {
	objects, signers := genuine(f)
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		for _, parse := range parsers() {
			if o, err := parse(objects[name]); err == nil {
				f.Add(o.Signature, []byte("payload"))
			}
		}
	}
	for _, text := range []string{
		"-----BEGIN SSH SIGNATURE-----\nU1NIU0lHAAAAAQ==\n-----END SSH SIGNATURE-----\n", "-----BEGIN SIGNED MESSAGE-----\n",
		"-----BEGIN PGP SIGNATURE-----\n\niHUEABYKAB0WIQ==\n=abcd\n-----END PGP SIGNATURE-----\n", "-----BEGIN PGP MESSAGE-----\n\nAAAA\n-----END PGP MESSAGE-----",
	} {
		f.Add([]byte(text), []byte("payload"))
	}
	were := payloads(f)
	f.Fuzz(func(t *testing.T, signature, payload []byte) {
		signer, err := signers.Verify(&signed.Object{Payload: payload, Signature: signature}, whenLooked())
		if err != nil {
			wantRefusal(t, err)
		} else if !slices.ContainsFunc(were, func(was []byte) bool { return bytes.Equal(was, payload) }) {
			t.Fatalf("it counts as signed by %s", signer)
		}
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
	for _, name := range []string{"ann.asc", "allowed_signers"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	objects, _ := genuine(f)
	f.Fuzz(func(t *testing.T, content []byte) {
		for _, name := range []string{"allowed_signers", "keys.asc"} {
			signers, err := signed.ParseSigners(map[string][]byte{name: content})
			if (signers == nil) == (err == nil) {
				t.Fatalf("got %v, %v", signers, err)
			}
			if err != nil {
				continue
			}
			o, err := signed.ParseCommit(objects["commit.ssh"])
			if err != nil {
				t.Fatal(err)
			}
			if _, err := signers.Verify(o, whenLooked()); err != nil {
				wantRefusal(t, err)
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
