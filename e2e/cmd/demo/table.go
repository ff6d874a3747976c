package main

import (
	"fmt"
	"strconv"
	"strings"
)

// table is the end of the demo: what became of every commit. Where to look is a
// column if there is room, else a line below.
func table(st style, rows []row) []string {
	const fixed = 43 // columns of everything but what and where
	what, look := len("WHAT"), len("WHERE TO LOOK")
	for _, r := range rows {
		what, look = max(what, columns(r.act.what)), max(look, columns(r.act.look))
	}
	what = min(what, st.width-fixed)
	beside := st.width-fixed-what-2 >= look
	line := func(commit, label, about, touched, hurt, down, verdict string) string {
		return fmt.Sprintf("%s%-8s  %-2s  %s %7s %4s %4s  %-8s", margin, commit, label, fit(about, what), touched, hurt, down, verdict)
	}
	head := line("COMMIT", "", "WHAT", "TOUCHED", "HURT", "DOWN", "VERDICT")
	if beside {
		head += "  WHERE TO LOOK"
	}
	out := []string{st.paint(dim, strings.TrimRight(head, " "))}
	for _, r := range rows {
		x := r.result
		text := line(short(r.commit), r.act.label, r.act.what, strconv.Itoa(x.touched), strconv.Itoa(x.hurt), strconv.Itoa(x.down), string(x.verdict))
		i := green
		if x.verdict == rejected {
			i = red
		}
		text = strings.Replace(text, string(x.verdict), st.paint(i, string(x.verdict)), 1)
		if beside {
			out = append(out, text+"  "+st.paint(dim, r.act.look))
			continue
		}
		out = append(out, strings.TrimRight(text, " "), margin+strings.Repeat(" ", 14)+st.paint(dim, r.act.look))
	}
	return append(out, "", margin+"Of "+strconv.Itoa(nodes)+" nodes. TOUCHED: nodes that ran the version. HURT: nodes where it was not",
		margin+"Ready, or failed. DOWN: most nodes without a Ready agent at once. All counted", margin+"from a watch of pods.")
}

// indent moves a text to the right.
func indent(text string) string {
	return margin + margin + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+margin+margin)
}
