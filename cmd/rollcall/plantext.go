package main

import (
	"fmt"
	"strings"

	"github.com/rollcall-dev/rollcall/diff"
)

// render writes the plan for people.
func (p *planned) render(st style) string {
	page := &page{style: st}
	switch {
	case p.offline:
		fmt.Fprintf(page, "%s against commit %s, without a cluster: what the API server adds, and nodes, are not known\n\n", st.paint(bold, p.named()), st.paint(bold, clean(p.from)))
	case p.gitsync != "":
		page.WriteString("GitSync " + st.paint(bold, p.gitsync) + "\n\n")
	}
	for _, c := range p.objects.Changes {
		page.change(c)
	}
	if len(p.objects.Changes) > 0 {
		page.WriteString(p.objects.Summary() + "\n")
	}
	for i := range p.rollouts {
		page.forecast(&p.rollouts[i], p.offline)
		page.WriteByte('\n')
	}
	page.warnings(p.findings)
	for _, note := range p.notes() {
		page.WriteString(note + "\n")
	}
	page.WriteString(p.conclusion() + "\n")
	return page.String()
}

// named is what is planned.
func (p *planned) named() string {
	if p.to == "" {
		return "Working tree"
	}
	return "Commit " + p.to
}

// notes are what there is to know of objects of a sort.
func (p *planned) notes() []string {
	var out []string
	if len(p.objects.Of(diff.Release)) > 0 {
		out = append(out, "What is released goes over as it is to the GitSync that declares it: nothing restarts.")
	}
	if len(p.objects.Of(diff.Delete)) > 0 {
		out = append(out, "What is deleted goes after proof, once no pod reads it.")
	}
	if p.removed() > 0 {
		out = append(out, "A DaemonSet leaves its nodes before it is deleted, in the waves of its policy, and the rest goes after it. One that was never proven, or that Kubernetes rolls out, goes at once.")
	}
	return out
}

// inkOf is how what becomes of an object is painted.
func inkOf(o diff.Operation) ink {
	switch o {
	case diff.Create:
		return green
	case diff.Delete, diff.Conflict, diff.Refused, diff.Foreign:
		return red
	case diff.Update, diff.Release:
		return yellow
	case diff.Keep, diff.Unchanged:
		return dim
	default:
		return plain
	}
}

// change writes what becomes of an object, if it does not stay as it is.
func (p *page) change(c diff.Change) {
	if c.Operation == diff.Unchanged {
		return
	}
	p.WriteString(p.paint(inkOf(c.Operation), c.Head()) + "\n")
	if c.Operation == diff.Create || c.Operation == diff.Update || c.Operation == diff.Keep && c.Declared {
		p.hunks(c)
	}
}

// Lines of a new object, and of one hunk, that are shown.
const (
	shownNew  = 12
	shownHunk = 80
)

// hunks writes how an object changes. Of one that is new the beginning is enough:
// it is in the commit.
func (p *page) hunks(c diff.Change) {
	if pinnedCopy(c) || len(c.Fields) == 0 {
		return
	}
	most := shownHunk
	if c.Operation == diff.Create {
		most = shownNew
	}
	for _, h := range c.Unified(2) {
		if h.Path != "" {
			p.WriteString(indent + indent + p.paint(cyan, "@@ "+clean(h.Path)+" @@") + "\n")
		}
		for i, line := range h.Lines {
			if i == most && len(h.Lines) > most+1 {
				p.WriteString(indent + indent + p.paint(dim, fmt.Sprintf("… %d more lines", len(h.Lines)-most)) + "\n")
				break
			}
			p.WriteString(indent + indent + p.paint(map[byte]ink{'+': green, '-': red}[line[0]], strings.TrimRight(line, " ")) + "\n")
		}
	}
}

// head is the line that says what becomes of the DaemonSet.
func (f *forecast) head(offline bool) (string, ink) {
	c := diff.Change{
		ID: diff.ID{Namespace: f.Namespace, Name: f.Name, Group: "apps", Kind: "DaemonSet"}, Source: f.Source,
		Operation: f.operation(), Reason: string(f.Verdict), Message: f.says(offline),
	}
	if f.Verdict == cannotBeMade || f.Verdict == isUnderWay {
		c.Reason, c.Message, _ = strings.Cut(f.Message, ": ") // its own reason says more
	}
	if c.Message == "" {
		c.Message = map[verdict]string{willInstall: "it is new", willRoll: "another version", willStay: "the same version"}[f.Verdict]
	}
	text := c.Head()
	if f.Verdict == isUnderWay {
		_, about, _ := strings.Cut(text, c.ID.String())
		return "▶ under way " + c.ID.String() + about, cyan
	}
	i := inkOf(c.Operation)
	if i == dim {
		i = plain
	}
	return text, i
}

// forecast writes what becomes of one DaemonSet.
func (p *page) forecast(f *forecast, offline bool) {
	text, i := f.head(offline)
	p.WriteString(p.paint(i, text) + "\n")
	if f.Proven != "" && f.Proven != f.Digest {
		p.paragraph(dim, indent+indent, named(f.Proven, "")+" → "+named(f.Digest, ""))
	}
	if why := f.because(); why != "" {
		p.paragraph(plain, indent+indent, "rolls because of "+why)
	}
	p.hunks(f.change)
	for _, notice := range f.notices() {
		p.paragraph(plain, indent+indent, notice)
	}
	if len(f.Waves) == 0 {
		return
	}
	p.paragraph(plain, indent+indent, fmt.Sprintf("%s, %s, %s at least, %s of it soaking", f.policy(), f.atMost(), brief(f.AtLeast.Duration), brief(f.soaking())))
	p.waves(f.Waves)
}

// waves writes a table of them, with the nodes as far as there is room.
func (p *page) waves(waves []waveForecast) {
	name := cells("WAVE")
	for _, w := range waves {
		name = max(name, cells(w.Name))
	}
	p.WriteString(indent + indent + p.paint(dim, pad("WAVE", name)+"   NODES    UP TO   SOAK    WHICH, AS THINGS ARE") + "\n")
	for i := range waves {
		w := &waves[i]
		line := fmt.Sprintf("%s%s%s  %6d   %6d   %-6s  ", indent, indent, pad(w.Name, name), w.Nodes, w.UpTo, brief(w.Soak.Duration))
		p.WriteString(strings.TrimRight(line+w.which(p.width-cells(line)), " ") + "\n")
	}
}

// which says the nodes of the wave and what else there is to know, in so many
// columns if the nodes are what there is too much of.
func (w *waveForecast) which(room int) string {
	notes := clean(w.notes())
	for most := listedNodes; most > 0; most-- {
		said := some(w.Names, most)
		if notes != "" && said != "" {
			said += "; "
		}
		if said += notes; cells(said) <= room {
			return said
		}
	}
	return notes
}
