package main

import (
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/width"
	"k8s.io/apimachinery/pkg/util/duration"
)

// clean makes text that others wrote safe to show: a commit's subject must not
// move the cursor or turn the reading direction. A line break becomes a space.
func clean(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.In(r, unicode.C):
			return -1
		default:
			return r
		}
	}, s))
}

// cells is how many columns the text takes.
func cells(s string) int {
	n := 0
	for _, r := range s {
		n += runeCells(r)
	}
	return n
}

func runeCells(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	if kind := width.LookupRune(r).Kind(); kind == width.EastAsianWide || kind == width.EastAsianFullwidth {
		return 2
	}
	return 1
}

// pad fills the text up with spaces on the right.
func pad(s string, columns int) string {
	return s + strings.Repeat(" ", max(0, columns-cells(s)))
}

// truncate cuts the text to the columns, and marks that it did.
func truncate(s string, columns int) string {
	if cells(s) <= columns {
		return s
	}
	head, _ := split(s, max(columns-1, 0))
	return head + "…"
}

// split cuts off the longest head that fits the columns.
func split(s string, columns int) (head, tail string) {
	used := 0
	for i, r := range s {
		if used += runeCells(r); used > columns {
			return s[:i], s[i:]
		}
	}
	return s, ""
}

// wrap breaks the text into lines of at most the columns, between words where
// it can.
func wrap(s string, columns int) []string {
	columns = max(columns, 2)
	var lines []string
	line := ""
	for _, word := range strings.Fields(s) {
		if line != "" && cells(line)+1+cells(word) <= columns {
			line += " " + word
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		for cells(word) > columns {
			var head string
			head, word = split(word, columns)
			lines = append(lines, head)
		}
		line = word
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// since is how long ago t was; a dash when that is not known.
func since(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return duration.HumanDuration(max(now.Sub(t), 0))
}

// shortHash is a commit as people write it.
func shortHash(commit string) string {
	return clean(commit[:min(len(commit), 8)])
}

// brief is a duration without the zeros at its end.
func brief(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}
