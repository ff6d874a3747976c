package sops

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Encrypted is whether sops has encrypted the file. Its YAML has to be known to be harmless: the file is parsed.
func Encrypted(name string, data []byte) bool {
	if !bytes.Contains(data, []byte("ENC[AES256_GCM,")) || !bytes.Contains(data, []byte(metadataKey)) {
		return false
	}
	switch path.Ext(name) {
	case ".env":
		_, flat := lines(data)
		return flat["mac"] != ""
	case ".ini":
		return bytes.Contains(data, []byte("[sops]"))
	default:
		docs, err := documents(data)
		return err == nil && slices.ContainsFunc(docs, func(d *yaml.Node) bool { return described(d) != nil })
	}
}

// Decrypt returns the file as it was before sops encrypted it, but for comments and layout. No error quotes a value.
func (k Keys) Decrypt(name string, data []byte) ([]byte, error) {
	switch path.Ext(name) {
	case ".env":
		return k.dotenv(data)
	case ".ini":
		return nil, errors.New("encrypted ini files are not supported: encrypt it as binary")
	case ".yaml", ".yml", ".json":
		docs, err := k.yaml(data)
		if err != nil {
			return nil, err
		}
		if path.Ext(name) == ".json" && len(docs) == 1 {
			return asJSON(nil, docs[0].Content[0])
		}
		return encode(docs)
	default:
		return k.binary(data)
	}
}

// yaml opens a YAML or JSON file, of which all documents are one for sops.
func (k Keys) yaml(data []byte) ([]*yaml.Node, error) {
	docs, err := documents(data)
	if err != nil {
		return nil, err
	}
	if len(docs) == 0 || described(docs[0]) == nil {
		return nil, errors.New("its first document has no field sops")
	}
	var f fields
	if err := described(docs[0]).Decode(&f); err != nil || aliased(described(docs[0]), 0) {
		return nil, errors.New("its field sops cannot be read")
	}
	d, err := k.begin(&f)
	if err != nil {
		return nil, err
	}
	for _, doc := range docs {
		withoutDescription(doc)
		if err := d.node(doc, nil, 0); err != nil {
			return nil, err
		}
	}
	return docs, d.end()
}

// binary opens a file that sops has put whole into one value.
func (k Keys) binary(data []byte) ([]byte, error) {
	docs, err := k.yaml(data)
	if err != nil {
		return nil, err
	}
	root := docs[0].Content[0]
	if len(docs) != 1 || len(root.Content) != 2 || root.Content[0].Value != "data" || root.Content[1].Kind != yaml.ScalarNode {
		return nil, errors.New("it has no single field data, as sops writes a binary file: give it the extension of its format")
	}
	return []byte(root.Content[1].Value), nil
}

func documents(data []byte) ([]*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var docs []*yaml.Node
	for {
		n := &yaml.Node{}
		err := decoder.Decode(n)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, errors.New("this is not YAML")
		}
		docs = append(docs, n)
	}
}

// described is what sops says of a document; nil where it says nothing.
func described(doc *yaml.Node) *yaml.Node {
	root := doc.Content[0]
	for i := 0; root.Kind == yaml.MappingNode && i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value == metadataKey && root.Content[i+1].Kind == yaml.MappingNode {
			return root.Content[i+1]
		}
	}
	return nil
}

func withoutDescription(doc *yaml.Node) {
	root := doc.Content[0]
	for i := 0; root.Kind == yaml.MappingNode && i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value == metadataKey {
			root.Content = slices.Delete(root.Content, i, i+2)
			return
		}
	}
}

func encode(docs []*yaml.Node) ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	for _, doc := range docs {
		if err := e.Encode(doc); err != nil {
			return nil, errors.New("its values cannot be written as YAML")
		}
	}
	return b.Bytes(), e.Close()
}

// lines are those of a dotenv file, and what sops says of it.
func lines(data []byte) (kept []string, flat map[string]string) {
	flat = map[string]string{}
	for line := range strings.SplitSeq(string(data), "\n") {
		name, value, _ := strings.Cut(line, "=")
		if field, ours := strings.CutPrefix(name, metadataKey+"_"); ours {
			flat[field] = strings.ReplaceAll(value, `\n`, "\n")
			continue
		}
		kept = append(kept, line)
	}
	return kept, flat
}

// dotenv opens a file of NAME=value lines. Comments are left out.
func (k Keys) dotenv(data []byte) ([]byte, error) {
	kept, flat := lines(data)
	f := fields{
		LastModified: flat["lastmodified"], MAC: flat["mac"], MACOnlyEncrypted: flat["mac_only_encrypted"] == "true",
		UnencryptedSuffix: flat["unencrypted_suffix"], EncryptedSuffix: flat["encrypted_suffix"],
		UnencryptedRegex: flat["unencrypted_regex"], EncryptedRegex: flat["encrypted_regex"],
		UnencryptedCommentRegex: flat["unencrypted_comment_regex"], EncryptedCommentRegex: flat["encrypted_comment_regex"],
	}
	f.Group.flattened(flat)
	d, err := k.begin(&f)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for i, line := range kept {
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("line %d is not NAME=value", i+1)
		}
		plain := strings.ReplaceAll(value, `\n`, "\n")
		if d.rule.encrypted([]string{name}) {
			plain, _, err = d.value(plain, []string{name})
		} else if !d.macOnlyEncrypted {
			d.sum.Write([]byte(plain))
		}
		if err != nil {
			return nil, err
		}
		b.WriteString(name + "=" + strings.ReplaceAll(plain, "\n", `\n`) + "\n")
	}
	if err := d.end(); err != nil {
		return nil, err
	}
	return []byte(b.String()), nil
}

// flattened reads the keys of a file that has no nesting.
func (g *group) flattened(flat map[string]string) {
	for i := 0; ; i++ {
		prefix := "age__list_" + strconv.Itoa(i) + "__map_"
		enc, ok := flat[prefix+"enc"]
		if !ok {
			break
		}
		g.Age = append(g.Age, struct {
			Recipient string `yaml:"recipient"`
			Enc       string `yaml:"enc"`
		}{flat[prefix+"recipient"], enc})
	}
	for name, keys := range map[string]*[]yaml.Node{
		"kms": &g.KMS, "gcp_kms": &g.GCPKMS, "azure_kv": &g.AzureKV, "hc_vault": &g.HCVault, "hckms": &g.HuaweiKMS, "pgp": &g.PGP,
	} {
		for field := range flat {
			if strings.HasPrefix(field, name+"__list_") {
				*keys = []yaml.Node{{}}
			}
		}
	}
}

// aliased is whether a node, which nests no deeper than values may, has an alias in it.
func aliased(n *yaml.Node, depth int) bool {
	return n.Kind == yaml.AliasNode || depth > deepest || slices.ContainsFunc(n.Content, func(c *yaml.Node) bool { return aliased(c, depth+1) })
}
