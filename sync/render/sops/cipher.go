package sops

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"regexp"
)

// sealed is how sops writes an encrypted value.
const sealed = `^ENC\[AES256_GCM,data:(.*),iv:(.+),tag:(.+),type:(\w+)\]$`

// opener opens the values of one file.
type opener struct {
	block  cipher.Block
	format *regexp.Regexp
}

func newOpener(key []byte) (*opener, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return &opener{block: block, format: regexp.MustCompile(sealed)}, nil
}

// open returns a value and the type that it had. What it is bound to is its path, which nobody can change then.
func (o *opener) open(text, boundTo string) (value, kind string, err error) {
	parts := o.format.FindStringSubmatch(text)
	if parts == nil {
		return "", "", errors.New("this value should be encrypted and is not")
	}
	var raw [3][]byte
	for i := range raw {
		if raw[i], err = base64.StdEncoding.DecodeString(parts[i+1]); err != nil {
			return "", "", errors.New("this value is damaged")
		}
	}
	data, nonce, tag := raw[0], raw[1], raw[2]
	if len(nonce) == 0 || len(tag) != aes.BlockSize {
		return "", "", errors.New("this value is damaged")
	}
	gcm, err := cipher.NewGCMWithNonceSize(o.block, len(nonce))
	if err != nil {
		return "", "", errors.New("this value is damaged")
	}
	plain, err := gcm.Open(nil, nonce, append(data, tag...), []byte(boundTo))
	if err != nil {
		return "", "", errors.New("this value is damaged, or was moved here from another field")
	}
	return string(plain), parts[4], nil
}
