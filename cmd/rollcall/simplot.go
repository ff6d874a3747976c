package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// end is how long the plot is, in seconds.
func (s *simulation) end() int { return max(1, int(s.Simulated.Seconds())) }

// thin has the series in so many equal spans of time: of each what counts is the
// end, and the most that were unavailable in it.
func (s *simulation) thin(spans int) []point {
	out := make([]point, 0, spans)
	next, now := 0, point{}
	for i := range spans {
		from, until := i*s.end()/spans, (i+1)*s.end()/spans
		p := point{Seconds: from, Unavailable: now.Unavailable}
		for next < len(s.Series) && (s.Series[next].Seconds < until || i == spans-1) {
			now = s.Series[next]
			p.Unavailable = max(p.Unavailable, now.Unavailable)
			next++
		}
		p.Candidate, p.Hurt = now.Candidate, now.Hurt
		out = append(out, p)
	}
	return out
}

// reach is the scale of what moves: the fleet, or as far as the new version came
// where that would hardly be seen beside it.
func (s *simulation) reach() int {
	most := 1
	for _, p := range s.Series {
		most = max(most, p.Candidate)
	}
	if most >= s.Nodes/4 {
		return s.Nodes
	}
	return most
}

// curve is one line of the plot.
type curve struct {
	title string
	ink   ink
	rows  int
	most  int
	of    func(point) int
}

// curves are those that there is something to draw of.
func (s *simulation) curves() []curve {
	out := []curve{
		{fmt.Sprintf("nodes on the new version, of %d", s.Nodes), green, 6, s.reach(), func(p point) int { return p.Candidate }},
		{fmt.Sprintf("nodes without their agent, the budget is %d", s.MaxUnavailable), yellow, 3, max(s.MaxUnavailable, s.MostUnavailable), func(p point) int { return p.Unavailable }},
	}
	if s.Hurt > 0 {
		out = append(out, curve{"nodes hurt", red, 3, s.Hurt, func(p point) int { return p.Hurt }})
	}
	return out
}

// plot draws the curves above one another, over the same time.
func (p *page) plot(s *simulation) {
	curves := s.curves()
	label := 0
	for _, c := range curves {
		label = max(label, len(fmt.Sprint(c.most)))
	}
	columns := p.width - len(indent) - label - 2
	points := s.thin(columns)
	for _, c := range curves {
		p.WriteString("\n" + indent + strings.Repeat(" ", label+2) + p.paint(dim, truncate(c.title, columns)) + "\n")
		p.curve(c, points, label)
	}
	p.timeAxis(s, label, columns)
	p.waveAxis(s, label, columns)
}

// curve draws one, with its scale on the left.
func (p *page) curve(c curve, points []point, label int) {
	for row := c.rows - 1; row >= 0; row-- {
		scale := ""
		switch row {
		case c.rows - 1:
			scale = fmt.Sprint(c.most)
		case 0:
			scale = "0"
		}
		var line strings.Builder
		for _, x := range points {
			line.WriteString(block(height(c.of(x), c.most, c.rows*eighths) - row*eighths))
		}
		axis := "┤"
		if scale == "" {
			axis = "│"
		}
		p.WriteString(indent + p.paint(dim, fmt.Sprintf("%*s %s", label, scale, axis)) + p.paint(c.ink, strings.TrimRight(line.String(), " ")) + "\n")
	}
}

// eighths are the heights of a block.
const eighths = 8

// height is the value in proportion, and 1 at least for what is there at all.
func height(value, most, full int) int {
	if value <= 0 || most <= 0 {
		return 0
	}
	return min(full, max(1, value*full/most))
}

// block is a cell that is filled from below.
func block(height int) string {
	return string([]rune(" ▁▂▃▄▅▆▇█")[min(max(height, 0), eighths)])
}

// timeAxis has a mark wherever a round time is.
func (p *page) timeAxis(s *simulation, label, columns int) {
	line := slices.Repeat([]rune("─"), columns)
	text := []rune(strings.Repeat(" ", columns))
	step := roundStep(s.end(), max(1, columns/12))
	for t := 0; t <= s.end(); t += step {
		at := t * columns / s.end()
		name := []rune(human(time.Duration(t) * time.Second))
		if at+len(name) > columns {
			break
		}
		line[at] = '┬'
		copy(text[at:], name)
	}
	p.WriteString(indent + strings.Repeat(" ", label+1) + p.paint(dim, "└"+string(line)) + "\n")
	p.WriteString(indent + strings.Repeat(" ", label+2) + p.paint(dim, strings.TrimRight(string(text), " ")) + "\n")
}

// waveAxis names each wave where it starts, as far as there is room.
func (p *page) waveAxis(s *simulation, label, columns int) {
	text := []rune(strings.Repeat(" ", columns))
	for i, w := range s.Waves {
		if w.Started == nil {
			continue
		}
		from, until := int(w.Started.Seconds())*columns/s.end(), columns
		for _, next := range s.Waves[i+1:] {
			if next.Started != nil {
				until = int(next.Started.Seconds()) * columns / s.end()
				break
			}
		}
		if until-from > 2 {
			copy(text[from:until-1], []rune("▏"+truncate(clean(w.Name), until-from-2)))
		}
	}
	p.WriteString(indent + strings.Repeat(" ", label+2) + p.paint(cyan, strings.TrimRight(string(text), " ")) + "\n")
}

// roundStep is a step in seconds that people count time in, so that there are no
// more than so many.
func roundStep(total, most int) int {
	const minute, hour, day = 60, 3600, 86400
	for _, step := range []int{1, 2, 5, 10, 20, 30, minute, 2 * minute, 5 * minute, 10 * minute, 20 * minute, 30 * minute, hour, 2 * hour, 3 * hour, 6 * hour, 12 * hour, day, 2 * day, 5 * day, 10 * day} {
		if total/step < most {
			return step
		}
	}
	return total
}
