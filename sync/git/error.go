package git

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// Error is what is wrong with a repository. It holds no credential and no query of a URL.
type Error struct {
	Reason Reason
	// URL is the URL of the repository without user, query and fragment.
	URL string
	// Ref is the ref that was asked for; it may be empty.
	Ref string
	// Path is the file or directory in the commit; empty when none is at fault.
	Path string
	// Message says what happened and the way out.
	Message string
	// Exceeded is the limit that was reached; its zero value when none was.
	Exceeded Exceeded
	// Commit is the commit that is not verified; nil for any other error.
	Commit *Commit
	// RetryAt is when the server wants to be asked again; zero when it does not say.
	RetryAt time.Time
	// Err is fs.ErrNotExist, context.Canceled or context.DeadlineExceeded where one of them is the cause, else
	// nil. Errors of go-git and net/http are not kept: they may hold what must not be shown.
	Err error
}

// Exceeded names one of Limits, its value, and the value that was met. What was met may be only the first value
// above the limit.
type Exceeded struct {
	Limit   string
	Allowed int64
	Value   int64
}

// Error puts the parts in reading order: URL, ref, path, message.
func (e *Error) Error() string {
	where := e.URL
	if e.Ref != "" {
		where += " " + e.Ref
	}
	parts := []string{where, e.Path, e.Message}
	said := parts[:0]
	for _, part := range parts {
		if part != "" {
			said = append(said, part)
		}
	}
	return strings.Join(said, ": ")
}

// Unwrap makes errors.Is find the reason and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Reason}
	}
	return []error{e.Reason, e.Err}
}

// errorf makes an error about the source.
func (s Source) errorf(reason Reason, format string, args ...any) *Error {
	return &Error{Reason: reason, URL: redact(s.URL), Ref: s.asked(), Message: fmt.Sprintf(format, args...)}
}

// exceeded makes an error about a limit. The unit ends the sentence "is limited to N ...".
func (s Source) exceeded(limit string, allowed, value int64, unit string) *Error {
	e := s.errorf(LimitExceeded, "%s is limited to %d %s, and this repository has %d or more: make it smaller, "+
		"keep the manifests in a repository of their own, or raise the controller's %s", limit, allowed, unit, value, flagOf(limit))
	e.Exceeded = Exceeded{Limit: limit, Allowed: allowed, Value: value}
	return e
}

// flagOf is the flag of the controller that sets a field of Limits.
func flagOf(limit string) string {
	return cmp.Or(map[string]string{
		"RefBytes":      "--max-ref-bytes",
		"WireBytes":     "--max-fetch-bytes",
		"Objects":       "--max-git-objects",
		"ObjectBytes":   "--max-object-bytes",
		"InflatedBytes": "--max-repository-bytes",
		"Entries":       "--max-tree-entries",
		"Depth":         "--max-depth",
		"FileBytes":     "--max-file-bytes",
		"ReadBytes":     "--max-total-bytes",
	}[limit], "limits")
}

// at says which path of the commit the error is about.
func (e *Error) at(path string) *Error {
	e.Path = path
	return e
}

// because keeps a cause that a caller may ask for.
func (e *Error) because(err error) *Error {
	e.Err = err
	return e
}
