package main

import (
	"io"
	"os"
	"strconv"

	"golang.org/x/term"
)

// ink is how text is painted: the parameter of an SGR escape sequence. The
// sixteen colours of the terminal's own palette are readable on any background.
type ink string

// The inks. Nothing is told by ink alone.
const (
	plain   ink = ""
	bold    ink = "1"
	dim     ink = "2"
	red     ink = "31"
	green   ink = "32"
	yellow  ink = "33"
	blue    ink = "34"
	magenta ink = "35"
	cyan    ink = "36"
)

// style is what a text is rendered for.
type style struct {
	width  int
	colour bool
}

func (s style) paint(i ink, text string) string {
	if !s.colour || i == plain || text == "" {
		return text
	}
	return "\x1b[" + string(i) + "m" + text + "\x1b[0m"
}

// widest is where lines end on a wider terminal, and where there is none.
const widest = 120

// terminal is where a command writes.
type terminal struct {
	io.Writer
	// file is nil when it is no terminal but a file, a pipe or a test.
	file *os.File
}

func newTerminal(w io.Writer) terminal {
	t := terminal{Writer: w}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) { //nolint:gosec // a file descriptor is small
		t.file = f
	}
	return t
}

// interactive is whether frames can be drawn over one another.
func (t terminal) interactive() bool {
	return t.file != nil && os.Getenv("TERM") != "dumb"
}

// style honours NO_COLOR (no-color.org) and COLUMNS.
func (t terminal) style() style {
	columns, _ := t.size()
	return style{width: columns, colour: t.interactive() && os.Getenv("NO_COLOR") == ""}
}

// size returns columns and lines; 0 lines when there is no end of the page.
func (t terminal) size() (columns, lines int) {
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 && t.file == nil {
		return clampWidth(n), 0
	}
	if t.file == nil {
		return widest, 0
	}
	columns, lines, err := term.GetSize(int(t.file.Fd())) //nolint:gosec // a file descriptor is small
	if err != nil || columns <= 0 {
		return 80, 0
	}
	return clampWidth(columns), lines
}

func clampWidth(n int) int {
	return min(max(n, 40), widest)
}
