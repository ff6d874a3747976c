package diff

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Hunk is a run of lines around a difference.
type Hunk struct {
	// Path is the field that all that differs in it lies in; empty for the whole object.
	Path string
	// Lines begin with ' ', '-' or '+', and are of YAML, with what is no printable letter spelled out.
	Lines []string
}

// Unified returns how the object changes, as a unified diff of YAML does: with as many lines around each difference.
func (c Change) Unified(around int) []Hunk {
	before, after := outline(c.Before), outline(c.After)
	edits := compareLines(texts(before), texts(after))
	var out []Hunk
	var place []string // what all that differs in the hunk lies in; nil before the first difference
	i, j, last := 0, 0, -1
	for at, e := range edits {
		if near(edits, at, around) {
			if last != at-1 || len(out) == 0 {
				out, place = append(out, Hunk{}), nil
			}
			h := &out[len(out)-1]
			h.Lines, last = append(h.Lines, string(e.sign)+" "+e.line), at
			if e.sign != ' ' {
				place = shared(place, placed(e, before, after, i, j))
				h.Path = strings.TrimPrefix(strings.Join(place, ""), ".")
			}
		}
		if e.sign != '+' {
			i++
		}
		if e.sign != '-' {
			j++
		}
	}
	for i := range out {
		out[i].dedent()
	}
	return out
}

// dedent takes the blanks away that all lines begin with: the path says how deep they are.
func (h *Hunk) dedent() {
	least := -1
	for _, line := range h.Lines {
		if blanks := len(line) - 2 - len(strings.TrimLeft(line[2:], " ")); len(line) > 2 && (least < 0 || blanks < least) {
			least = blanks
		}
	}
	for i, line := range h.Lines {
		h.Lines[i] = line[:2] + line[min(len(line), 2+max(least, 0)):]
	}
}

// placed is where the line of an edit is, which is the next one of its side.
func placed(e edit, before, after []outlined, i, j int) string {
	if e.sign == '+' {
		return after[j].path
	}
	return before[i].path
}

// near is whether there is a difference at most so many lines away.
func near(edits []edit, at, around int) bool {
	from, to := max(0, at-around), min(len(edits), at+around+1)
	return slices.ContainsFunc(edits[from:to], func(e edit) bool { return e.sign != ' ' })
}

// shared is the longest path that both lie in; nil is that of nothing yet.
func shared(so []string, path string) []string {
	next := steps(path)
	if so == nil {
		return next
	}
	n := 0
	for n < len(so) && n < len(next) && so[n] == next[n] {
		n++
	}
	return so[:n:n]
}

// steps splits a path before each dot and bracket that is not in quotes.
func steps(path string) []string {
	if path == "" {
		return []string{}
	}
	return regexp.MustCompile(`\.?[^.\[\]"]+|\[(?:"(?:[^"\\]|\\.)*"|[^"\]]|"(?:[^"\\]|\\.)*")*\]`).FindAllString(path, -1)
}

// outlined is a line of YAML and the field that holds what it says.
type outlined struct {
	text, path string
}

func texts(lines []outlined) []string {
	out := make([]string, 0, len(lines))
	for _, l := range lines {
		out = append(out, l.text)
	}
	return out
}

// outline writes a tree as YAML, a value a line.
func outline(tree map[string]any) []outlined {
	var o outliner
	o.fields("", "", tree)
	return o.lines
}

type outliner struct {
	lines []outlined
}

func (o *outliner) add(text, path string) {
	o.lines = append(o.lines, outlined{text, path})
}

// fields writes a map. The name of an element comes first, since that is what it is known by.
func (o *outliner) fields(indent, path string, tree map[string]any) {
	keys := slices.Sorted(maps.Keys(tree))
	if at := slices.Index(keys, "name"); at > 0 && path != "" {
		keys = slices.Insert(slices.Delete(keys, at, at+1), 0, "name")
	}
	for _, key := range keys {
		o.value(indent, plain(key)+":", path, join(path, key), tree[key])
	}
}

// value writes what comes after a key or a dash.
func (o *outliner) value(indent, head, parent, path string, value any) {
	switch v := value.(type) {
	case map[string]any:
		if len(v) == 0 {
			o.add(indent+head+" {}", parent)
			return
		}
		o.add(indent+head, path)
		o.fields(indent+"  ", path, v)
	case []any:
		if len(v) == 0 {
			o.add(indent+head+" []", parent)
			return
		}
		o.add(indent+head, path)
		o.elements(indent, path, v)
	case string:
		o.text(indent, head, parent, path, v)
	default:
		o.add(indent+head+" "+scalar(v), parent)
	}
}

// elements writes a list. An element that is a map begins on the line of its dash.
func (o *outliner) elements(indent, path string, list []any) {
	all, byName := names(list)
	for i, element := range list {
		at := position(path, i)
		if byName {
			at = named(path, all[i])
		}
		tree, isMap := element.(map[string]any)
		if !isMap || len(tree) == 0 {
			o.value(indent, "-", path, at, element)
			continue
		}
		var inner outliner
		inner.fields(indent+"  ", at, tree)
		inner.lines[0].text = indent + "- " + strings.TrimPrefix(inner.lines[0].text, indent+"  ")
		o.lines = append(o.lines, inner.lines...)
	}
}

// text writes a text, one of several lines as a block.
func (o *outliner) text(indent, head, parent, path, text string) {
	whole, ended := strings.CutSuffix(text, "\n")
	if !strings.Contains(whole, "\n") {
		o.add(indent+head+" "+plain(text), parent)
		return
	}
	mark := " |"
	if !ended {
		mark = " |-"
	}
	o.add(indent+head+mark, path)
	for line := range strings.SplitSeq(whole, "\n") {
		o.add(strings.TrimRight(indent+"  "+printable(strings.ReplaceAll(line, "\t", "    ")), " "), path)
	}
}

// plain is a text without quotes where YAML reads it as one, else in quotes.
func plain(text string) string {
	safe := regexp.MustCompile(`^[A-Za-z_/.][A-Za-z0-9 _/.:@=+*,;()%~-]*$`)
	word := regexp.MustCompile(`(?i)^(true|false|yes|no|on|off|y|n|null|\.nan|[-.]?\.inf)$`)
	if len(text) <= maxPlain && safe.MatchString(text) && !word.MatchString(text) && !strings.Contains(text, ": ") && !strings.HasSuffix(text, ":") && !strings.HasSuffix(text, " ") {
		return text
	}
	quoted := strconv.Quote(text)
	if len(quoted) <= maxPlain {
		return quoted
	}
	sum := sha256.Sum256([]byte(text)) // two long texts may differ where neither is shown
	return fmt.Sprintf("%s (sha256 %x)", excerpt(quoted, 0), sum[:4])
}

// maxPlain is how long a text is shown whole on one line.
const maxPlain = 1000

func scalar(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case hidden:
		return string(v)
	default:
		return fmt.Sprint(v)
	}
}
