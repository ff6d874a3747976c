package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// screen is where the demo is shown: frames drawn over one another on a
// terminal, and elsewhere lines one below the other.
type screen struct {
	io.Writer
	// file is nil when it is no terminal, or one too narrow for a frame.
	file *os.File
	// drawn are the lines of the frame that stands above the cursor.
	drawn []string
}

// plainWidth is for where there is no terminal; it can be set by COLUMNS.
const plainWidth = 80

func newScreen(w io.Writer) *screen {
	s := &screen{Writer: w}
	if f, ok := w.(*os.File); ok && os.Getenv("TERM") != "dumb" {
		size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
		if err == nil && (size.Col == 0 || size.Col >= narrowest) {
			s.file = f
		}
	}
	return s
}

func (s *screen) live() bool {
	return s.file != nil
}

// style honours NO_COLOR (no-color.org).
func (s *screen) style() style {
	width, _ := s.size()
	return style{width: width, colour: s.live() && os.Getenv("NO_COLOR") == ""}
}

// size is in columns and lines; a terminal that does not know says 80 by 24.
func (s *screen) size() (width, height int) {
	if !s.live() {
		if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
			return clamp(n), 0
		}
		return plainWidth, 0
	}
	size, err := unix.IoctlGetWinsize(int(s.file.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 || size.Row == 0 {
		return plainWidth, 24
	}
	return clamp(int(size.Col)), int(size.Row)
}

// clamp keeps the width to what the frame is made for.
func clamp(width int) int {
	return min(max(width, narrowest), 120)
}

// The escape sequences that a terminal is driven by.
const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	upLines    = "\x1b[%dA"
	eraseLine  = "\x1b[K"
	eraseBelow = "\x1b[J"
)

// draw replaces the frame before. Elsewhere than on a terminal it does nothing.
func (s *screen) draw(f frame) {
	if !s.live() {
		return
	}
	_, height := s.size()
	lines := squeeze(f.lines(s.style()), height-1)
	if slices.Equal(lines, s.drawn) {
		return
	}
	var out strings.Builder
	out.WriteString(hideCursor)
	if n := len(s.drawn); n > 0 {
		fmt.Fprintf(&out, upLines, n)
	}
	for _, line := range lines {
		out.WriteString("\r" + line + eraseLine + "\n")
	}
	out.WriteString(eraseBelow)
	_, _ = io.WriteString(s, out.String())
	s.drawn = lines
}

// leave lets the last frame stand, and gives the cursor back.
func (s *screen) leave() {
	if s.live() {
		_, _ = io.WriteString(s, showCursor)
	}
	s.drawn = nil
}

// note writes lines that stay; on a terminal only while no frame is drawn.
func (s *screen) note(format string, args ...any) {
	fmt.Fprintf(s, format+"\n", args...)
}

// begin says on a terminal what is being started.
func (s *screen) begin(what string) {
	if s.live() {
		fmt.Fprintf(s, "%s… %s", margin, what)
	}
}

// done says on the same line that it has, and how long it took.
func (s *screen) done(what, detail string, took time.Duration) {
	if s.live() {
		fmt.Fprint(s, "\r"+eraseLine)
	}
	st := s.style()
	s.note("%s%s %s %s %s", margin, st.paint(green, "✓"), pad(what, 10), fit(detail, st.width-20), st.paint(dim, seconds(took)))
}

// squeeze makes lines fit a low terminal: first the empty ones go, then the end.
func squeeze(lines []string, height int) []string {
	if len(lines) <= height {
		return lines
	}
	lines = slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return strings.TrimSpace(l) == "" })
	return lines[:min(len(lines), max(height, 1))]
}
