package render_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-dev/rollcall/sync/render"
)

// encrypted is a file that sops' own library has encrypted.
func encrypted(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("sops", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestEncryptedFilesAreDecrypted(t *testing.T) {
	tree := fstest.MapFS{
		"plain/secret.yaml": {Data: encrypted(t, "whole.yaml")},
		"plain/two.yaml":    {Data: bytes.ReplaceAll(encrypted(t, "mac-only.yaml"), []byte("name: agent"), []byte("name: more"))},
		"k/kustomization.yaml": {Data: []byte(`
namespace: agents
resources: [secret.yaml]
secretGenerator:
- name: made
  options: {disableNameSuffixHash: true}
  envs: [agent.env]
  files: [tls.key, values.json]
`)},
		"k/secret.yaml": {Data: encrypted(t, "secret.yaml")},
		"k/agent.env":   {Data: encrypted(t, "agent.env")},
		"k/tls.key":     {Data: encrypted(t, "tls.key")},
		"k/values.json": {Data: encrypted(t, "values.json")},
	}
	keys := []string{string(encrypted(t, "other.agekey")), string(encrypted(t, "test.agekey"))}
	t.Run("of a plain directory", func(t *testing.T) {
		got := build(t, tree, render.Options{Path: "plain", AgeKeys: keys})
		if diff := cmp.Diff("Secret /agent (plain/secret.yaml)\nSecret /more (plain/two.yaml)\n", summary(got)); diff != "" {
			t.Errorf("declared (-want +got):\n%s", diff)
		}
		want := map[string]any{"password": "yes", "number": "0123", "empty": "", "lines": "a\nb\n", "odd": "\u0085 \t ü # : {"}
		if diff := cmp.Diff(want, got.Objects[0].Object["stringData"]); diff != "" {
			t.Errorf("stringData (-want +got):\n%s", diff)
		}
	})
	t.Run("of a kustomization", func(t *testing.T) {
		got := build(t, tree, render.Options{Path: "k", AgeKeys: keys})
		if diff := cmp.Diff("Secret agents/agent (k/secret.yaml)\nSecret agents/made (k/kustomization.yaml)\n", summary(got)); diff != "" {
			t.Errorf("declared (-want +got):\n%s", diff)
		}
		want := map[string]any{
			"TOKEN": "YT1i", "LINES": "YVxuYg==", "EMPTY": "", "OPEN_unencrypted": "eA==",
			"tls.key":     "LS0tLS1CRUdJTgoA//4gYnl0ZXMK",
			"values.json": "eyJsaXN0IjpbImEiLDEsMS41LHRydWUsbnVsbCx7IngiOiJ5In1dLCJpbnQiOjcsInMiOiIxIn0=",
		}
		data := got.Objects[1].Object["data"].(map[string]any)
		data["values.json"] = strings.ReplaceAll(data["values.json"].(string), "\n", "") // kustomize wraps base64
		if diff := cmp.Diff(want, data); diff != "" {
			t.Errorf("data of the generated Secret (-want +got):\n%s", diff)
		}
	})
}

// TestCiphertextIsNeverDeclared: whatever is encrypted and not decrypted is an error that says so.
func TestCiphertextIsNeverDeclared(t *testing.T) {
	key := []string{string(encrypted(t, "test.agekey"))}
	one := func(name string, data []byte) fstest.MapFS { return fstest.MapFS{name: {Data: data}} }
	secret := encrypted(t, "secret.yaml")
	kustomization := func(text string) fstest.MapFS {
		return fstest.MapFS{
			"kustomization.yaml": {Data: []byte(text)}, "secret.yaml": {Data: secret}, "agent.env": {Data: encrypted(t, "agent.env")},
			"tls.key": {Data: encrypted(t, "tls.key")},
		}
	}
	withoutMetadata, _, _ := strings.Cut(string(secret), "sops:")
	for sentence, c := range map[string]struct {
		tree   fstest.MapFS
		keys   []string
		reason render.Reason
		says   string
	}{
		"a Secret, and nothing says how to decrypt": {
			tree: one("a/secret.yaml", secret), reason: render.DecryptionFailed, says: "a/secret.yaml: it is encrypted with sops, and nothing says how to decrypt it",
		},
		"a Secret of a kustomization": {
			tree: kustomization("resources: [secret.yaml]\n"), reason: render.DecryptionFailed, says: "secret.yaml: it is encrypted with sops, and nothing says",
		},
		"a file of a secretGenerator": {
			tree: kustomization("secretGenerator: [{name: s, files: [tls.key]}]\n"), reason: render.DecryptionFailed, says: "tls.key: it is encrypted with sops, and nothing says",
		},
		"an env file of a secretGenerator, with a key that does not fit": {
			tree: kustomization("secretGenerator: [{name: s, envs: [agent.env]}]\n"), keys: []string{string(encrypted(t, "other.agekey"))},
			reason: render.DecryptionFailed, says: "agent.env: it is encrypted with sops and cannot be decrypted: none of the age keys here opens it",
		},
		"a file of a configMapGenerator, whatever the keys": {
			tree: kustomization("configMapGenerator: [{name: s, files: [tls.key]}]\n"), keys: key,
			reason: render.BuildFailed, says: "configMapGenerator[0].files[0]: tls.key is encrypted with sops, and a ConfigMap hides nothing",
		},
		"something that is no Secret, whatever the keys": {
			tree: one("values.yaml", encrypted(t, "values.yaml")), keys: key,
			reason: render.DecryptionFailed, says: "values.yaml: document 1 is no Secret, and only Secrets are decrypted",
		},
		"an inline patch": {
			tree:   kustomization("patches:\n- patch: |-\n    " + strings.ReplaceAll(string(secret), "\n", "\n    ") + "\n"),
			keys:   key,
			reason: render.BuildFailed, says: "kustomize: ",
		},
		"a file for key services alone": {
			tree: one("secret.yaml", encrypted(t, "only-kms.yaml")), keys: key, reason: render.DecryptionFailed, says: "only for kms, pgp",
		},
		"a file that was changed": {
			tree: one("secret.yaml", bytes.Replace(secret, []byte("app: agent"), []byte("app: x"), 1)), keys: key,
			reason: render.DecryptionFailed, says: "the MAC does not match",
		},
		"values without the metadata": {
			tree: one("secret.yaml", []byte(withoutMetadata)), keys: key, reason: render.InvalidObject, says: "data.token: this value does not fit",
		},
		"an item of a list": {
			tree:   one("list.json", []byte(`{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"},"sops":{"mac":"ENC[AES256_GCM,x]"}}]}`)),
			reason: render.InvalidObject, says: "Secret a: sops: sops has encrypted this and it was not decrypted",
		},
		"text in stringData": {
			tree:   one("secret.yaml", []byte("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {k: 'ENC[AES256_GCM,data:x,iv:x,tag:x,type:str]'}\n")),
			reason: render.InvalidObject, says: "stringData.k: this is ciphertext of sops",
		},
		"a key file that is none, without a word of it": {
			tree: one("secret.yaml", secret), keys: []string{"AGE-SECRET-KEY-CANARY"}, reason: render.DecryptionFailed, says: "age key 1 of 1: this is no age key file",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			wantError(t, c.tree, render.Options{AgeKeys: c.keys}, c.reason, c.says)
			if _, err := render.Build(c.tree, render.Options{AgeKeys: c.keys}); strings.Contains(err.Error(), "CANARY") {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
}
