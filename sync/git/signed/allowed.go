package signed

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// allowed is one line of a file of allowed signers: "principals [options] keytype base64 [comment]".
type allowed struct {
	line int
	// principals is a list of patterns, as the line has it.
	principals string
	key        ssh.PublicKey
	// authority is whether the key signs certificates, rather than commits.
	authority bool
	// namespaces is a list of patterns; empty for all.
	namespaces string
	// after and before bound the time of a signature; zero for no bound.
	after, before time.Time
}

// parseAllowed reads a file of allowed signers. The error names the line.
func parseAllowed(content []byte) ([]allowed, error) {
	var out []allowed
	for i, raw := range bytes.Split(content, []byte("\n")) {
		text := strings.Trim(strings.TrimSuffix(string(raw), "\r"), " \t")
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		line, err := parseAllowedLine(text)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		line.line = i + 1
		out = append(out, line)
	}
	return out, nil
}

func parseAllowedLine(text string) (allowed, error) {
	out := allowed{}
	if publicKey(text) != nil {
		return out, errors.New("it begins with the key: write whose it is before it, such as ann@example.com")
	}
	principals, rest, err := firstWord(text)
	if err != nil {
		return out, err
	}
	if principals == "" || rest == "" {
		return out, errors.New("it has no key: write PRINCIPALS KEYTYPE BASE64, such as ann@example.com ssh-ed25519 AAAA…")
	}
	out.principals = principals
	if out.key = publicKey(rest); out.key != nil {
		return out, checkAllowedKey(out.key)
	}
	options, rest := optionsOf(rest)
	if err := out.take(options); err != nil {
		return out, err
	}
	if out.key = publicKey(rest); out.key == nil {
		return out, errors.New("it has no key that can be read: write PRINCIPALS [OPTIONS] KEYTYPE BASE64, with a key of type ssh-ed25519, ecdsa-sha2-*, sk-*@openssh.com or ssh-rsa")
	}
	return out, checkAllowedKey(out.key)
}

// firstWord is the first word of a line, which may stand in quotes.
func firstWord(text string) (word, rest string, err error) {
	if quoted, ok := strings.CutPrefix(text, `"`); ok {
		word, rest, ok = strings.Cut(quoted, `"`)
		if !ok {
			return "", "", errors.New("a quote does not end")
		}
		return word, strings.TrimLeft(rest, " \t"), nil
	}
	if at := strings.IndexAny(text, " \t"); at >= 0 {
		return text[:at], strings.TrimLeft(text[at:], " \t"), nil
	}
	return text, "", nil
}

// publicKey reads "keytype base64 [comment]"; nil for anything else.
func publicKey(text string) ssh.PublicKey {
	words := strings.Fields(text)
	if len(words) < 2 {
		return nil
	}
	key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(words[0] + " " + words[1]))
	if err != nil || len(options) > 0 || len(rest) > 0 || key.Type() != words[0] {
		return nil
	}
	return key
}

func checkAllowedKey(key ssh.PublicKey) error {
	if _, ok := key.(*ssh.Certificate); ok {
		return errors.New("it has a certificate for a key: name the key of its authority, with the option cert-authority")
	}
	if key.Type() == sshDSA {
		return errors.New("it has a DSA key, which is not safe any more: use an ed25519 key")
	}
	if key.Type() == ssh.KeyAlgoRSA && rsaBits(key) < leastRSA {
		return fmt.Errorf("it has an RSA key of %d bits: use one of %d or more, or an ed25519 key", rsaBits(key), leastRSA)
	}
	return nil
}

// optionsOf cuts the options, which end at the first blank that stands in no quotes.
func optionsOf(text string) (options, rest string) {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == '"':
			i++
		case text[i] == '"':
			quoted = !quoted
		case !quoted && (text[i] == ' ' || text[i] == '\t'):
			return text[:i], strings.TrimLeft(text[i:], " \t")
		}
	}
	return text, ""
}

// take reads the options of a line, parted by commas, with values in quotes.
func (a *allowed) take(options string) error {
	seen := map[string]bool{}
	for rest := options; ; {
		name, value, after, err := firstOption(rest)
		if err != nil {
			return err
		}
		if seen[name] {
			return fmt.Errorf("it has the option %q twice: keep one", name)
		}
		seen[name] = true
		if err := a.option(name, value); err != nil {
			return err
		}
		if after == "" {
			return a.checkTimes()
		}
		if after == "," || after[0] != ',' {
			return errors.New("its options are not parted by single commas, without blanks")
		}
		rest = after[1:]
	}
}

func (a *allowed) option(name string, value *string) (err error) {
	switch {
	case name == "cert-authority" && value == nil:
		a.authority = true
	case name == "namespaces" && value != nil && *value != "":
		a.namespaces = *value
	case name == "valid-after" && value != nil:
		a.after, err = instant(*value)
	case name == "valid-before" && value != nil:
		a.before, err = instant(*value)
	default:
		err = fmt.Errorf("its option %q is not one of cert-authority, namespaces=\"…\", valid-after=\"…\" and valid-before=\"…\": correct it, or remove it", shown(name))
	}
	return err
}

func (a *allowed) checkTimes() error {
	if !a.after.IsZero() && !a.before.IsZero() && !a.after.Before(a.before) {
		return errors.New("its valid-after is not before its valid-before")
	}
	return nil
}

// firstOption cuts one option off a list: a name, lower case, and a value if it has one.
func firstOption(text string) (name string, value *string, rest string, err error) {
	end := strings.IndexAny(text, "=,")
	switch {
	case end < 0:
		return strings.ToLower(text), nil, "", nil
	case text[end] == ',':
		return strings.ToLower(text[:end]), nil, text[end:], nil
	}
	name, rest = strings.ToLower(text[:end]), text[end+1:]
	if !strings.HasPrefix(rest, `"`) {
		return name, nil, "", fmt.Errorf("the value of its option %q does not stand in quotes", shown(name))
	}
	var unquoted strings.Builder
	for i := 1; i < len(rest); i++ {
		switch {
		case rest[i] == '\\' && i+1 < len(rest) && rest[i+1] == '"':
			i++
			unquoted.WriteByte('"')
		case rest[i] == '"':
			text := unquoted.String()
			return name, &text, rest[i+1:], nil
		default:
			unquoted.WriteByte(rest[i])
		}
	}
	return name, nil, "", fmt.Errorf("the value of its option %q has no end", shown(name))
}

// instant reads a time as ssh-keygen does, but for the zone: without a Z it is UTC here too, for there is no other zone
// that whoever wrote the line and this process share.
func instant(text string) (time.Time, error) {
	for _, layout := range []string{"20060102", "200601021504", "20060102150405"} {
		digits := strings.TrimSuffix(text, "Z")
		if len(digits) != len(layout) {
			continue
		}
		if at, err := time.ParseInLocation(layout, digits, time.UTC); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: write YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, each with a Z or without, in UTC", shown(text))
}
