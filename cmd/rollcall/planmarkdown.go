package main

import (
	"fmt"
	"html"
	"regexp"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/diff"
)

// commentLength is how many bytes a comment may have: GitHub takes 65,536
// characters, and the cut mark needs some.
const commentLength = 65_000

// comment is a text that stays below commentLength: what does not fit is counted.
type comment struct {
	strings.Builder
	// left counts what was left out, and cut what was shortened.
	left, cut int
}

// add writes a part whole, if there is room.
func (c *comment) add(text string) bool {
	if c.Len()+len(text) > commentLength {
		c.left++
		return false
	}
	c.WriteString(text)
	return true
}

// markdown writes the plan for a comment on a pull request.
func (p *planned) markdown() string {
	c := &comment{}
	c.WriteString("### rollcall plan" + p.titled() + "\n\n")
	said := strings.TrimSuffix(p.conclusion(), ".")
	if len(p.objects.Changes) > 0 {
		said += ". Objects: " + strings.TrimSuffix(strings.TrimSpace(p.objects.Summary()), ".")
	}
	c.WriteString("**" + said + ".**\n\n")
	if p.offline {
		c.WriteString("No cluster was asked: what the API server adds, and nodes, are not known.\n\n")
	}
	p.table(c)
	p.attention(c)
	for i := range p.rollouts {
		p.rollouts[i].details(c, p.offline)
	}
	p.objectDetails(c)
	c.warnings(p.findings)
	for _, note := range p.notes() {
		c.add(note + "\n\n")
	}
	if c.left+c.cut > 0 {
		fmt.Fprintf(c, "✂ **Cut here:** a comment holds 65,536 characters. %d parts are left out and %d are shortened; `rollcall plan` shows all.\n", c.left, c.cut)
	}
	return c.String()
}

func (p *planned) titled() string {
	switch {
	case p.offline:
		return fmt.Sprintf(": %s against commit `%s`", strings.ToLower(p.named()[:1])+p.named()[1:], code(p.from))
	case p.gitsync != "":
		return fmt.Sprintf(" for GitSync `%s`", code(p.gitsync))
	default:
		return ""
	}
}

// tableRows is how many DaemonSets the table has.
const tableRows = 60

// table has a row for each DaemonSet that does not stay as it is.
func (p *planned) table(c *comment) {
	var rows []string
	for i := range p.rollouts {
		f := &p.rollouts[i]
		if f.Verdict == willStay && !f.changes() {
			continue
		}
		rows = append(rows, f.row(p.offline))
	}
	if len(rows) == 0 {
		return
	}
	c.WriteString("| DaemonSet | what happens | nodes | waves | at least |\n|---|---|--:|---|--:|\n")
	for _, row := range rows[:min(len(rows), tableRows)] {
		c.add(row)
	}
	c.left += max(0, len(rows)-tableRows)
	c.WriteString("\n")
}

// row is its line of the table.
func (f *forecast) row(offline bool) string {
	what := string(f.Verdict)
	if f.Verdict == cannotBeMade || f.Verdict == wouldBeHeld {
		reason, _, _ := strings.Cut(f.Message, ": ")
		what += ": " + reason
	} else if why := f.because(); why != "" {
		what += ": " + why
	}
	var waves []string
	for _, w := range f.Waves {
		waves = append(waves, fmt.Sprintf("%s %d", w.Name, w.Nodes))
	}
	nodes, least := fmt.Sprint(f.Nodes), ""
	if f.AtLeast.Duration > 0 {
		least = brief(f.AtLeast.Duration)
	}
	if offline {
		nodes = ""
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s | %s |\n", code(f.Namespace+"/"+f.Name), words(what), nodes, words(strings.Join(waves, " → ")), least)
}

// attention is what cannot be applied, and what is held back, with why: none of it is behind a click.
func (p *planned) attention(c *comment) {
	section := func(title string, lines []string) {
		if len(lines) == 0 || !c.add("**"+title+"**\n\n") {
			return
		}
		for _, line := range lines {
			c.add("- " + line + "\n")
		}
		c.add("\n")
	}
	var blocked, held []string
	for _, o := range p.objects.Changes {
		line := fmt.Sprintf("`%s` (%s): %s: %s", code(o.ID.String()), words(o.Source), o.Reason, words(o.Message))
		switch {
		case slices.Contains([]diff.Operation{diff.Conflict, diff.Refused, diff.Foreign}, o.Operation):
			blocked = append(blocked, line)
		case o.Operation == diff.Keep:
			held = append(held, strings.Replace(line, " ()", "", 1))
		}
	}
	for i := range p.rollouts {
		f := &p.rollouts[i]
		line := fmt.Sprintf("`DaemonSet %s/%s` (%s): %s", code(f.Namespace), code(f.Name), words(f.Source), words(f.Message))
		switch f.Verdict {
		case cannotBeMade:
			blocked = append(blocked, line)
		case wouldBeHeld, isRejected, isUnderWay:
			held = append(held, line)
		case willInstall, willAdopt, willStay, willRoll:
		}
	}
	section("Cannot be applied", blocked)
	section("Held back", held)
}

// details of one DaemonSet are behind a click.
func (f *forecast) details(c *comment, offline bool) {
	lines := unified(f.change)
	if lines == "" && len(f.Waves) == 0 {
		return
	}
	head, _ := f.head(offline)
	var b strings.Builder
	if f.Proven != "" && f.Proven != f.Digest {
		fmt.Fprintf(&b, "`%s` → `%s`", code(f.Proven[:min(len(f.Proven), 15)]), code(f.Digest[:min(len(f.Digest), 15)]))
		if why := f.because(); why != "" {
			b.WriteString(", because of " + words(why))
		}
		b.WriteString("\n\n")
	}
	for _, notice := range f.notices() {
		b.WriteString("- " + words(notice) + "\n")
	}
	if len(f.Waves) > 0 {
		fmt.Fprintf(&b, "- %s, %s, %s at least, %s of it soaking\n\n| wave | nodes | up to | soak | which, as things are |\n|---|--:|--:|--:|---|\n",
			words(f.policy()), f.atMost(), brief(f.AtLeast.Duration), brief(f.soaking()))
		for i := range f.Waves {
			w := &f.Waves[i]
			fmt.Fprintf(&b, "| %s | %d | %d | %s | %s |\n", words(w.Name), w.Nodes, w.UpTo, brief(w.Soak.Duration), words(w.which(200)))
		}
	}
	c.fold(head, b.String(), lines)
}

// objectDetails of the objects that are written or pruned are behind one click.
func (p *planned) objectDetails(c *comment) {
	var b strings.Builder
	written := p.objects.Of(diff.Create, diff.Update, diff.Release, diff.Delete)
	for _, o := range written {
		b.WriteString("# " + o.Head() + "\n" + unified(o))
	}
	if len(written) > 0 {
		c.fold(fmt.Sprintf("Objects: %s", strings.TrimSpace(p.objects.Summary())), "", b.String())
	}
}

// fold writes a part that is behind a click, with as much of its diff as there is room for.
func (c *comment) fold(title, text, lines string) {
	fence := "```"
	for strings.Contains(lines, fence) || strings.Contains(text, fence) {
		fence += "`"
	}
	head := fmt.Sprintf("<details><summary>%s</summary>\n\n%s\n", html.EscapeString(strings.ReplaceAll(title, "@", "@\u200b")), text)
	const tail = "\n</details>\n\n"
	room := commentLength - c.Len() - len(head) - len(tail) - 2*len(fence) - 64
	if room < 0 || room < 200 && lines != "" {
		c.left++
		return
	}
	if len(lines) > room {
		c.cut++
		whole := strings.LastIndexByte(lines[:room], '\n') + 1
		lines = lines[:whole] + fmt.Sprintf("# … %d more lines\n", strings.Count(lines[whole:], "\n"))
	}
	if lines != "" {
		lines = fence + "diff\n" + lines + fence + "\n"
	}
	c.WriteString(head + lines + tail)
}

// words makes text of others fit for Markdown: it is read as it stands, on one
// line, and calls nobody.
func words(text string) string {
	escaped := regexp.MustCompile("[\\\\`*_{}\\[\\]<>#|~]").ReplaceAllStringFunc(clean(text), func(s string) string {
		if s == "<" || s == ">" {
			return html.EscapeString(s)
		}
		return "\\" + s
	})
	return strings.ReplaceAll(escaped, "@", "@\u200b")
}

// code makes text fit to stand between backticks.
func code(text string) string {
	return strings.NewReplacer("`", "'", "|", "¦").Replace(clean(text))
}
