package main

import (
	"strings"

	"github.com/rollcall-dev/rollcall/diff"
)

// The plan as programs read it.
type (
	plannedForPrograms struct {
		GitSync string `json:"gitsync,omitempty"`
		// Against is the commit that it was compared with; empty for the cluster. Commit is what was planned; empty for a
		// working tree.
		Against    string             `json:"against,omitempty"`
		Commit     string             `json:"commit,omitempty"`
		Summary    string             `json:"summary"`
		Changes    bool               `json:"changes"`
		Blocked    bool               `json:"blocked"`
		Objects    []changeDocument   `json:"objects"`
		DaemonSets []forecastDocument `json:"daemonSets"`
		Warnings   []warningDocument  `json:"warnings"`
	}
	changeDocument struct {
		Group     string          `json:"group,omitempty"`
		Kind      string          `json:"kind"`
		Namespace string          `json:"namespace,omitempty"`
		Name      string          `json:"name"`
		Source    string          `json:"source,omitempty"`
		Operation diff.Operation  `json:"operation"`
		Reason    string          `json:"reason"`
		Message   string          `json:"message,omitempty"`
		Fields    []fieldDocument `json:"fields,omitempty"`
		// Diff is that of the fields that count, as YAML; the content of a pinned copy is left out.
		Diff string `json:"diff,omitempty"`
	}
	forecastDocument struct {
		forecast
		Fields []fieldDocument `json:"fields,omitempty"`
		Diff   string          `json:"diff,omitempty"`
	}
	fieldDocument struct {
		Path string `json:"path"`
		From string `json:"from,omitempty"`
		To   string `json:"to,omitempty"`
	}
)

func (p *planned) forPrograms() plannedForPrograms {
	out := plannedForPrograms{GitSync: p.gitsync, Against: p.from, Commit: p.to, Summary: p.conclusion(), Changes: p.changes(), Blocked: p.blocked(), Objects: []changeDocument{}, DaemonSets: []forecastDocument{}, Warnings: warningDocuments(p.findings)}
	for _, c := range p.objects.Changes {
		out.Objects = append(out.Objects, changeDocument{
			Group: c.Group, Kind: c.Kind, Namespace: c.Namespace, Name: c.Name, Source: c.Source,
			Operation: c.Operation, Reason: c.Reason, Message: c.Message, Fields: fieldDocuments(c.Fields), Diff: unified(c),
		})
	}
	for _, f := range p.rollouts {
		out.DaemonSets = append(out.DaemonSets, forecastDocument{forecast: f, Fields: fieldDocuments(f.Fields), Diff: unified(f.change)})
	}
	return out
}

func fieldDocuments(fields []diff.FieldChange) []fieldDocument {
	var out []fieldDocument
	for _, f := range fields {
		out = append(out, fieldDocument{Path: f.Path, From: f.From, To: f.To})
	}
	return out
}

// unified is how an object changes, as one text.
func unified(c diff.Change) string {
	if pinnedCopy(c) || len(c.Fields) == 0 {
		return ""
	}
	var b strings.Builder
	for i, h := range c.Unified(2) {
		switch {
		case h.Path != "":
			b.WriteString("@@ " + h.Path + " @@\n")
		case i > 0:
			b.WriteString("@@ @@\n")
		}
		b.WriteString(strings.Join(h.Lines, "\n") + "\n")
	}
	return b.String()
}
