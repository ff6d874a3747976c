package render

import (
	"bytes"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
)

// secretTexts are the beginnings of all texts of Secrets that a build has seen. kustomize quotes what it cannot work with.
type secretTexts map[string]bool

// A text shorter than shortestHidden betrays nothing, and of a long one enough is kept to know it by: a message may be
// cut in the middle of it.
const (
	shortestHidden = 4
	keptOfHidden   = 16
)

// lines hides every line of a text.
func (h secretTexts) lines(text []byte) {
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if _, value, isPair := bytes.Cut(line, []byte("=")); isPair {
			h.text(value)
		}
		h.text(line)
	}
}

func (h secretTexts) text(line []byte) {
	if line = bytes.Trim(line, " \t\"'"); len(line) >= shortestHidden {
		h[string(line[:min(len(line), keptOfHidden)])] = true
	}
}

// secrets hides the values of the Secrets among the documents.
func (h secretTexts) secrets(docs []document) {
	for _, doc := range docs {
		for _, value := range items(doc.Value) {
			object, _ := value.(map[string]any)
			if object["kind"] == "Secret" {
				h.values(object["data"])
				h.values(object["stringData"])
			}
		}
	}
}

// patch hides all values of a patch that may be for a Secret.
func (h secretTexts) patch(target *types.Selector, docs []document) {
	h.secrets(docs)
	if target == nil || target.Kind != "" && !strings.Contains(target.Kind, "Secret") && !strings.ContainsAny(target.Kind, ".*|[(?") {
		return
	}
	for _, doc := range docs {
		operations, _ := doc.Value.([]any)
		for _, o := range operations {
			operation, _ := o.(map[string]any)
			h.values(operation["value"])
		}
		object, _ := doc.Value.(map[string]any)
		h.values(object["data"])
		h.values(object["stringData"])
	}
}

func (h secretTexts) values(v any) {
	switch v := v.(type) {
	case string:
		h.lines([]byte(v))
	case map[string]any:
		for _, field := range v {
			h.values(field)
		}
	case []any:
		for _, item := range v {
			h.values(item)
		}
	}
}

// betrayed is whether a message holds one of the texts.
func (h secretTexts) betrayed(message string) bool {
	for text := range h {
		if strings.Contains(message, text) {
			return true
		}
	}
	return false
}
