package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// zone is one row of the grid.
type zone struct {
	name   string
	cells  []cell
	counts [cellKinds]int
}

// zonesOf groups the judged nodes by zone, in the order of their names.
func zonesOf(v *rolloutView) []*zone {
	j := newJudge(&v.rollout)
	byName := map[string]*zone{}
	for i := range v.fleet {
		c, drawn := j.cell(&v.fleet[i])
		if !drawn {
			continue
		}
		name := clean(v.zones[v.fleet[i].Name])
		if byName[name] == nil {
			byName[name] = &zone{name: name}
		}
		byName[name].cells = append(byName[name].cells, c)
		byName[name].counts[c]++
	}
	out := slices.SortedFunc(maps.Values(byName), func(a, b *zone) int { return cmp.Compare(a.name, b.name) })
	if len(out) > 1 && out[0].name == "" {
		out[0].name = "no zone"
	}
	return out
}

// The sizes beyond which the grid says less about more.
const (
	maxCells = 240 // nodes drawn one by one
	maxZones = 30  // rows
	maxLabel = 20  // columns of a zone's name
)

// grid draws every node, or beyond maxCells of them one bar a zone.
func (p *page) grid(v *rolloutView) {
	if v.blind != "" {
		p.paragraph(dim, indent, "no node grid: "+v.blind)
		return
	}
	zones, total := zonesOf(v), [cellKinds]int{}
	label, drawn := 0, 0
	for _, z := range zones {
		label = max(label, min(cells(z.name), maxLabel))
		drawn += len(z.cells)
		for c, n := range z.counts {
			total[c] += n
		}
	}
	if drawn == 0 {
		return
	}
	if label > 0 {
		label += 2
	}
	p.WriteByte('\n')
	shown := zones[:min(len(zones), maxZones)]
	if drawn > maxCells {
		p.zoneBars(shown, label)
	} else {
		p.zoneCells(shown, label)
	}
	if len(zones) > len(shown) {
		p.paragraph(dim, indent, fmt.Sprintf("and %d more zones", len(zones)-len(shown)))
	}
	p.legend(total)
}

// zoneCells draws every node of each zone, in groups of ten.
func (p *page) zoneCells(zones []*zone, label int) {
	const group = 10
	line := max(1, (p.width-len(indent)-label+1)/(group+1)) * group
	for _, z := range zones {
		name := z.label(label)
		for chunk := range slices.Chunk(z.cells, line) {
			p.WriteString(indent + p.paint(dim, name))
			for i, ten := range slices.Collect(slices.Chunk(chunk, group)) {
				if i > 0 {
					p.WriteByte(' ')
				}
				p.cells(ten)
			}
			p.WriteByte('\n')
			name = strings.Repeat(" ", label)
		}
	}
}

// cells paints a run of equal cells at once.
func (p *page) cells(all []cell) {
	for len(all) > 0 {
		run := 1
		for run < len(all) && all[run] == all[0] {
			run++
		}
		l := all[0].look()
		p.WriteString(p.paint(l.ink, strings.Repeat(l.symbol, run)))
		all = all[run:]
	}
}

// zoneBars draws each zone in proportion, with its counts; all bars are as long
// as the longest counts leave room for.
func (p *page) zoneBars(zones []*zone, label int) {
	const size, gap = 5, 2
	longest := 0
	for _, z := range zones {
		longest = max(longest, cells(z.counted(style{})))
	}
	columns := min(max(p.width-len(indent)-label-size-gap-gap-longest, 10), 50)
	for _, z := range zones {
		var bar []cell
		for c, n := range proportions(z.counts[:], columns) {
			bar = append(bar, slices.Repeat([]cell{cell(c)}, n)...)
		}
		p.WriteString(indent + p.paint(dim, z.label(label)) + fmt.Sprintf("%*d", size, len(z.cells)) + strings.Repeat(" ", gap))
		p.cells(bar)
		p.WriteString(strings.Repeat(" ", gap) + z.counted(p.style) + "\n")
	}
}

// counted has the symbols of the zone with their counts.
func (z *zone) counted(st style) string {
	var out []string
	for c, n := range z.counts {
		if n > 0 {
			l := cell(c).look()
			out = append(out, st.paint(l.ink, fmt.Sprintf("%s %d", l.symbol, n)))
		}
	}
	return strings.Join(out, "  ")
}

func (z *zone) label(columns int) string {
	return pad(truncate(z.name, max(columns-2, 0)), columns)
}

// legend explains the symbols that were drawn, with their counts.
func (p *page) legend(total [cellKinds]int) {
	column := 0
	for c, n := range total {
		if n == 0 {
			continue
		}
		l := cell(c).look()
		text := fmt.Sprintf(" %d %s", n, l.legend)
		switch need := 1 + cells(text); {
		case column == 0:
			p.WriteString(indent)
			column = len(indent) + need
		case column+2+need > p.width:
			p.WriteString("\n" + indent)
			column = len(indent) + need
		default:
			p.WriteString("  ")
			column += 2 + need
		}
		p.WriteString(p.paint(l.ink, l.symbol) + text)
	}
	p.WriteByte('\n')
}

// proportions divides the columns in proportion to the counts: what is there at
// all gets one column at least, and the widest give way for that. There are to
// be at least as many columns as counts.
func proportions(counts []int, columns int) []int {
	out, sum, largest := make([]int, len(counts)), 0, 0
	for i, n := range counts {
		sum += n
		if n > counts[largest] {
			largest = i
		}
	}
	if sum == 0 {
		return out
	}
	rest := columns
	for i, n := range counts {
		if n > 0 {
			out[i] = max(1, n*columns/sum)
			rest -= out[i]
		}
	}
	for ; rest < 0; rest++ {
		out[slices.Index(out, slices.Max(out))]--
	}
	out[largest] += rest
	return out
}
