package main

import (
	"fmt"
	"strings"
	"time"
)

// frame is everything that is drawn while the demo runs. Rendering it reads
// nothing else.
type frame struct {
	elapsed time.Duration
	rows    []row
	zones   []zone
	cells   map[string]cell
	waves   []wave
	// label of the version on its way; empty when there is none.
	label string
	// phase and message are rollcall's own words.
	phase, message string
}

// row is one act.
type row struct {
	act act
	// commit is empty until it is pushed.
	commit string
	// result is nil until the act has ended.
	result *result
}

// result is what came of an act, counted from the watch of pods.
type result struct {
	verdict             verdict
	touched, hurt, down int
	took                time.Duration
}

// zone is one row of the grid.
type zone struct {
	name  string
	nodes []string
}

// wave is a section of the bar: so many nodes more than the wave before.
type wave struct {
	name  string
	nodes int
}

const (
	margin = " "
	motto  = "every node answers before the next one changes"
)

// narrowest is the width that a frame needs.
const narrowest = 72

// lines renders the frame. No line is wider than the style's width, and no
// more lines are there than a terminal of 24 shows above its cursor.
func (f frame) lines(st style) []string {
	out := []string{f.head(st), ""}
	for i, r := range f.rows {
		out = append(out, r.line(st, i > 0 && f.rows[i-1].result == nil))
	}
	out = append(out, "")
	out = append(out, f.grid(st)...)
	out = append(out, "")
	out = append(out, f.bar(st)...)
	out = append(out, "")
	out = append(out, f.status(st)...)
	out = append(out, "", legend(st))
	for i, line := range out {
		out[i] = strings.TrimRight(line, " ")
	}
	return out
}

func (f frame) head(st style) string {
	clock := clock(f.elapsed)
	name := "rollcall"
	said := fit("  "+motto, st.width-2*len(margin)-len(name)-len(clock))
	return margin + st.paint(bold, name) + said + st.paint(dim, clock)
}

// line is one act: what it is, and once it has ended what came of it. An act
// that is not next is dim.
func (r row) line(st style, later bool) string {
	const commitWidth = 8
	mark, i := "·", dim
	switch {
	case r.result != nil && r.result.verdict == rejected:
		mark, i = "✗", red
	case r.result != nil:
		mark, i = "✓", green
	case !later:
		mark, i = "▶", cyan
	}
	right := ""
	if x := r.result; x != nil {
		right = fmt.Sprintf("%3d touched %2d hurt %4s", x.touched, x.hurt, seconds(x.took))
	}
	room := st.width - 2*len(margin) - 2 - commitWidth - 2 - 4 - columns(right)
	what := fit(r.act.what, room-1)
	if right == "" {
		what = r.act.what
	}
	text := plain
	if later {
		text = dim
	}
	return margin + st.paint(i, mark) + " " + st.paint(dim, fit(short(r.commit), commitWidth)) + "  " +
		st.paint(bold, fit(r.act.label, 2)) + "  " + st.paint(text, what) + " " + right
}

// grid draws every node of a zone with its name above and its version beside,
// and with its number alone where names have no room.
func (f frame) grid(st style) []string {
	label, most, name := len("node"), 1, 0
	for _, z := range f.zones {
		label, most = max(label, columns(z.name)), max(most, len(z.nodes))
		for _, node := range z.nodes {
			name = max(name, columns(node))
		}
	}
	label += 2
	width := min((st.width-len(margin)-label)/most, 11)
	short := name+len("! ") > width
	var out []string
	for _, z := range f.zones {
		numbers, agents := st.paint(dim, pad("node", label)), st.paint(dim, pad(z.name, label))
		for _, node := range z.nodes {
			c, there := f.cells[node]
			if !there {
				c = cell{state: absent}
			}
			if short {
				node = strings.TrimPrefix(node, "node-")
			}
			numbers += st.name(node, c, width)
			agents += st.agent(c, width)
		}
		out = append(out, margin+numbers, margin+agents)
	}
	return out
}

// name is the node's name; a node that was hurt keeps a mark.
func (s style) name(node string, c cell, width int) string {
	i := dim
	if c.hurt {
		node, i = node+"!", red
	}
	return s.paint(i, node) + strings.Repeat(" ", max(0, width-columns(node)))
}

func (s style) agent(c cell, width int) string {
	l := c.state.look()
	text := l.symbol
	if with := l.symbol + " " + c.label; c.label != "" && columns(with) < width {
		text = with
	}
	return s.paint(l.ink, text) + strings.Repeat(" ", max(0, width-columns(text)))
}

// bar draws one symbol a node, in sections of the waves. Nodes fill it from the
// left, the new version first.
func (f frame) bar(st style) []string {
	count := map[state]int{}
	total := 0
	for _, z := range f.zones {
		for _, node := range z.nodes {
			s := absent
			if c, there := f.cells[node]; there {
				s = c.state
			}
			count[s]++
			total++
		}
	}
	var symbols []string
	for _, s := range states() {
		for range count[s] {
			symbols = append(symbols, st.paint(s.look().ink, s.look().symbol))
		}
	}
	names, bar := margin, margin
	for i, w := range f.waves {
		if i > 0 {
			names, bar = names+"   ", bar+st.paint(dim, " │ ")
		}
		n := min(w.nodes, len(symbols))
		names += pad(w.name, w.nodes)
		bar += strings.Join(symbols[:n], "") + strings.Repeat(" ", max(0, columns(w.name)-n))
		symbols = symbols[n:]
	}
	return []string{st.paint(dim, strings.TrimRight(names, " ")), bar + "   " + f.progress(count[candidateReady], total)}
}

func (f frame) progress(ready, total int) string {
	if f.label == "" {
		return "nothing to move"
	}
	hurt := 0
	for _, c := range f.cells {
		if c.hurt {
			hurt++
		}
	}
	if hurt > 0 {
		return fmt.Sprintf("%s hurt %d of %d nodes", f.label, hurt, total)
	}
	return fmt.Sprintf("%s Ready on %d of %d nodes", f.label, ready, total)
}

// status is rollcall's own explanation, on three lines.
func (f frame) status(st style) []string {
	i := plain
	switch f.phase {
	case "Rejected", "Held":
		i = red
	case "Returning", "Waiting":
		i = yellow
	case "Proven":
		i = green
	case "Replacing", "Soaking":
		i = cyan
	}
	const lines = 3
	text := wrap(f.phase+": "+f.message, st.width-2*len(margin))
	if f.phase == "" {
		text = []string{"waiting for rollcall to see the commit"}
	}
	if len(text) > lines {
		text[lines-1] = fit(text[lines-1]+" "+text[lines], st.width-2*len(margin))
	}
	out := make([]string, lines)
	for n := range min(lines, len(text)) {
		line := text[n]
		if head, tail, found := strings.Cut(line, ":"); n == 0 && found && head == f.phase {
			line = st.paint(i, head) + ":" + tail
		}
		out[n] = margin + line
	}
	return out
}

func legend(st style) string {
	out, used := margin, len(margin)
	for n, s := range states() {
		l := s.look()
		need := 2 + columns(l.legend)
		if n > 0 {
			need += 3
		}
		if used+need > st.width {
			break
		}
		if n > 0 {
			out += "   "
		}
		out += st.paint(l.ink, l.symbol) + " " + st.paint(dim, l.legend)
		used += need
	}
	return out
}

func short(commit string) string {
	return commit[:min(len(commit), 8)]
}

func clock(d time.Duration) string {
	s := int(d.Seconds())
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

func seconds(d time.Duration) string {
	return fmt.Sprintf("%.0fs", d.Seconds())
}
