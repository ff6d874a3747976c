package main

import (
	"encoding/xml"
	"fmt"
	"strings"
	"time"
)

// The sizes of the picture, in its own units.
const (
	svgWidth, svgLeft, svgRight = 960, 84, 24
	svgTop, svgGap, svgBottom   = 96, 52, 52
	svgPoints                   = svgWidth - svgLeft - svgRight
)

// panel is a part of the picture with a scale of its own.
type panel struct {
	title       string
	top, height int
	most        int
	lines       []svgLine
}

// svgLine is one line of a panel.
type svgLine struct {
	name, colour string
	of           func(point) int
}

// drawing is a picture being made.
type drawing struct {
	strings.Builder
	s      *simulation
	points []point
}

// svg is the plot as a picture that needs nothing beside itself.
func (s *simulation) svg() string {
	d := &drawing{s: s, points: s.Series}
	if len(d.points) > svgPoints {
		d.points = s.thin(svgPoints)
	}
	panels := s.panels()
	last := panels[len(panels)-1]
	bottom := last.top + last.height
	d.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="13" role="img" aria-labelledby="title desc">`, svgWidth, bottom+svgBottom)
	d.add(`<title id="title">%s</title>`, escape(s.headline()))
	d.add(`<desc id="desc">%s</desc>`, escape(s.Message))
	d.add(`<rect width="100%%" height="100%%" fill="#ffffff"/>`)
	d.add(`<text x="%d" y="28" font-size="17" font-weight="600" fill="#1b1f24">%s</text>`, svgLeft, escape(s.headline()))
	d.add(`<text x="%d" y="48" fill="#57606a">%s</text>`, svgLeft, escape(s.subtitle()))
	d.bands(bottom)
	for _, p := range panels {
		d.panel(p)
	}
	d.timeAxis(bottom)
	d.add(`</svg>`)
	return d.String()
}

func (s *simulation) panels() []panel {
	hurt := svgLine{"hurt", "#cf222e", func(p point) int { return p.Hurt }}
	down := svgLine{"without their agent", "#bf8700", func(p point) int { return p.Unavailable }}
	moved := svgLine{"on the new version", "#1a7f37", func(p point) int { return p.Candidate }}
	return []panel{
		{"nodes", svgTop, 220, s.reach(), []svgLine{moved}},
		{"nodes", svgTop + 220 + svgGap, 120, max(s.MaxUnavailable, s.MostUnavailable, s.Hurt), []svgLine{down, hurt}},
	}
}

func (s *simulation) headline() string {
	return fmt.Sprintf("%s: %s after %s", s.Policy, s.Verdict, human(s.Duration.Duration))
}

func (s *simulation) subtitle() string {
	faults := "no faults"
	if len(s.Faults) > 0 {
		faults = "faults " + strings.Join(s.Faults, ", ")
	}
	return fmt.Sprintf("%d nodes, %s, seed %d: %d touched, %d hurt, at most %d without their agent of %d allowed", s.Nodes, faults, s.Seed, s.Touched, s.Hurt, s.MostUnavailable, s.MaxUnavailable)
}

func (d *drawing) add(format string, args ...any) {
	fmt.Fprintf(d, format+"\n", args...)
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(clean(text))) // a Builder takes everything
	return b.String()
}

// x is where a time is.
func (d *drawing) x(seconds int) float64 {
	return svgLeft + float64(min(seconds, d.s.end()))*svgPoints/float64(d.s.end())
}

// bands are the waves behind the lines, named where there is room.
func (d *drawing) bands(bottom int) {
	const letter = 8 // a little more than one takes
	fills := []string{"#f6f8fa", "#eaeef2"}
	for i, w := range d.s.Waves {
		if w.Started == nil {
			continue
		}
		from := int(w.Started.Seconds())
		x, wide := d.x(from), d.x(from+int(w.Duration.Seconds()))-d.x(from)
		name := escape(w.Name)
		d.add(`<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"><title>%s: %d nodes in %s</title></rect>`,
			x, svgTop, wide, bottom-svgTop, fills[i%len(fills)], name, w.Nodes, human(w.Duration.Duration))
		if wide > float64(letter*cells(w.Name)) {
			d.add(`<text x="%.1f" y="%d" font-size="12" fill="#57606a">%s</text>`, x+4, svgTop-22, name)
		}
	}
}

// panel draws the scale, the legend, and the lines.
func (d *drawing) panel(p panel) {
	y := func(value int) float64 {
		return float64(p.top+p.height) - float64(value*p.height)/float64(max(p.most, 1))
	}
	step := roundCount(p.most, 5)
	for v := 0; v <= p.most; v += step {
		d.add(`<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#d0d7de" stroke-width="0.7"/>`, svgLeft, svgWidth-svgRight, y(v), y(v))
		d.add(`<text x="%d" y="%.1f" text-anchor="end" font-size="12" fill="#57606a">%d</text>`, svgLeft-8, y(v)+4, v)
	}
	d.add(`<text x="18" y="%d" transform="rotate(-90 18 %d)" text-anchor="middle" fill="#57606a">%s</text>`, p.top+p.height/2, p.top+p.height/2, p.title)
	if len(p.lines) > 1 {
		d.add(`<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#57606a" stroke-dasharray="6 4"><title>maxUnavailable: %d nodes</title></line>`,
			svgLeft, svgWidth-svgRight, y(d.s.MaxUnavailable), y(d.s.MaxUnavailable), d.s.MaxUnavailable)
	}
	at := svgLeft
	for _, l := range p.lines {
		d.add(`<path d="%s" fill="none" stroke="%s" stroke-width="2" stroke-linejoin="round"/>`, d.path(l, y), l.colour)
		d.add(`<rect x="%d" y="%d" width="14" height="4" fill="%s"/>`, at, p.top-10, l.colour)
		d.add(`<text x="%d" y="%d" font-size="12" fill="#1b1f24">%s</text>`, at+20, p.top-5, l.name)
		at += 40 + 7*len(l.name)
	}
	if len(p.lines) > 1 {
		d.add(`<path d="M%d %d h14" stroke="#57606a" stroke-dasharray="4 3"/>`, at, p.top-8)
		d.add(`<text x="%d" y="%d" font-size="12" fill="#1b1f24">maxUnavailable</text>`, at+20, p.top-5)
	}
}

// path is a line of steps: a count holds until the next one.
func (d *drawing) path(l svgLine, y func(int) float64) string {
	var b strings.Builder
	for i, p := range d.points {
		if i == 0 {
			fmt.Fprintf(&b, "M%.1f %.1f", d.x(p.Seconds), y(l.of(p)))
			continue
		}
		fmt.Fprintf(&b, "H%.1fV%.1f", d.x(p.Seconds), y(l.of(p)))
	}
	fmt.Fprintf(&b, "H%d", svgWidth-svgRight)
	return b.String()
}

func (d *drawing) timeAxis(bottom int) {
	step := roundStep(d.s.end(), 9)
	for t := 0; t <= d.s.end(); t += step {
		d.add(`<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#57606a"/>`, d.x(t), d.x(t), bottom, bottom+5)
		d.add(`<text x="%.1f" y="%d" text-anchor="middle" font-size="12" fill="#57606a">%s</text>`, d.x(t), bottom+19, human(time.Duration(t)*time.Second))
	}
	d.add(`<text x="%d" y="%d" text-anchor="middle" fill="#57606a">time since the commit</text>`, svgLeft+svgPoints/2, bottom+40)
}

// roundCount is a step of 1, 2 or 5 and zeros, so that there are no more than so
// many.
func roundCount(total, most int) int {
	for ten := 1; ; ten *= 10 {
		for _, digit := range []int{1, 2, 5} {
			if step := digit * ten; total/step <= most {
				return step
			}
		}
	}
}
