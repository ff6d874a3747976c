package main

import (
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestClean(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"plain text stays":               {"log-agent 2.4.1", "log-agent 2.4.1"},
		"letters of any language stay":   {"Größe 日本語", "Größe 日本語"},
		"a line break is a space":        {"one\r\ntwo", "one  two"},
		"an escape sequence is defused":  {"\x1b[2Jgone", "[2Jgone"},
		"C1 controls are taken out":      {"a\u009b31mb", "a31mb"},
		"bidirectional controls go":      {"a\u202eb", "ab"},
		"bytes that are no text go":      {"a\xffb", "a\ufffdb"},
		"spaces at the ends are dropped": {"  a ", "a"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := clean(test.in); got != test.want {
				t.Errorf("clean(%q) = %q, want %q", test.in, got, test.want)
			}
		})
	}
}

func TestWrap(t *testing.T) {
	tests := map[string]struct {
		in      string
		columns int
		want    []string
	}{
		"nothing is no line":                {"", 10, nil},
		"what fits stays on one line":       {"one two", 7, []string{"one two"}},
		"it breaks between words":           {"one two three", 8, []string{"one two", "three"}},
		"a word that is too long is broken": {"a bcdefghij", 4, []string{"a", "bcde", "fghi", "j"}},
		"wide letters count twice":          {"日本語", 4, []string{"日本", "語"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, wrap(test.in, test.columns)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// However hostile the text, no line is too long and no letter is lost.
func TestWrapKeepsWithinTheColumns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, columns := clean(rapid.String().Draw(t, "text")), rapid.IntRange(2, 40).Draw(t, "columns")
		lines := wrap(text, columns)
		for _, line := range lines {
			if cells(line) > columns {
				t.Fatalf("%q takes %d of %d columns", line, cells(line), columns)
			}
		}
		letters := func(s string) string {
			return strings.Map(func(r rune) rune {
				if unicode.IsSpace(r) {
					return -1
				}
				return r
			}, s)
		}
		if got := letters(strings.Join(lines, "")); got != letters(text) {
			t.Fatalf("%q became %q", letters(text), got)
		}
		if short := truncate(text, columns); cells(short) > columns {
			t.Fatalf("%q takes %d of %d columns", short, cells(short), columns)
		}
	})
}

// Whatever there is shows, and the bar is as long as it should be.
func TestProportions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		counts := rapid.SliceOfN(rapid.IntRange(0, 5000), 1, cellKinds).Draw(t, "counts")
		columns := rapid.IntRange(10, 60).Draw(t, "columns")
		got := proportions(counts, columns)
		sum := 0
		for i, n := range got {
			if (n > 0) != (counts[i] > 0) {
				t.Fatalf("%d of %d nodes take %d columns", counts[i], counts, n)
			}
			sum += n
		}
		if empty := !slices.ContainsFunc(counts, func(n int) bool { return n > 0 }); sum != columns && !empty {
			t.Fatalf("%v takes %d of %d columns", got, sum, columns)
		}
	})
}
