package main

import (
	"fmt"

	"github.com/rollcall-dev/rollcall/sync/render"
)

// warningDocument is a finding as programs read it.
type warningDocument struct {
	Reason  render.Concern `json:"reason"`
	File    string         `json:"file,omitempty"`
	Object  string         `json:"object"`
	Message string         `json:"message"`
}

func warningDocuments(findings []render.Finding) []warningDocument {
	out := []warningDocument{}
	for _, f := range findings {
		out = append(out, warningDocument{Reason: f.Concern, File: f.File, Object: f.Object, Message: f.Message})
	}
	return out
}

// warnings writes what is doubtful for people.
func (p *page) warnings(findings []render.Finding) {
	if len(findings) == 0 {
		return
	}
	p.WriteString(p.paint(yellow, fmt.Sprintf("Warnings: %d, which stop nothing", len(findings))) + "\n")
	for _, f := range findings {
		p.paragraph(plain, indent, warningLine(f))
	}
	p.WriteByte('\n')
}

func warningLine(f render.Finding) string {
	return clean(fmt.Sprintf("%s (%s): %s: %s", f.Object, f.File, f.Concern, f.Message))
}

// warnings of a comment are behind a click.
func (c *comment) warnings(findings []render.Finding) {
	if len(findings) == 0 {
		return
	}
	lines := ""
	for _, f := range findings {
		lines += fmt.Sprintf("- `%s` (%s): %s: %s\n", code(f.Object), words(f.File), f.Concern, words(f.Message))
	}
	c.fold(fmt.Sprintf("Warnings: %d, which stop nothing", len(findings)), lines, "")
}
