package signed

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Object is a commit or a tag taken apart.
type Object struct {
	// Target is the tree of a commit, or the object that a tag names.
	Target string
	// TargetType is the type of the target: "tree" for a commit; of a tag what the tag says.
	TargetType string
	// Name is the name that a tag was made under; empty for a commit.
	Name string
	// When is when it was committed or tagged, by the clock of whoever did; zero for none.
	When time.Time
	// Payload is what the signature is over, and Signature the armored signature; empty when there is none.
	Payload, Signature []byte
}

// longestSignature bounds what is handed to the parsers of signatures; that of an RSA key of 16,384 bits has 3 KiB.
const longestSignature = 64 << 10

// signatureHeader begins the names of the headers that git leaves out of what is signed.
const signatureHeader = "gpgsig"

// header is one header of an object with the lines that continue it.
type header struct {
	key string
	// value holds the lines without the space that continues each.
	value []byte
	// raw are the lines as they stand in the object.
	raw []byte
}

// ParseCommit takes a commit apart. The error is a *Refusal.
func ParseCommit(raw []byte) (*Object, error) {
	headers, body, err := split(raw)
	if err != nil {
		return nil, err
	}
	rest, err := inOrder(headers, "tree", "parent", "author", "committer")
	if err != nil {
		return nil, err
	}
	tree, err := hash(headers[0])
	if err != nil {
		return nil, err
	}
	when, err := ident(headers[len(headers)-len(rest)-1])
	if err != nil {
		return nil, err
	}
	out := &Object{Target: tree, TargetType: "tree", When: when}
	for _, h := range headers {
		switch {
		case h.key != signatureHeader && strings.HasPrefix(h.key, signatureHeader):
			return nil, refuse(Malformed, "", "it has a header %q, which no signature covers", shown(h.key))
		case h.key != signatureHeader:
			out.Payload = append(out.Payload, h.raw...)
		case out.Signature != nil:
			return nil, refuse(Malformed, "", "it has more than one signature")
		default:
			out.Signature = h.value
		}
	}
	out.Payload = append(out.Payload, body...)
	return out.bounded()
}

// ParseTag takes an annotated tag apart. The error is a *Refusal.
func ParseTag(raw []byte) (*Object, error) {
	headers, body, err := split(raw)
	if err != nil {
		return nil, err
	}
	rest, err := inOrder(headers, "object", "type", "tag", "tagger")
	if err != nil {
		return nil, err
	}
	for _, h := range rest {
		if strings.HasPrefix(h.key, signatureHeader) {
			return nil, refuse(Malformed, "", "it has a header %q, which no signature covers", shown(h.key))
		}
	}
	target, err := hash(headers[0])
	if err != nil {
		return nil, err
	}
	when, err := ident(headers[3])
	if err != nil {
		return nil, err
	}
	out := &Object{Target: target, TargetType: text(headers[1]), Name: text(headers[2]), When: when, Payload: raw}
	if !slices.Contains([]string{"commit", "tree", "blob", "tag"}, out.TargetType) || out.Name == "" {
		return nil, refuse(Malformed, "", "it does not say what it is a tag of, or by which name")
	}
	if at := trailer(body); at < len(body) {
		start := len(raw) - len(body) + at
		out.Payload, out.Signature = raw[:start:start], raw[start:]
	}
	return out.bounded()
}

func (o *Object) bounded() (*Object, error) {
	if len(o.Signature) > longestSignature {
		return nil, refuse(Malformed, "", "its signature has %d bytes, and %d are the most", len(o.Signature), longestSignature)
	}
	return o, nil
}

// trailer is where the signature of a tag begins: at the last line that begins one, as for git.
func trailer(body []byte) int {
	found := len(body)
	for at := 0; at < len(body); {
		if kindOf(body[at:]) != kindNone {
			found = at
		}
		next := bytes.IndexByte(body[at:], '\n')
		if next < 0 {
			break
		}
		at += next + 1
	}
	return found
}

// split cuts an object into its headers and what follows them, which begins with the empty line.
func split(raw []byte) (headers []header, body []byte, err error) {
	for rest := raw; ; {
		line, after, ended := bytes.Cut(rest, []byte("\n"))
		switch {
		case !ended:
			return nil, nil, refuse(Malformed, "", "its headers do not end with an empty line")
		case len(line) == 0:
			return headers, rest, nil
		case bytes.IndexByte(line, 0) >= 0:
			return nil, nil, refuse(Malformed, "", "a header holds a zero byte")
		case line[0] == ' ' && len(headers) == 0:
			return nil, nil, refuse(Malformed, "", "it begins with a space")
		case line[0] == ' ':
			last := &headers[len(headers)-1]
			last.raw = append(last.raw, rest[:len(line)+1]...)
			last.value = append(last.value, rest[1:len(line)+1]...)
		default:
			key, value, spaced := bytes.Cut(line, []byte(" "))
			if !spaced || len(key) == 0 {
				return nil, nil, refuse(Malformed, "", "a header has no value")
			}
			headers = append(headers, header{key: string(key), value: slices.Concat(value, []byte("\n")), raw: slices.Clone(rest[:len(line)+1])})
		}
		rest = after
	}
}

// inOrder wants these headers first, once each and in this order, but for parents, of which there may be any number,
// and returns the others.
func inOrder(headers []header, keys ...string) (rest []header, err error) {
	rest = headers
	for _, key := range keys {
		if key == "parent" {
			for len(rest) > 0 && rest[0].key == key {
				if _, err := hash(rest[0]); err != nil {
					return nil, err
				}
				rest = rest[1:]
			}
			continue
		}
		if len(rest) == 0 || rest[0].key != key || bytes.Count(rest[0].value, []byte("\n")) != 1 {
			return nil, refuse(Malformed, "", "its header %q is missing, or not where git writes it", key)
		}
		rest = rest[1:]
	}
	for _, h := range rest {
		if slices.Contains(keys, h.key) {
			return nil, refuse(Malformed, "", "its header %q stands twice", h.key)
		}
	}
	return rest, nil
}

func text(h header) string { return strings.TrimSuffix(string(h.value), "\n") }

func hash(h header) (string, error) {
	if name := text(h); regexp.MustCompile(`^[0-9a-f]{40}$`).MatchString(name) {
		return name, nil
	}
	return "", refuse(Malformed, "", "its header %q names no object", h.key)
}

// ident reads the time at the end of "Name <address> SECONDS ZONE".
func ident(h header) (time.Time, error) {
	found := regexp.MustCompile(`^[^<>\n]*<[^<>\n]*> ([0-9]{1,18}) [+-][0-9]{4}$`).FindStringSubmatch(text(h))
	if found == nil {
		return time.Time{}, refuse(Malformed, "", "its header %q does not say who and when", h.key)
	}
	seconds, err := strconv.ParseInt(found[1], 10, 64)
	if err != nil {
		return time.Time{}, refuse(Malformed, "", "its header %q has no time: %v", h.key, err)
	}
	if seconds == 0 {
		return time.Time{}, nil
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// kind is the kind of a signature, by how it begins.
type kind int

const (
	kindNone kind = iota
	kindOpenPGP
	kindX509
	kindSSH
)

// kindOf tells the kinds apart as git does.
func kindOf(signature []byte) kind {
	for _, begins := range []struct {
		with string
		kind kind
	}{
		{"-----BEGIN PGP SIGNATURE-----", kindOpenPGP},
		{"-----BEGIN PGP MESSAGE-----", kindOpenPGP},
		{"-----BEGIN SIGNED MESSAGE-----", kindX509},
		{"-----BEGIN SSH SIGNATURE-----", kindSSH},
	} {
		if bytes.HasPrefix(signature, []byte(begins.with)) {
			return begins.kind
		}
	}
	return kindNone
}

// armored is the text between the first and the last line of a signature that is nothing else.
func armored(signature []byte, of string) ([]byte, error) {
	begin, end := fmt.Sprintf("-----BEGIN %s-----\n", of), fmt.Sprintf("\n-----END %s-----", of)
	signature = bytes.ReplaceAll(signature, []byte("\r\n"), []byte("\n"))
	inner, ok := bytes.CutPrefix(signature, []byte(begin))
	if !ok {
		return nil, refuse(Malformed, "", "its signature does not begin with a line %q", strings.TrimSpace(begin))
	}
	inner, after, ok := bytes.Cut(inner, []byte(end))
	switch {
	case !ok:
		return nil, refuse(Malformed, "", "its signature does not end with a line %q", strings.TrimSpace(end))
	case len(bytes.TrimSpace(after)) > 0:
		return nil, refuse(Malformed, "", "something follows its signature, such as another one")
	}
	return inner, nil
}
