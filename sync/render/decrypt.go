package render

import (
	"fmt"
	"path"

	"github.com/rollcall-dev/rollcall/sync/render/sops"
)

// manifests parses the documents of a file of manifests, and decrypts it if sops has encrypted it. Only Secrets are:
// the values of everything else are shown in plans and messages.
func (t *tree) manifests(name string, data []byte) ([]document, error) {
	docs, err := parse(name, data, t.limits)
	if err != nil || !sops.Encrypted(name, data) {
		return docs, err
	}
	plain, err := t.decrypted(name, data)
	if err != nil {
		return nil, err
	}
	docs, err = parse(name, plain, t.limits)
	if err != nil { // whose message may hold a key or a tag of what was hidden
		return nil, undecrypted(name, "what was encrypted is no manifest")
	}
	for _, doc := range docs {
		for _, value := range items(doc.Value) {
			if object, _ := value.(map[string]any); object["kind"] != "Secret" || object["apiVersion"] != "v1" {
				return nil, undecrypted(name, fmt.Sprintf("document %d is no Secret, and only Secrets are decrypted, since the values of "+
					"everything else are shown: keep it in a file that is not encrypted", doc.Index))
			}
		}
	}
	return docs, nil
}

// decrypted is the content of a file that sops has encrypted.
func (t *tree) decrypted(name string, data []byte) (plain []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			plain, err = nil, undecrypted(name, "the reader of encrypted files cannot read it")
		}
	}()
	if len(t.keys) == 0 {
		return nil, undecrypted(name, "it is encrypted with sops, and nothing says how to decrypt it: name a Secret with age keys in "+
			"spec.decryption.secretRef of the GitSync")
	}
	plain, err = t.keys.Decrypt(path.Base(name), data)
	if err != nil {
		return nil, undecrypted(name, fmt.Sprintf("it is encrypted with sops and cannot be decrypted: %v", err))
	}
	return plain, nil
}

func undecrypted(name, message string) *Error {
	return &Error{Reason: DecryptionFailed, File: name, Message: message}
}

// parseKeys reads the age keys of the options.
func parseKeys(files []string) (sops.Keys, error) {
	var keys sops.Keys
	for i, file := range files {
		found, err := sops.ParseKeys(file)
		if err != nil {
			return nil, &Error{Reason: DecryptionFailed, Message: fmt.Sprintf("age key %d of %d: %v", i+1, len(files), err)}
		}
		keys = append(keys, found...)
	}
	return keys, nil
}
