package main

import (
	"fmt"
	"strconv"
	"strings"
)

// table is the end of the demo: what became of every commit.
func table(st style, rows []row) []string {
	const fixed = 43 // columns of everything but what
	what := len("WHAT")
	for _, r := range rows {
		what = max(what, columns(r.act.what))
	}
	what = min(what, st.width-fixed)
	line := func(commit, label, about, touched, hurt, down, verdict string) string {
		return fmt.Sprintf("%s%-8s  %-2s  %s %7s %4s %4s  %-8s", margin, commit, label, fit(about, what), touched, hurt, down, verdict)
	}
	head := line("COMMIT", "", "WHAT", "TOUCHED", "HURT", "DOWN", "VERDICT")
	out := []string{st.paint(dim, strings.TrimRight(head, " "))}
	for _, r := range rows {
		x := r.result
		text := line(short(r.commit), r.act.label, r.act.what, strconv.Itoa(x.touched), strconv.Itoa(x.hurt), strconv.Itoa(x.down), string(x.verdict))
		i := green
		if x.verdict == rejected {
			i = red
		}
		text = strings.Replace(text, string(x.verdict), st.paint(i, string(x.verdict)), 1)
		out = append(out, strings.TrimRight(text, " "))
	}
	return append(out, "", margin+"Of "+strconv.Itoa(nodes)+" nodes. TOUCHED: nodes that ran the version. HURT: nodes where it was not",
		margin+"Ready, or failed. DOWN: most nodes without a Ready agent at once. All counted", margin+"from a watch of pods.")
}

// indent moves a text to the right.
func indent(text string) string {
	return margin + margin + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+margin+margin)
}
