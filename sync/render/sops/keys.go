package sops

import (
	"errors"
	"io"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// Keys are the private keys that files can be read with.
type Keys []age.Identity

// ParseKeys reads a key file as age-keygen writes it: one AGE-SECRET-KEY- a line, comments allowed. The error quotes
// nothing of it.
func ParseKeys(text string) (Keys, error) {
	identities, err := age.ParseIdentities(strings.NewReader(text))
	if err != nil {
		return nil, errors.New("this is no age key file: it has a line AGE-SECRET-KEY-… for each key, as age-keygen writes it")
	}
	return identities, nil
}

// dataKeySize is the size of the key that values are encrypted with, in bytes.
const dataKeySize = 32

// dataKey opens the first of the encrypted data keys that one of the keys fits.
func (k Keys) dataKey(m *metadata) ([]byte, error) {
	if len(m.ageKeys) == 0 {
		others := ""
		if len(m.otherKeys) > 0 {
			others = ", only for " + strings.Join(m.otherKeys, ", ")
		}
		return nil, errors.New("it is not encrypted for any age key" + others + ": add an age recipient to it (sops --add-age), since no key service is asked")
	}
	var recipients []string
	for _, enc := range m.ageKeys {
		recipients = append(recipients, enc.recipient)
		r, err := age.Decrypt(armor.NewReader(strings.NewReader(enc.text)), k...)
		if err != nil {
			continue
		}
		if key, err := io.ReadAll(io.LimitReader(r, dataKeySize+1)); err == nil && len(key) == dataKeySize {
			return key, nil
		}
	}
	return nil, errors.New("none of the age keys here opens it; it is encrypted for " + strings.Join(recipients, ", "))
}
