package diff

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// spell writes a value as a FieldChange holds it. Text is quoted by Go's rules, so that nothing of it can move the
// cursor of a terminal or turn its letters round.
func spell(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case hidden:
		return string(v)
	case string:
		return strconv.Quote(v)
	default:
		text, err := json.Marshal(v)
		if err != nil {
			return strconv.Quote(fmt.Sprint(v))
		}
		return string(text)
	}
}

// join appends a key to a path: bare where it reads well, else quoted in brackets.
func join(path, key string) string {
	switch {
	case key == "" || strings.ContainsFunc(key, notBare):
		return path + "[" + strconv.Quote(key) + "]"
	case path == "":
		return key
	default:
		return path + "." + key
	}
}

func notBare(r rune) bool {
	letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	return !letter && r != '-' && r != '_'
}

func position(path string, i int) string {
	return fmt.Sprintf("%s[%d]", path, i)
}

func named(path, name string) string {
	if spelled := join("", name); spelled == name {
		return path + "[name=" + name + "]"
	}
	return path + "[name=" + strconv.Quote(name) + "]"
}

// printable returns text with what is no printable letter spelled out.
func printable(text string) string {
	var b strings.Builder
	for _, r := range text {
		if strconv.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRune(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}
