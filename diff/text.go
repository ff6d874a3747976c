package diff

import (
	"fmt"
	"strconv"
	"strings"
)

// shownLength is how much of a one-line value String shows; shownContext, how much of it before the first difference.
const (
	shownLength  = 120
	shownContext = 20
)

// String writes the plan for people: what changes, field by field, and a summary that counts the rest.
func (p Plan) String() string {
	var b strings.Builder
	for _, c := range p.Changes {
		if c.Operation != Unchanged {
			b.WriteString(c.String())
		}
	}
	b.WriteString(p.Summary())
	return b.String()
}

// Summary counts what becomes of the objects, in a line.
func (p Plan) Summary() string {
	var counts []string
	for _, operation := range Operations() {
		if n := len(p.Of(operation)); n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, operation.counted()))
		}
	}
	if len(counts) == 0 {
		return "Nothing is declared.\n"
	}
	return strings.Join(counts, ", ") + ".\n"
}

func (o Operation) counted() string {
	switch o {
	case Create:
		return "to create"
	case Update:
		return "to update"
	case Release:
		return "to release"
	case Delete:
		return "to delete"
	case Unchanged:
		return "unchanged"
	case Conflict:
		return "in conflict"
	case Refused:
		return "refused"
	case Foreign:
		return "foreign"
	case Keep:
		return "kept"
	default:
		return string(o)
	}
}

func (o Operation) sign() string {
	switch o {
	case Create:
		return "+"
	case Update:
		return "~"
	case Release:
		return ">"
	case Delete:
		return "-"
	case Conflict, Refused, Foreign:
		return "!"
	case Unchanged, Keep:
		return "="
	default:
		return "?"
	}
}

// String writes the change for people: a line, and a line or more for each field.
func (c Change) String() string {
	var b strings.Builder
	b.WriteString(c.Head() + "\n")
	for _, f := range c.Fields {
		f.write(&b)
	}
	return b.String()
}

// Head is the line that says what becomes of the object.
func (c Change) Head() string {
	head := fmt.Sprintf("%s %s %s", c.Operation.sign(), strings.ToLower(string(c.Operation)), c.ID)
	if c.Source != "" {
		head += " (" + c.Source + ")"
	}
	if c.Message != "" {
		head += ": " + c.Reason + ": " + c.Message
	}
	return printable(head)
}

func (f FieldChange) write(b *strings.Builder) {
	from, fromIsText := multiline(f.From)
	to, toIsText := multiline(f.To)
	switch {
	case fromIsText || toIsText:
		fmt.Fprintf(b, "    %s:\n", f.Path)
		for _, line := range diffLines(from, to) {
			fmt.Fprintf(b, "      %s\n", line)
		}
	case f.From == "":
		fmt.Fprintf(b, "    + %s: %s\n", f.Path, excerpt(f.To, 0))
	case f.To == "":
		fmt.Fprintf(b, "    - %s: %s\n", f.Path, excerpt(f.From, 0))
	default:
		same := commonPrefix(f.From, f.To)
		fmt.Fprintf(b, "    ~ %s: %s -> %s\n", f.Path, excerpt(f.From, same), excerpt(f.To, same))
	}
}

// multiline returns the lines of a spelled text, and whether it has more than one.
func multiline(spelled string) ([]string, bool) {
	text, err := strconv.Unquote(spelled)
	if err != nil || text == "" {
		return nil, false
	}
	whole, ended := strings.CutSuffix(text, "\n")
	lines := strings.Split(whole, "\n")
	if !ended {
		lines[len(lines)-1] += " (no newline at end)"
	}
	return lines, strings.Contains(text, "\n")
}

// excerpt shortens a long value to what is around the byte at which it begins to differ.
func excerpt(value string, differsAt int) string {
	if len(value) <= shownLength {
		return value
	}
	start := max(0, min(differsAt-shownContext, len(value)-shownLength))
	short := strings.ToValidUTF8(value[start:start+shownLength], "")
	if start > 0 {
		short = "..." + short
	}
	return fmt.Sprintf("%s... (%d bytes)", short, len(value))
}

func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
