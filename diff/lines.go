package diff

import (
	"fmt"
	"strings"
)

const (
	// contextLines is how many equal lines stand around a difference.
	contextLines = 2
	// maxCells bounds what a line by line comparison costs; texts beyond it are shown as replaced.
	maxCells = 4 << 20
	// maxLines is how many lines of one field are shown.
	maxLines = 200
)

// diffLines returns the lines of a unified diff, with gaps in place of what is equal.
func diffLines(from, to []string) []string {
	edits := compareLines(from, to)
	near := make([]bool, len(edits))
	for i, e := range edits {
		if e.sign == ' ' {
			continue
		}
		for j := max(0, i-contextLines); j <= min(len(edits)-1, i+contextLines); j++ {
			near[j] = true
		}
	}
	var out []string
	for i, e := range edits {
		switch {
		case near[i]:
			out = append(out, e.String())
		case i == 0 || near[i-1]:
			out = append(out, "...")
		}
	}
	if len(out) > maxLines {
		out = append(out[:maxLines:maxLines], fmt.Sprintf("... and %d more lines", len(out)-maxLines))
	}
	return out
}

// edit is one line, with the sign ' ', '-' or '+'.
type edit struct {
	sign byte
	line string
}

// String is the line with its sign, and with what is no printable letter spelled out.
func (e edit) String() string {
	return strings.TrimRight(string(e.sign)+" "+printable(strings.ReplaceAll(e.line, "\t", "    ")), " ")
}

// compareLines finds a longest common subsequence between what the texts have in common at both ends.
func compareLines(from, to []string) []edit {
	head := 0
	for head < len(from) && head < len(to) && from[head] == to[head] {
		head++
	}
	tail := 0
	for tail < len(from)-head && tail < len(to)-head && from[len(from)-1-tail] == to[len(to)-1-tail] {
		tail++
	}
	out := appendEdits(nil, ' ', from[:head])
	out = append(out, middleEdits(from[head:len(from)-tail], to[head:len(to)-tail])...)
	return appendEdits(out, ' ', from[len(from)-tail:])
}

func middleEdits(from, to []string) []edit {
	if len(from)*len(to) > maxCells {
		return appendEdits(appendEdits(nil, '-', from), '+', to)
	}
	// longest[i][j] is the length of a longest common subsequence of from[i:] and to[j:].
	longest := make([][]int32, len(from)+1)
	for i := range longest {
		longest[i] = make([]int32, len(to)+1)
	}
	for i := len(from) - 1; i >= 0; i-- {
		for j := len(to) - 1; j >= 0; j-- {
			longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			if from[i] == to[j] {
				longest[i][j] = longest[i+1][j+1] + 1
			}
		}
	}
	var out []edit
	i, j := 0, 0
	for i < len(from) && j < len(to) {
		switch {
		case from[i] == to[j]:
			out = append(out, edit{' ', from[i]})
			i, j = i+1, j+1
		case longest[i+1][j] >= longest[i][j+1]:
			out = append(out, edit{'-', from[i]})
			i++
		default:
			out = append(out, edit{'+', to[j]})
			j++
		}
	}
	return appendEdits(appendEdits(out, '-', from[i:]), '+', to[j:])
}

func appendEdits(edits []edit, sign byte, lines []string) []edit {
	for _, line := range lines {
		edits = append(edits, edit{sign, line})
	}
	return edits
}
