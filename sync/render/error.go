package render

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Error is one thing that is wrong with a path. The message names the way out where there is one. It holds
// no value of a Secret.
type Error struct {
	Reason Reason
	// File is relative to the root of the repository; empty when no single file is at fault.
	File string
	// Line counts from 1; 0 when unknown.
	Line int
	// Object is "Kind namespace/name"; empty when no object is at fault.
	Object string
	// Field is the path of the field at fault, such as spec.template.spec.containers; empty when unknown.
	Field   string
	Message string
	// Err is the error of the tree below, if that was the cause; it may be empty.
	Err error
}

// Error puts the parts in reading order: file, line, object, field, message.
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d", e.Line)
		}
		b.WriteString(": ")
	}
	if e.Object != "" {
		b.WriteString(e.Object + ": ")
	}
	if e.Field != "" {
		b.WriteString(e.Field + ": ")
	}
	b.WriteString(e.Message)
	return b.String()
}

// Unwrap makes errors.Is and errors.As find the reason and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Reason}
	}
	return []error{e.Reason, e.Err}
}

// Errors are all that was found wrong in one build, in the order of the files.
type Errors []*Error

// shownErrors is how many errors one message spells out.
const shownErrors = 20

// Error gives one line an error; of a long list the rest is counted.
func (e Errors) Error() string {
	lines := make([]string, 0, min(len(e), shownErrors+1))
	for i, err := range e {
		if i == shownErrors {
			lines = append(lines, fmt.Sprintf("and %d more errors", len(e)-shownErrors))
			break
		}
		lines = append(lines, err.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap makes errors.Is and errors.As look at each error.
func (e Errors) Unwrap() []error {
	errs := make([]error, 0, len(e))
	for _, err := range e {
		errs = append(errs, err)
	}
	return errs
}

// List returns the errors that err holds, so that a caller can print or count them; it is empty when err is
// no error of this package.
func List(err error) []*Error {
	var many Errors
	if errors.As(err, &many) {
		return many
	}
	var one *Error
	if errors.As(err, &one) {
		return []*Error{one}
	}
	return nil
}

// collected is how many errors a build collects before it gives up.
const collected = 200

// add appends what is wrong to the errors, whatever form it has. What a base is blamed for twice is said once.
func (e *Errors) add(err error) {
	if err == nil {
		return
	}
	found := List(err)
	if len(found) == 0 {
		found = []*Error{{Reason: BuildFailed, Message: err.Error(), Err: err}}
	}
	for _, f := range found[:min(len(found), collected)] {
		if len(*e) >= collected {
			return
		}
		known := slices.ContainsFunc(*e, func(other *Error) bool { return other.Error() == f.Error() })
		if !known {
			*e = append(*e, f)
		}
	}
}

// orNil is nil when nothing was collected: a nil slice in an error interface would not be.
func (e Errors) orNil() error {
	if len(e) == 0 {
		return nil
	}
	return e
}
