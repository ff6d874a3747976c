package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/diff"
)

// planned is what a directory would change.
type planned struct {
	// gitsync is NAMESPACE/NAME; empty when it is open.
	gitsync  string
	objects  diff.Plan
	rollouts []forecast
}

// blocked is whether the directory could not be applied.
func (p *planned) blocked() bool {
	return len(p.objects.Blocked()) > 0 || slices.ContainsFunc(p.rollouts, func(f forecast) bool { return f.Verdict == cannotBeMade })
}

// changes is whether the cluster would change.
func (p *planned) changes() bool {
	return p.objects.Writes() || slices.ContainsFunc(p.rollouts, func(f forecast) bool { return f.changes() })
}

// render writes the plan for people.
func (p *planned) render(st style) string {
	page := &page{style: st}
	if p.gitsync != "" {
		page.WriteString("GitSync " + st.paint(bold, p.gitsync) + "\n\n")
	}
	if len(p.objects.Changes) > 0 {
		page.signed(dim, p.objects.String()+"\n")
	}
	for i := range p.rollouts {
		page.forecast(&p.rollouts[i])
		page.WriteByte('\n')
	}
	if len(p.objects.Of(diff.Release)) > 0 {
		page.WriteString("What is released goes over as it is to the GitSync that declares it: nothing restarts.\n")
	}
	if len(p.objects.Of(diff.Delete)) > 0 {
		page.WriteString("What is deleted goes after proof, once no pod reads it.\n")
	}
	page.WriteString(p.conclusion() + "\n")
	return page.String()
}

// conclusion is what a reviewer has to know.
func (p *planned) conclusion() string {
	counts, nodes := map[verdict]int{}, 0
	for i := range p.rollouts {
		counts[p.rollouts[i].Verdict]++
		if p.rollouts[i].Verdict == willRoll {
			nodes = max(nodes, p.rollouts[i].Nodes)
		}
	}
	said := "No rollout"
	switch {
	case p.blocked():
		return "Something cannot be applied: nothing of this would be."
	case counts[willRoll] > 0:
		said = fmt.Sprintf("Rollouts: %d of %d DaemonSets, over up to %d nodes", counts[willRoll], len(p.rollouts), nodes)
		if n := counts[isUnderWay]; n > 0 {
			said += fmt.Sprintf("; %d under way", n)
		}
	case counts[isUnderWay] == 1:
		said = "1 rollout under way"
	case counts[isUnderWay] > 0:
		said = fmt.Sprintf("%d rollouts under way", counts[isUnderWay])
	case !p.changes():
		said = "Nothing changes"
	}
	if n := counts[wouldBeHeld]; n > 0 {
		said += fmt.Sprintf("; %d would be held", n)
	}
	if n := counts[isRejected]; n > 0 {
		said += fmt.Sprintf("; %d rejected before", n)
	}
	return said + "."
}

// signed paints each line by the sign that it begins with; kept is for what stays
// as it is.
func (p *page) signed(kept ink, text string) {
	for line := range strings.Lines(text) {
		i := plain
		switch sign, _, _ := strings.Cut(strings.TrimLeft(line, " "), " "); sign {
		case "+":
			i = green
		case "-", "!":
			i = red
		case "~":
			i = yellow
		case "=":
			i = kept
		case "▶":
			i = cyan
		}
		p.WriteString(p.paint(i, strings.TrimSuffix(line, "\n")) + "\n")
	}
}

// forecast writes what becomes of one DaemonSet.
func (p *page) forecast(f *forecast) {
	c := diff.Change{
		ID: diff.ID{Namespace: f.Namespace, Name: f.Name, Group: "apps", Kind: "DaemonSet"}, Source: f.Source,
		Operation: f.operation(), Reason: string(f.Verdict), Message: f.says(), Fields: f.Fields,
	}
	if f.Verdict == cannotBeMade || f.Verdict == isUnderWay {
		c.Reason, c.Message, _ = strings.Cut(f.Message, ": ") // its own reason says more
	}
	text := c.String()
	if f.Verdict == isUnderWay {
		_, about, _ := strings.Cut(text, c.ID.String())
		text = "▶ under way " + c.ID.String() + about
	}
	p.signed(plain, text)
	if f.Proven != "" && f.Proven != f.Digest {
		p.paragraph(dim, indent+indent, named(f.Proven, "")+" → "+named(f.Digest, ""))
	}
	if len(f.Waves) == 0 {
		return
	}
	loss := fmt.Sprintf("at most %d of %d nodes without an agent", f.MaxUnavailable, f.Nodes)
	if f.Verdict == willInstall {
		loss = "no node loses an agent"
	}
	p.paragraph(plain, indent+indent, fmt.Sprintf("%s, %s, %s of soaking at least", f.policy(), loss, brief(f.soaking())))
	name := cells("WAVE")
	for _, w := range f.Waves {
		name = max(name, cells(w.Name))
	}
	p.WriteString(indent + indent + p.paint(dim, pad("WAVE", name)+"   NODES    UP TO   SOAK") + "\n")
	for i := range f.Waves {
		w := &f.Waves[i]
		line := fmt.Sprintf("%s%s%s  %6d   %6d   %-6s  %s", indent, indent, pad(w.Name, name), w.Nodes, w.UpTo, brief(w.Soak.Duration), clean(w.notes()))
		p.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

// policy is what the rollout goes by, in words.
func (f *forecast) policy() string {
	if f.Policy == apply.BuiltInPolicyName {
		return f.Policy
	}
	return "policy " + f.Policy
}

// operation is the nearest of what a plan does with objects.
func (f *forecast) operation() diff.Operation {
	switch f.Verdict {
	case willInstall:
		return diff.Create
	case willRoll:
		return diff.Update
	case willAdopt, willStay, isUnderWay:
		if f.changes() {
			return diff.Update
		}
		return diff.Unchanged
	case isRejected, wouldBeHeld:
		return diff.Keep
	case cannotBeMade:
		return diff.Refused
	default:
		return diff.Keep
	}
}

// atOnce is how a first install comes to its nodes.
func (f *forecast) atOnce() string {
	if len(f.Waves) == 0 {
		return "all at once"
	}
	return fmt.Sprintf("in %d waves", len(f.Waves))
}

// says is the verdict in a sentence.
func (f *forecast) says() string {
	nodes := map[verdict]string{
		willInstall: fmt.Sprintf("on %d nodes, %s", f.Nodes, f.atOnce()),
		willAdopt:   fmt.Sprintf("on %d nodes", f.Nodes),
		willStay:    fmt.Sprintf("no rollout on its %d nodes", f.Nodes),
		willRoll:    fmt.Sprintf("over %d nodes in %d waves", f.Nodes, len(f.Waves)),
		wouldBeHeld: "it does not begin",
	}[f.Verdict]
	switch {
	case f.Message == "":
		return nodes
	case nodes == "":
		return f.Message
	default:
		return nodes + "; " + f.Message
	}
}

// The plan as programs read it.
type (
	plannedForPrograms struct {
		GitSync    string             `json:"gitsync,omitempty"`
		Changes    bool               `json:"changes"`
		Blocked    bool               `json:"blocked"`
		Objects    []changeDocument   `json:"objects"`
		DaemonSets []forecastDocument `json:"daemonSets"`
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
	}
	forecastDocument struct {
		forecast
		Fields []fieldDocument `json:"fields,omitempty"`
	}
	fieldDocument struct {
		Path string `json:"path"`
		From string `json:"from,omitempty"`
		To   string `json:"to,omitempty"`
	}
)

func (p *planned) forPrograms() plannedForPrograms {
	out := plannedForPrograms{GitSync: p.gitsync, Changes: p.changes(), Blocked: p.blocked(), Objects: []changeDocument{}, DaemonSets: []forecastDocument{}}
	for _, c := range p.objects.Changes {
		out.Objects = append(out.Objects, changeDocument{
			Group: c.Group, Kind: c.Kind, Namespace: c.Namespace, Name: c.Name, Source: c.Source,
			Operation: c.Operation, Reason: c.Reason, Message: c.Message, Fields: fieldDocuments(c.Fields),
		})
	}
	for _, f := range p.rollouts {
		out.DaemonSets = append(out.DaemonSets, forecastDocument{forecast: f, Fields: fieldDocuments(f.Fields)})
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
