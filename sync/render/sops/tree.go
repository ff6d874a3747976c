package sops

import (
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// macOnlyEncrypted starts the MAC of a file in which it is over the encrypted values alone: the SHA-256 sum of "sops".
const macOnlyEncrypted = "\x8a\x3f\xd2\xad\x54\xce\x66\x52\x7b\x10\x34\xf3\xd1\x47\xbe\x0b\x0b\x97\x5b\x3b\xf4\x4f\x72\xc6\xfd\xad\xec\x81\x76\xf2\x7d\x69"

// deepest is how deep the values of a file may nest.
const deepest = 200

// decryption is one file on its way. Its values are opened where they stand.
type decryption struct {
	*metadata
	opener *opener
	sum    hash.Hash
}

func (k Keys) begin(f *fields) (*decryption, error) {
	m, err := f.read()
	if err != nil {
		return nil, err
	}
	key, err := k.dataKey(m)
	if err != nil {
		return nil, err
	}
	o, err := newOpener(key)
	if err != nil {
		return nil, err
	}
	d := &decryption{metadata: m, opener: o, sum: sha512.New()}
	if m.macOnlyEncrypted {
		d.sum.Write([]byte(macOnlyEncrypted))
	}
	return d, nil
}

// end compares the MAC: nothing was added, taken away, changed or put into another order.
func (d *decryption) end() error {
	want, _, err := d.opener.open(d.mac, d.modified)
	if err != nil {
		return errors.New("sops.mac is damaged: encrypt the file again")
	}
	if subtle.ConstantTimeCompare([]byte(fmt.Sprintf("%X", d.sum.Sum(nil))), []byte(want)) != 1 {
		return errors.New("it was changed after it was encrypted (the MAC does not match): edit it with sops, or encrypt it again")
	}
	return nil
}

// value opens one value and adds it to the MAC. An empty one is not encrypted.
func (d *decryption) value(text string, path []string) (plain, kind string, err error) {
	if text == "" {
		return "", "str", nil
	}
	plain, kind, err = d.opener.open(text, strings.Join(path, ":")+":")
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", strings.Join(path, "."), err)
	}
	if kind == "comment" {
		return "", kind, nil
	}
	inMAC, err := macText(plain, kind)
	d.sum.Write([]byte(inMAC))
	return plain, kind, err
}

// macText is a value as the MAC has it.
func macText(plain, kind string) (string, error) {
	switch kind {
	case "str", "bytes", "time":
		return plain, nil
	case "int":
		n, err := strconv.Atoi(plain)
		if err != nil {
			return "", errors.New("a value that should be an integer is none")
		}
		return strconv.Itoa(n), nil
	case "float":
		n, err := strconv.ParseFloat(plain, 64)
		if err != nil {
			return "", errors.New("a value that should be a number is none")
		}
		return strconv.FormatFloat(n, 'f', -1, 64), nil
	case "bool":
		b, err := strconv.ParseBool(plain)
		if err != nil {
			return "", errors.New("a value that should be a boolean is none")
		}
		return title(b), nil
	default:
		return "", fmt.Errorf("a value has the type %s, which is not known", kind)
	}
}

func title(b bool) string {
	if b {
		return "True"
	}
	return "False"
}

// node opens all values below a node, in the order in which they are written.
func (d *decryption) node(n *yaml.Node, path []string, depth int) error {
	if depth > deepest {
		return errors.New("its values nest too deep")
	}
	n.HeadComment, n.LineComment, n.FootComment = "", "", "" // they may be encrypted, and mean nothing
	switch n.Kind {
	case yaml.DocumentNode:
		return d.node(n.Content[0], path, depth+1)
	case yaml.MappingNode:
		return d.mapping(n, path, depth)
	case yaml.SequenceNode:
		return d.sequence(n, path, depth)
	case yaml.ScalarNode:
		return d.scalar(n, path)
	case yaml.AliasNode:
	}
	return errors.New("it has an alias, which sops never writes: encrypt it again")
}

func (d *decryption) mapping(n *yaml.Node, path []string, depth int) error {
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode {
			return errors.New("it has a key that is no text")
		}
		key.HeadComment, key.LineComment, key.FootComment = "", "", ""
		if err := d.node(n.Content[i+1], append(path[:len(path):len(path)], key.Value), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (d *decryption) sequence(n *yaml.Node, path []string, depth int) error {
	var kept []*yaml.Node
	for _, item := range n.Content {
		if err := d.node(item, path, depth+1); err != nil {
			return err
		}
		if item.Tag != commentTag {
			kept = append(kept, item)
		}
	}
	n.Content = kept
	return nil
}

// commentTag marks an element of a list that is a comment once it is decrypted.
const commentTag = "!sops-comment"

func (d *decryption) scalar(n *yaml.Node, path []string) error {
	if n.ShortTag() == "!!null" {
		return nil
	}
	if !d.rule.encrypted(path) {
		if d.macOnlyEncrypted {
			return nil
		}
		inMAC, err := plainMACText(n)
		d.sum.Write([]byte(inMAC))
		return err
	}
	if n.ShortTag() != "!!str" {
		return fmt.Errorf("%s: this value should be encrypted and is not", strings.Join(path, "."))
	}
	plain, kind, err := d.value(n.Value, path)
	if err != nil {
		return err
	}
	n.Value, n.Style = plain, 0
	switch kind {
	case "int", "float":
		n.Tag = "" // the text says it
	case "time":
		n.Tag = "!!timestamp"
	case "bool":
		n.Tag, n.Value = "!!bool", strings.ToLower(plain)
	case "comment":
		n.Tag = commentTag
	default:
		n.Tag, n.Style = "!!str", yaml.DoubleQuotedStyle // what reads as a boolean or a number is text all the same
	}
	return nil
}

// plainMACText is a value that is not encrypted as the MAC has it.
func plainMACText(n *yaml.Node) (string, error) {
	var v any
	if err := n.Decode(&v); err != nil {
		return "", errors.New("a value cannot be read")
	}
	switch v := v.(type) {
	case string:
		return v, nil
	case int:
		return strconv.Itoa(v), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case bool:
		return title(v), nil
	case time.Time:
		text, err := v.MarshalText()
		return string(text), err
	default:
		return "", errors.New("a value is of a type that sops does not write")
	}
}
