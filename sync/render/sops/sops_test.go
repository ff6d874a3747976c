package sops_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/rollcall-dev/rollcall/sync/render/sops"
)

// The files of testdata were encrypted by sops' own library (v3.13.3), and NAME.plain is what that makes of NAME again.

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func keys(t *testing.T, name string) sops.Keys {
	t.Helper()
	k, err := sops.ParseKeys(string(read(t, name)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestDecryptsWhatSopsDecrypts(t *testing.T) {
	plain, err := filepath.Glob("testdata/*.plain")
	if err != nil || len(plain) < 10 {
		t.Fatalf("there are %d files, %v", len(plain), err)
	}
	all := append(keys(t, "other.agekey"), keys(t, "test.agekey")...)
	for _, file := range plain {
		name := strings.TrimSuffix(filepath.Base(file), ".plain")
		t.Run(name, func(t *testing.T) {
			data := read(t, name)
			if !sops.Encrypted(name, data) {
				t.Error("it is not seen that it is encrypted")
			}
			got, err := all.Decrypt(name, data)
			if err != nil {
				t.Fatal(err)
			}
			want := read(t, name+".plain")
			switch filepath.Ext(name) {
			case ".yaml", ".json":
				if diff := cmp.Diff(values(t, want), values(t, got)); diff != "" {
					t.Errorf("values (-sops +ours):\n%s", diff)
				}
				if filepath.Ext(name) == ".json" && got[0] != '{' {
					t.Errorf("JSON became %s", got)
				}
			case ".env":
				want = regexp.MustCompile(`(?m)^#.*\n`).ReplaceAll(want, nil)
				fallthrough
			default:
				if diff := cmp.Diff(string(want), string(got)); diff != "" {
					t.Errorf("content (-sops +ours):\n%s", diff)
				}
			}
			if sops.Encrypted(name, got) {
				t.Error("what is decrypted is taken for encrypted")
			}
		})
	}
}

func values(t *testing.T, data []byte) (out []any) {
	t.Helper()
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var v any
		err := decoder.Decode(&v)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
}

func TestDecryptRefuses(t *testing.T) {
	edit := func(name, from, to string) []byte {
		data := read(t, name)
		if !bytes.Contains(data, []byte(from)) {
			t.Fatalf("%s has no %q", name, from)
		}
		return bytes.Replace(data, []byte(from), []byte(to), 1)
	}
	sealed := regexp.MustCompile(`ENC\[[^\]]*\]`)
	swapped := func(name string) []byte {
		all := sealed.FindAll(read(t, name), 2)
		data := bytes.Replace(read(t, name), all[0], []byte("FIRST"), 1)
		data = bytes.Replace(data, all[1], all[0], 1)
		return bytes.Replace(data, []byte("FIRST"), all[1], 1)
	}
	for sentence, c := range map[string]struct {
		name string
		data []byte
		keys string
		says string
	}{
		"a key that does not fit, naming the one that does": {
			name: "secret.yaml", keys: "other.agekey", says: "none of the age keys here opens it; it is encrypted for age1",
		},
		"a file for key services alone": {name: "only-kms.yaml", says: "not encrypted for any age key, only for kms, pgp"},
		"a key that is split":           {name: "groups.yaml", says: "several key groups"},
		"a rule in comments":            {name: "comment-rule.yaml", says: "use encrypted_regex"},
		"a value in plain that was changed, by the MAC": {
			name: "secret.yaml", data: edit("secret.yaml", "app: agent", "app: other"), says: "the MAC does not match",
		},
		"a field that was added":     {name: "secret.yaml", data: edit("secret.yaml", "kind: Secret\n", "kind: Secret\nextra: x\n"), says: "the MAC does not match"},
		"a document that was added":  {name: "secret.yaml", data: append(read(t, "secret.yaml"), "---\nkind: Secret\n"...), says: "the MAC does not match"},
		"two values that were moved": {name: "secret.yaml", data: swapped("secret.yaml"), says: "moved here from another field"},
		"a value in plain where one should be encrypted": {
			name: "secret.yaml", data: edit("secret.yaml", "stringData:\n", "stringData:\n    extra: CANARY\n"), says: "stringData.extra: this value should be encrypted",
		},
		"a MAC of another time": {name: "secret.yaml", data: edit("secret.yaml", "2026-11-26T23:02:03Z", "2026-11-26T23:02:04Z"), says: "sops.mac is damaged"},
		"no MAC":                {name: "secret.yaml", data: regexp.MustCompile(`(?m)^    mac: .*\n`).ReplaceAll(read(t, "secret.yaml"), nil), says: "sops.mac is damaged"},
		"a rule that was changed": {
			name: "secret.yaml", data: edit("secret.yaml", "encrypted_regex: ^(data|stringData)$", "encrypted_regex: ^(stringData)$"), says: "the MAC does not match",
		},
		"a rule that is no expression": {
			name: "secret.yaml", data: edit("secret.yaml", "^(data|stringData)$", "'('"), says: "no regular expression",
		},
		"an alias in the metadata": {
			name: "secret.yaml", data: edit("secret.yaml", "    version: 3.13.3", "    version: &a 3.13.3\n    kms: [*a]"), says: "field sops cannot be read",
		},
		"an alias": {
			name: "secret.yaml", data: edit("secret.yaml", "app: agent", "app: &a agent\n        b: *a"), says: "has an alias",
		},
		"a line of a dotenv file that was changed": {
			name: "agent.env", data: edit("agent.env", "OPEN_unencrypted=x", "OPEN_unencrypted=y"), says: "the MAC does not match",
		},
		"ini": {name: "a.ini", data: []byte("[sops]\nmac = ENC[AES256_GCM,data:x]\n"), says: "ini files are not supported"},
	} {
		t.Run(sentence, func(t *testing.T) {
			if c.data == nil {
				c.data = read(t, c.name)
			}
			if c.keys == "" {
				c.keys = "test.agekey"
			}
			if !sops.Encrypted(c.name, c.data) {
				t.Error("it is not seen that it is encrypted")
			}
			got, err := keys(t, c.keys).Decrypt(c.name, c.data)
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "CANARY") {
				t.Errorf("got %v, want %q", err, c.says)
			}
			if got != nil {
				t.Errorf("got %q beside the error", got)
			}
		})
	}
}

// TestNothingButTheKeysIsAsked puts everything in place that sops itself would use.
func TestNothingButTheKeysIsAsked(t *testing.T) {
	key := string(read(t, "test.agekey"))
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", home)
	t.Setenv("SOPS_AGE_KEY", key)
	t.Setenv("SOPS_AGE_KEY_CMD", "touch "+filepath.Join(home, "ran"))
	if err := os.MkdirAll(filepath.Join(home, "sops", "age"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "sops", "age", "keys.txt"), []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keys(t, "other.agekey").Decrypt("secret.yaml", read(t, "secret.yaml")); err == nil {
		t.Error("it was decrypted with a key of the environment")
	}
	if _, err := os.Stat(filepath.Join(home, "ran")); err == nil {
		t.Error("a program was run")
	}
}

func TestAKeyFileIsQuotedNowhere(t *testing.T) {
	for _, text := range []string{"AGE-SECRET-KEY-CANARY", "CANARY", "", "AGE-PLUGIN-CANARY-1QQQ"} {
		if _, err := sops.ParseKeys(text); err == nil || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("of %q: %v", text, err)
		}
	}
}

func TestWhatIsNotEncrypted(t *testing.T) {
	for name, text := range map[string]string{
		"a.yaml":  "kind: ConfigMap\ndata: {k: v}\n",
		"b.yaml":  "# sops writes ENC[AES256_GCM,...]\nkind: ConfigMap\n",
		"c.env":   "A=sops ENC[AES256_GCM,x]\n",
		"d":       "sops ENC[AES256_GCM, {{{",
		"e.yaml":  "sops: ENC[AES256_GCM,data]\n",
		"empty":   "",
		"f.json":  `["sops", "ENC[AES256_GCM,"]`,
		"g.yaml":  "--- # sops ENC[AES256_GCM,\n",
		"cut.pem": "\xff\x00 sops ENC[AES256_GCM,",
	} {
		if sops.Encrypted(name, []byte(text)) {
			t.Errorf("%s is taken for encrypted: %q", name, text)
		}
	}
}

// FuzzDecrypt looks for a panic, for an endless loop, and for a changed file that is accepted.
func FuzzDecrypt(f *testing.F) {
	names, err := filepath.Glob("testdata/*.plain")
	if err != nil {
		f.Fatal(err)
	}
	key, err := os.ReadFile("testdata/test.agekey")
	if err != nil {
		f.Fatal(err)
	}
	k, err := sops.ParseKeys(string(key))
	if err != nil {
		f.Fatal(err)
	}
	for _, plain := range names {
		data, err := os.ReadFile(strings.TrimSuffix(plain, ".plain"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(filepath.Ext(strings.TrimSuffix(plain, ".plain")), data)
	}
	f.Fuzz(func(t *testing.T, ext string, data []byte) {
		if !sops.Encrypted("a"+ext, data) {
			return
		}
		if got, err := k.Decrypt("a"+ext, data); err != nil && got != nil {
			t.Errorf("got %q beside %v", got, err)
		}
	})
}
