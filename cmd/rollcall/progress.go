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
		p.bar("agents", fmt.Sprintf("%d of %d nodes Ready", c.Present, c.Eligible), []segment{
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
	p.bar(label, candidateCounts(c), []segment{
		{int(c.Healthy), "█", green}, {int(waiting), "▓", yellow}, {int(c.Failed), "✗", red},
		{int(max(0, c.Eligible-c.Healthy-waiting-c.Failed)), "░", dim},
	})
}

// candidateCounts says how the candidate does, and beside it how many nodes have
// a Ready agent of whatever version: after a rejection these are all of them,
// though the candidate is healthy on none.
func candidateCounts(c v1alpha1.NodeCounts) string {
	text := fmt.Sprintf("candidate: %d healthy", c.Healthy)
	if c.Failed > 0 {
		text += fmt.Sprintf(", %d failed", c.Failed)
	}
	return text + fmt.Sprintf("; %d of %d nodes Ready", c.Present, c.Eligible)
}

// widestBar is how many cells a bar has at most. With no more nodes than that each
// is one cell.
const widestBar = 60

// bar draws the segments, with the text beside them, or below where the terminal
// is too narrow for both.
func (p *page) bar(label, text string, segments []segment) {
	label = truncate(label, p.width/3)
	sum, counts := 0, make([]int, len(segments))
	for i, s := range segments {
		counts[i] = s.nodes
		sum += s.nodes
	}
	room := p.width - len(indent) - cells(label) - 2
	columns := min(sum, widestBar)
	beside := columns+2+cells(text) <= room
	p.WriteString(indent + p.paint(bold, label) + "  ")
	for i, n := range proportions(counts, min(columns, room)) {
		p.WriteString(p.paint(segments[i].ink, strings.Repeat(segments[i].symbol, n)))
	}
	if beside {
		p.WriteString("  " + text + "\n")
		return
	}
	p.WriteString("\n")
	p.paragraph(plain, indent, text)
}
