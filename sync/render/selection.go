package render

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
)

// selection is which files of the tree a build may read. What is left out is not there for a directory that is walked,
// and is an error where something names it: a build that lacks a file on purpose would look like one that is whole.
type selection struct {
	// include is nil for everything.
	include, ignore gitignore.Matcher
	// leftOut is the first manifest that a walk passed over for it, and count is how many there were.
	leftOut string
	count   int
}

// newSelection reads the patterns; it is nil without any. Errors name the pattern at fault.
func newSelection(o Options) (*selection, error) {
	if len(o.Include)+len(o.Ignore) == 0 {
		return nil, nil
	}
	s := &selection{}
	var err error
	if s.ignore, err = patterns("ignore", o.Ignore); err != nil {
		return nil, err
	}
	if len(o.Include) > 0 {
		s.include, err = patterns("include", o.Include)
	}
	return s, err
}

func patterns(field string, lines []string) (gitignore.Matcher, error) {
	var parsed []gitignore.Pattern
	for i, line := range lines {
		inner := strings.Trim(strings.TrimPrefix(line, "!"), "/")
		_, err := path.Match(inner, "")
		switch {
		case inner == "" || strings.TrimSpace(line) != line || strings.HasPrefix(line, "#"):
			return nil, &Error{Reason: BuildFailed, Field: fmt.Sprintf("spec.source.%s[%d]", field, i), Message: fmt.Sprintf("%q is no pattern: write one as in .gitignore, such as *.md or /charts/", shown(line))}
		case err != nil || slices.Contains(strings.Split(inner, "/"), ".."):
			return nil, &Error{Reason: BuildFailed, Field: fmt.Sprintf("spec.source.%s[%d]", field, i), Message: fmt.Sprintf("%q matches nothing: close its brackets, and write it relative to the repository's root, without ..", shown(line))}
		}
		parsed = append(parsed, gitignore.ParsePattern(line, nil))
	}
	return gitignore.NewMatcher(parsed), nil
}

// omits is whether a name is left out.
func (s *selection) omits(name string, isDir bool) bool {
	if s == nil || name == "." {
		return false
	}
	elements := strings.Split(name, "/")
	switch {
	case s.ignore.Match(elements, isDir):
		return true
	case isDir || s.include == nil:
		return false
	default:
		return !s.include.Match(elements, isDir)
	}
}

// refusal is what is said where something names what is left out.
func (s *selection) refusal(name string, isDir bool) *Error {
	field, way := "spec.source.include", "add it there"
	if s.ignore.Match(strings.Split(name, "/"), isDir) {
		field, way = "spec.source.ignore", "take it out there"
	}
	return &Error{Reason: BuildFailed, File: name, Message: fmt.Sprintf("%s leaves this out, and the path needs it: %s, or do without it", field, way)}
}

// skips is whether a walk passes over an entry; it counts the manifests, so that a directory that is emptied by a pattern
// is not taken for one that is empty.
func (s *selection) skips(name string, isDir bool) bool {
	if !s.omits(name, isDir) {
		return false
	}
	if isDir || manifest(name) {
		if s.count++; s.leftOut == "" {
			s.leftOut = name
		}
	}
	return true
}

// emptied is the error for a path of which nothing is left; nil when nothing was left out.
func (s *selection) emptied(dir string) error {
	if s == nil || s.count == 0 {
		return nil
	}
	return &Error{Reason: BuildFailed, File: dir, Message: fmt.Sprintf(
		"spec.source.include and spec.source.ignore leave nothing of it: %s and %d more are left out; correct the patterns, which are relative to the repository's root", s.leftOut, s.count-1)}
}
