package signed_test

import (
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/sync/git/signed"
)

const (
	sshEd25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIF2ZaiW05b51AspCzfBJvdVg1Bze7G5hVoNpJVC1E7zR ann@laptop"
	sshDSA     = "ssh-dss AAAAB3NzaC1kc3MAAACBALG=="
)

// TestSignersThatCannotBeRead wants of each mistake the file, the line and the way out.
func TestSignersThatCannotBeRead(t *testing.T) {
	lines := func(text ...string) map[string][]byte {
		return map[string][]byte{"allowed_signers": []byte(strings.Join(text, "\n"))}
	}
	for sentence, c := range map[string]struct {
		files map[string][]byte
		says  []string
	}{
		"no file":                      {nil, []string{"holds no key", "allowed_signers"}},
		"a file of comments":           {lines("# nobody", "", "  # yet"), []string{"holds no key"}},
		"a text":                       {map[string][]byte{"ann.asc": []byte("ann")}, []string{"ann.asc: ", "gpg --armor --export"}},
		"a private OpenPGP key":        {map[string][]byte{"ann.asc": []byte("-----BEGIN PGP PRIVATE KEY BLOCK-----")}, []string{"ann.asc: ", "private key", "consider this one known"}},
		"a private SSH key":            {map[string][]byte{"id": []byte("-----BEGIN OPENSSH PRIVATE KEY-----")}, []string{"id: ", "private key"}},
		"an SSH key alone":             {map[string][]byte{"ann.pub": []byte(sshEd25519)}, []string{"ann.pub: ", "not whose it is", "allowed_signers"}},
		"a key without an end":         {map[string][]byte{"a.asc": []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA")}, []string{"a.asc: ", "does not end with"}},
		"a key that is none":           {map[string][]byte{"a.asc": []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----\n")}, []string{"a.asc: key 1 cannot be read"}},
		"no key on a line":             {lines("# all", "ann@example.com"), []string{"allowed_signers: line 2: ", "PRINCIPALS KEYTYPE BASE64"}},
		"no principal on a line":       {lines(sshEd25519), []string{"line 1: ", "whose it is"}},
		"a key of another type":        {lines("ann ssh-foo AAAA"), []string{"line 1: "}},
		"a key under a wrong type":     {lines("ann " + strings.Replace(sshEd25519, "ssh-ed25519", "ssh-rsa", 1)), []string{"line 1: "}},
		"a DSA key":                    {lines("ann " + sshDSA), []string{"line 1: "}},
		"an unknown option":            {lines("ann touch-required " + sshEd25519), []string{"line 1: ", `"touch-required"`, "cert-authority"}},
		"an option without a value":    {lines("ann namespaces " + sshEd25519), []string{"line 1: ", `"namespaces"`}},
		"an option without quotes":     {lines("ann namespaces=git " + sshEd25519), []string{"line 1: ", "in quotes"}},
		"an option without an end":     {lines(`ann namespaces="git ` + sshEd25519), []string{"line 1: ", "no end"}},
		"an option twice":              {lines(`ann namespaces="a",namespaces="b" ` + sshEd25519), []string{"line 1: ", "twice"}},
		"a comma at the end":           {lines(`ann namespaces="a", ` + sshEd25519), []string{"line 1: ", "single commas"}},
		"a time that is none":          {lines(`ann valid-before="tomorrow" ` + sshEd25519), []string{"line 1: ", "YYYYMMDD"}},
		"a day that is none":           {lines(`ann valid-before="20241332" ` + sshEd25519), []string{"line 1: ", "20241332"}},
		"times the wrong way round":    {lines(`ann valid-after="20250101",valid-before="20240101" ` + sshEd25519), []string{"line 1: ", "not before"}},
		"a quote without an end":       {lines(`"ann ` + sshEd25519), []string{"line 1: ", "quote"}},
		"a good line before a bad one": {lines("ann "+sshEd25519, "bob ssh-ed25519"), []string{"line 2: "}},
	} {
		t.Run(sentence, func(t *testing.T) {
			_, err := signed.ParseSigners(c.files)
			if err == nil {
				t.Fatal("they were read")
			}
			for _, part := range c.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}
