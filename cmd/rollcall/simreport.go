package main

import (
	"fmt"
	"slices"
	"strings"
)

// mostPoints is how many points of the series programs are given.
const mostPoints = 1000

// forPrograms is the simulation with no more points than anybody draws.
func (s *simulation) forPrograms() *simulation {
	out := *s
	if len(out.Series) > mostPoints {
		out.Series = s.thin(mostPoints)
	}
	return &out
}

// render is the simulation for people.
func (s *simulation) render(st style) string {
	p := &page{style: st}
	p.headline(s.mark(), "Simulation", s.Policy, string(s.Verdict)+" · "+human(s.Duration.Duration))
	p.paragraph(plain, indent, s.Message)
	p.paragraph(yellow, indent, s.Hint)
	p.WriteByte('\n')
	for _, f := range s.facts() {
		p.hanging(pad(f.name, 13), f.value)
	}
	p.waveTable(s)
	p.plot(s)
	return p.String()
}

func (s *simulation) mark() mark {
	switch s.Verdict {
	case simProven:
		return mark{"✓", green}
	case simRejected:
		return mark{"✗", red}
	case simHeld, simUnfinished:
		return mark{"!", yellow}
	default:
		return mark{"?", plain}
	}
}

// figure is one line of the summary.
type figure struct{ name, value string }

func (s *simulation) facts() []figure {
	fleet := counted(s.Nodes, "node")
	if s.LeftOut > 0 {
		fleet += fmt.Sprintf(", and %d that taints keep the agent from", s.LeftOut)
	}
	faults := "none"
	if len(s.Faults) > 0 {
		faults = strings.Join(s.Faults, ", ")
	}
	out := []figure{
		{"fleet", fleet},
		{"faults", fmt.Sprintf("%s (seed %d)", faults, s.Seed)},
		{"duration", s.took()},
		{"touched", counted(s.Touched, "node") + " got the new version"},
		{"hurt", counted(s.Hurt, "node") + " by its faults"},
		{"unavailable", fmt.Sprintf("%d at once, the budget is %d", s.MostUnavailable, s.MaxUnavailable)},
	}
	if s.MostUnavailable > s.MaxUnavailable {
		out[len(out)-1].value += ": agents that fail after they were healthy come on top of what rollcall takes"
	}
	writes := fmt.Sprintf("%d, by %d decisions", s.Writes, s.Decisions)
	if s.Verdict == simProven {
		writes += ", and a label of every pod after the proof"
	}
	return append(out, figure{"API writes", writes})
}

// counted is a count of things.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// took says how long it took, and how long a proof takes at least.
func (s *simulation) took() string {
	least := fmt.Sprintf("a proof takes %s at least: soaks, and %s of at most %s", human(s.AtLeast.Duration), counted(s.Pulses, "step"), counted(s.MaxUnavailable, "node"))
	switch s.Verdict {
	case simProven:
		return fmt.Sprintf("%s; %s", human(s.Duration.Duration), least)
	case simRejected:
		return fmt.Sprintf("%s until it was rejected, %s until all was done; %s", human(s.Duration.Duration), human(s.Simulated.Duration), least)
	case simHeld:
		return fmt.Sprintf("%s until nothing moved; %s", human(s.Duration.Duration), least)
	case simUnfinished:
	}
	return fmt.Sprintf("not known; %s", least)
}

// hanging is a text whose lines begin beside its name.
func (p *page) hanging(name, text string) {
	before := indent + p.paint(dim, name)
	for _, line := range wrap(clean(text), p.width-len(indent)-cells(name)) {
		p.WriteString(before + line + "\n")
		before = indent + strings.Repeat(" ", cells(name))
	}
}

// waveTable has one line a wave. One that did not start was skipped if a later one did,
// or the version is proven all the same.
func (p *page) waveTable(s *simulation) {
	rows := [][]string{{"WAVE", "NODES", "SOAK", "STARTED", "TOOK"}}
	for i, w := range s.Waves {
		started, took := "never", "-"
		switch {
		case w.Started != nil:
			started, took = human(w.Started.Duration), human(w.Duration.Duration)
		case s.Verdict == simProven || slices.ContainsFunc(s.Waves[i:], func(later waveRun) bool { return later.Started != nil }):
			started = "skipped"
		}
		rows = append(rows, []string{truncate(clean(w.Name), p.width/3), fmt.Sprint(w.Nodes), human(w.Soak.Duration), started, took})
	}
	wide := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, text := range r {
			wide[i] = max(wide[i], cells(text))
		}
	}
	p.WriteByte('\n')
	for n, r := range rows {
		line := ""
		for i, text := range r {
			line += pad(text, wide[i]+2)
		}
		i := plain
		if n == 0 {
			i = dim
		}
		p.WriteString(indent + p.paint(i, strings.TrimRight(line, " ")) + "\n")
	}
}
