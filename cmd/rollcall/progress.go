package main

import (
	"fmt"
	"strings"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// segment is a part of a progress bar.
type segment struct {
	nodes  int
	symbol string
	ink    ink
}

// progress draws how far the candidate has got over the eligible nodes; at rest,
// how many of them have an agent.
func (p *page) progress(n *v1alpha1.NodeRollout) {
	c := n.Status.Nodes
	if c.Eligible == 0 {
		return
	}
	if n.Status.Candidate == nil {
		p.bar("agents", fmt.Sprintf("%d of %d nodes", c.Present, c.Eligible), []segment{
			{int(c.Present), "█", green}, {int(c.Eligible - c.Present), "░", red},
		})
		return
	}
	label := "first install"
	if w := n.Status.Wave; w != nil {
		label = fmt.Sprintf("wave %d/%d %s", w.Index, w.Of, clean(w.Name))
	}
	// Nodes that failed may have gone back already: they are part of the rest
	// then, and stay visible as failed.
	waiting := max(0, c.Candidate-c.Healthy-c.Failed)
	p.bar(label, fmt.Sprintf("%d of %d nodes healthy", c.Healthy, c.Eligible), []segment{
		{int(c.Healthy), "█", green}, {int(waiting), "▓", yellow}, {int(c.Failed), "✗", red},
		{int(max(0, c.Eligible-c.Healthy-waiting-c.Failed)), "░", dim},
	})
}

func (p *page) bar(label, text string, segments []segment) {
	label = truncate(label, p.width/3)
	columns := min(p.width-len(indent)-cells(label)-cells(text)-4, 60)
	if columns < 10 {
		p.paragraph(plain, indent, label+": "+text)
		return
	}
	counts := make([]int, len(segments))
	for i, s := range segments {
		counts[i] = s.nodes
	}
	p.WriteString(indent + p.paint(bold, label) + "  ")
	for i, n := range proportions(counts, columns) {
		p.WriteString(p.paint(segments[i].ink, strings.Repeat(segments[i].symbol, n)))
	}
	p.WriteString("  " + text + "\n")
}
