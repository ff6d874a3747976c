package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document is one YAML document that has passed the guard. Its value holds nothing but string, bool, int64,
// float64, nil, []any and map[string]any, as unstructured objects want it.
type document struct {
	File string
	// Index counts the documents of the file from 1, empty ones included.
	Index int
	// Line is where the document starts; 0 for a document that was not written in a file.
	Line  int
	Value any
	// Hint is what is probably wrong with the whole file; it may be empty.
	Hint string
}

// name starts a message about one document of several; it is empty for what was not written in a file.
func (d document) name() string {
	if d.Index == 0 {
		return ""
	}
	return fmt.Sprintf("document %d: ", d.Index)
}

// parse reads the documents of one YAML or JSON file, without the empty ones. It is the only reader of YAML
// in this package: kustomize sees nothing but the canonical form of what was parsed here, because two
// readers that split or resolve one text differently are a way around every check. Errors are *Error.
func parse(file string, data []byte, l Limits) (docs []document, err error) {
	// The YAML library has panicked on hostile input (CVE-2022-28948).
	defer func() {
		if p := recover(); p != nil {
			docs, err = nil, &Error{Reason: InvalidYAML, File: file, Message: "the YAML parser cannot read this file"}
		}
	}()
	hint := lostIndentation(data)
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	g := &guard{file: file, limits: l, hint: hint}
	for index := 1; ; index++ {
		var node yaml.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, syntaxError(file, err, hint)
		}
		if index > l.Documents {
			return nil, exceeded(file, "Documents", l.Documents, index)
		}
		if err := g.check(&node, 0); err != nil {
			return nil, err
		}
		value, err := (&resolver{file: file, hint: hint}).value(&node)
		if err != nil {
			return nil, err
		}
		if value == nil {
			continue
		}
		docs = append(docs, document{File: file, Index: index, Line: node.Line, Value: value, Hint: hint})
	}
}

// canonical writes documents as JSON texts between separators: one form for one meaning, in which no reader
// can find another separator, an alias or an implicit type.
func canonical(docs []document) ([]byte, error) {
	var b bytes.Buffer
	for i, d := range docs {
		if i > 0 {
			b.WriteString("\n---\n")
		}
		text, err := json.Marshal(d.Value)
		if err != nil {
			return nil, fmt.Errorf("encode document %d of %s: %w", d.Index, d.File, err)
		}
		b.Write(escapeControls(text))
	}
	return b.Bytes(), nil
}

// escapeControls escapes the characters that JSON takes as they are and YAML refuses or reads as line breaks.
func escapeControls(text []byte) []byte {
	if !bytes.ContainsFunc(text, control) {
		return text
	}
	var b bytes.Buffer
	for _, r := range string(text) {
		if control(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.Bytes()
}

func control(r rune) bool {
	return r >= 0x7f && r <= 0x9f || r == 0xfeff || r == 0xfffe || r == 0xffff
}

// syntaxError turns an error of the YAML library into one with a line. The library quotes no values.
func syntaxError(file string, err error, hint string) *Error {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 0
	if m := regexp.MustCompile(`^(?:.*?: )?line (\d+): `).FindStringSubmatch(message); m != nil {
		line, _ = strconv.Atoi(m[1])
		message = strings.TrimPrefix(message, m[0])
	}
	if strings.Contains(message, "cannot start any token") {
		message += ": YAML indents with spaces, not with tabs"
	}
	return &Error{Reason: InvalidYAML, File: file, Line: line, Message: withHint("this is not YAML, here or just below: "+message, hint)}
}

func withHint(message, hint string) string {
	if hint == "" {
		return message
	}
	return message + ": " + hint
}

// lostIndentation recognises a manifest whose lines all start at column 1, as copying from some web pages
// leaves it. What it says about the file explains every error that follows from it.
func lostIndentation(data []byte) string {
	sections, indented := 0, 0
	for line := range bytes.Lines(data) {
		text := bytes.TrimRight(line, "\r\n")
		switch {
		case len(text) > 0 && (text[0] == ' ' || text[0] == '\t'):
			indented++
		case bytes.Equal(bytes.TrimRight(text, " "), []byte("metadata:")), bytes.Equal(bytes.TrimRight(text, " "), []byte("spec:")):
			sections++
		}
	}
	if indented > 0 || sections == 0 {
		return ""
	}
	return "every line of this file starts at column 1, so its indentation was lost, as it happens when a manifest " +
		"is copied from a web page; take the raw file, or indent what belongs to metadata, spec and the lists"
}
