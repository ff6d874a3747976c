package sops

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// metadataKey is the field that sops keeps what it needs to know in.
const metadataKey = "sops"

// metadata is what sops says of a file.
type metadata struct {
	ageKeys []ageKey
	// otherKeys are the sorts of keys beside age that the file is encrypted for.
	otherKeys []string
	mac       string
	// modified is what the MAC is bound to.
	modified         string
	macOnlyEncrypted bool
	rule             rule
}

type ageKey struct {
	recipient, text string
}

// rule says which values are encrypted, by the names of the fields on the way to them.
type rule struct {
	// matches is of one name; a value is encrypted when one on its way matches, or with inverted when none does.
	matches  func(name string) bool
	inverted bool
}

func (r rule) encrypted(path []string) bool {
	return slices.ContainsFunc(path, r.matches) != r.inverted
}

// fields is the metadata as it is written.
type fields struct {
	Threshold               int     `yaml:"shamir_threshold"`
	Groups                  []group `yaml:"key_groups"`
	LastModified            string  `yaml:"lastmodified"`
	MAC                     string  `yaml:"mac"`
	UnencryptedSuffix       string  `yaml:"unencrypted_suffix"`
	EncryptedSuffix         string  `yaml:"encrypted_suffix"`
	UnencryptedRegex        string  `yaml:"unencrypted_regex"`
	EncryptedRegex          string  `yaml:"encrypted_regex"`
	UnencryptedCommentRegex string  `yaml:"unencrypted_comment_regex"`
	EncryptedCommentRegex   string  `yaml:"encrypted_comment_regex"`
	MACOnlyEncrypted        bool    `yaml:"mac_only_encrypted"`
	Group                   group   `yaml:",inline"`
}

type group struct {
	Age []struct {
		Recipient string `yaml:"recipient"`
		Enc       string `yaml:"enc"`
	} `yaml:"age"`
	KMS       []yaml.Node `yaml:"kms"`
	GCPKMS    []yaml.Node `yaml:"gcp_kms"`
	AzureKV   []yaml.Node `yaml:"azure_kv"`
	HCVault   []yaml.Node `yaml:"hc_vault"`
	HuaweiKMS []yaml.Node `yaml:"hckms"`
	PGP       []yaml.Node `yaml:"pgp"`
}

// read understands the metadata of one file.
func (f *fields) read() (*metadata, error) {
	all := append([]group{f.Group}, f.Groups...)
	if len(f.Groups) > 1 {
		return nil, errors.New("its key is split between several key groups, which is not supported: encrypt it with one group that has an age key")
	}
	m := &metadata{mac: f.MAC, macOnlyEncrypted: f.MACOnlyEncrypted}
	for _, g := range all {
		for _, k := range g.Age {
			m.ageKeys = append(m.ageKeys, ageKey{k.Recipient, k.Enc})
		}
		for _, other := range []struct {
			name string
			keys []yaml.Node
		}{{"kms", g.KMS}, {"gcp_kms", g.GCPKMS}, {"azure_kv", g.AzureKV}, {"hc_vault", g.HCVault}, {"hckms", g.HuaweiKMS}, {"pgp", g.PGP}} {
			if len(other.keys) > 0 {
				m.otherKeys = append(m.otherKeys, other.name)
			}
		}
	}
	modified, err := time.Parse(time.RFC3339, f.LastModified)
	if err != nil {
		return nil, errors.New("sops.lastmodified is no time")
	}
	m.modified = modified.Format(time.RFC3339)
	m.rule, err = f.which()
	return m, err
}

// which is the one rule of the file.
func (f *fields) which() (rule, error) {
	if f.UnencryptedCommentRegex != "" || f.EncryptedCommentRegex != "" {
		return rule{}, errors.New("which values are encrypted is said by comments, which is not supported: use encrypted_regex")
	}
	var found []rule
	for _, r := range []struct {
		text     string
		inverted bool
		make     func(string) (func(string) bool, error)
	}{
		{f.UnencryptedSuffix, true, suffix}, {f.EncryptedSuffix, false, suffix},
		{f.UnencryptedRegex, true, expression}, {f.EncryptedRegex, false, expression},
	} {
		if r.text == "" {
			continue
		}
		matches, err := r.make(r.text)
		if err != nil {
			return rule{}, err
		}
		found = append(found, rule{matches, r.inverted})
	}
	switch len(found) {
	case 0:
		matches, err := suffix("_unencrypted")
		return rule{matches, true}, err
	case 1:
		return found[0], nil
	default:
		return rule{}, errors.New("it has more than one rule of which values are encrypted")
	}
}

func suffix(text string) (func(string) bool, error) {
	return func(name string) bool { return strings.HasSuffix(name, text) }, nil
}

func expression(text string) (func(string) bool, error) {
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, fmt.Errorf("its rule of which values are encrypted is no regular expression: %w", err)
	}
	return re.MatchString, nil
}
