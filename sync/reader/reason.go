package reader

import "fmt"

// Reason says why there is no answer. The set is closed, and each value is fit for a metric label or a condition. It
// is an error itself, so that errors.Is(err, reader.MemoryExceeded) holds of every error that carries it.
type Reason string

const (
	// MemoryExceeded is a repository that needs more memory than one read may have.
	MemoryExceeded Reason = "MemoryExceeded"
	// DeadlineExceeded is a repository that takes longer than one read may.
	DeadlineExceeded Reason = "DeadlineExceeded"
	// AnswerExceeded is a commit that declares more than a controller keeps in memory.
	AnswerExceeded Reason = "AnswerExceeded"
	// Crashed is a process that ended without an answer.
	Crashed Reason = "ReaderCrashed"
	// Garbled is a process that answered what this version does not write.
	Garbled Reason = "ReaderGarbled"
	// NotStarted is a process that could not be started.
	NotStarted Reason = "ReaderNotStarted"
	// Failed is an error that belongs to none of the packages whose errors an answer carries.
	Failed Reason = "ReadFailed"
)

// Error makes a Reason a target for errors.Is.
func (r Reason) Error() string {
	return string(r)
}

// Error is why there is no answer. It holds nothing that the child printed: that may be what a repository holds, or a
// credential.
type Error struct {
	Reason Reason
	// Doing is what the child was doing.
	Doing Doing
	// Message says what happened, the limit, and the way out.
	Message string
}

// Error is the message.
func (e *Error) Error() string {
	return e.Message
}

// Unwrap makes errors.Is find the reason.
func (e *Error) Unwrap() error {
	return e.Reason
}

// Costly is whether the same commit will most likely cost as much again.
func (e *Error) Costly() bool {
	switch e.Reason {
	case MemoryExceeded, DeadlineExceeded, AnswerExceeded, Crashed, Garbled:
		return true
	case NotStarted, Failed:
		return false
	default:
		return false
	}
}

// Doing is a part of a read.
type Doing string

// The parts of a read, in their order.
const (
	Fetching  Doing = "fetching"
	Rendering Doing = "rendering"
)

func errorf(reason Reason, doing Doing, format string, args ...any) *Error {
	return &Error{Reason: reason, Doing: doing, Message: fmt.Sprintf(format, args...)}
}
