package main

import (
	"strings"
	"unicode/utf8"
)

// ink is the parameter of an SGR escape sequence: a colour of the terminal's
// own palette. Nothing is told by ink alone.
type ink string

const (
	plain  ink = ""
	bold   ink = "1"
	dim    ink = "2"
	red    ink = "31"
	green  ink = "32"
	yellow ink = "33"
	cyan   ink = "36"
)

// style is what a text is rendered for.
type style struct {
	width  int
	colour bool
}

func (s style) paint(i ink, text string) string {
	if !s.colour || i == plain || strings.TrimSpace(text) == "" {
		return text
	}
	return "\x1b[" + string(i) + "m" + text + "\x1b[0m"
}

func columns(s string) int {
	return utf8.RuneCountInString(s)
}

// pad fills the text up with spaces on the right.
func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-columns(s)))
}

// fit cuts or fills the text to exactly the width.
func fit(s string, width int) string {
	if columns(s) <= width {
		return pad(s, width)
	}
	return string([]rune(s)[:max(width-1, 0)]) + "…"
}

// wrap breaks the text between words into lines of at most the width; a word
// that is longer is cut.
func wrap(s string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(s) {
		if columns(word) > width {
			word = fit(word, width)
		}
		switch {
		case line == "":
			line = word
		case columns(line)+1+columns(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}
