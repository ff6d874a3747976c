package apply

import (
	"fmt"

	"github.com/rollcall-dev/rollcall/apply/owned"
	"github.com/rollcall-dev/rollcall/diff"
)

// Done is what was done with one object. The set is closed.
type Done string

const (
	// Created is an object that the cluster did not have.
	Created Done = "Created"
	// Configured is an object that was changed.
	Configured Done = "Configured"
	// Unchanged is an object that already was as declared. Nothing was written.
	Unchanged Done = "Unchanged"
	// Released is an object that was handed over to another GitSync.
	Released Done = "Released"
	// Deleted is an object that is gone.
	Deleted Done = "Deleted"
	// Withheld is an object that was left alone on purpose.
	Withheld Done = "Withheld"
	// Failed is an object that could not be written.
	Failed Done = "Failed"
)

// Reasons of a Result, besides those of a diff.Change and of an Error.
const (
	// ReasonBlocked withholds everything while one object cannot be applied.
	ReasonBlocked = "Blocked"
	// ReasonAwaitingStage withholds what needs something that failed.
	ReasonAwaitingStage = "AwaitingStage"
	// ReasonReplaced withholds the deletion of an object that is another one now.
	ReasonReplaced = "Replaced"
)

// Result is what was done with one object.
type Result struct {
	diff.ID
	// Source is the file that declares it; empty when Git does not.
	Source string
	Done   Done
	// Reason is a constant; empty when there is nothing to explain.
	Reason string
	// Message says what is wrong and the way out. It holds no value of a Secret.
	Message string
	// print is what it was like when it was written; empty when it was not.
	print owned.Print
}

// String is such as "Failed ConfigMap kube-system/settings: Conflict: ...".
func (r Result) String() string {
	text := string(r.Done) + " " + r.ID.String()
	for _, part := range []string{r.Reason, r.Message} {
		if part != "" {
			text += ": " + part
		}
	}
	return text
}

// Results are the results of a pass, in the order in which they came about.
type Results []Result

// Of returns the results of one sort, in their order.
func (r Results) Of(done Done) Results {
	var out Results
	for _, result := range r {
		if result.Done == done {
			out = append(out, result)
		}
	}
	return out
}

// Errors returns an error for each object that failed.
func (r Results) Errors() []*Error {
	var out []*Error
	for _, f := range r.Of(Failed) {
		object := f.ID.String()
		if f.Source != "" {
			object = fmt.Sprintf("%s (%s)", f.ID, f.Source)
		}
		out = append(out, &Error{Reason: f.Reason, Object: object, Message: f.Message})
	}
	return out
}

func resultOf(c diff.Change, done Done, reason, message string) Result {
	return Result{ID: c.ID, Source: c.Source, Done: done, Reason: reason, Message: message}
}
