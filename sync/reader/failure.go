package reader

import (
	"context"
	"errors"
	"io/fs"

	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/render"
)

// failure is an error on the wire. One of its fields is set. What an error wraps travels as far as a caller may ask
// for it.
type failure struct {
	Git    *gitFailure     `json:",omitempty"`
	Render []renderFailure `json:",omitempty"`
	// Several is whether there was a list of errors, be it one of one.
	Several bool   `json:",omitempty"`
	Reader  *Error `json:",omitempty"`
}

// gitFailure is a git.Error, whole.
type gitFailure struct {
	git.Error
	Cause cause `json:",omitempty"`
}

// renderFailure is a render.Error, whole.
type renderFailure struct {
	render.Error
	Cause cause       `json:",omitempty"`
	Git   *gitFailure `json:",omitempty"`
}

// cause names an error that others are compared with. The set is closed.
type cause string

const (
	causeNone     cause = ""
	causeNotExist cause = "not exist"
	causeCanceled cause = "canceled"
	causeDeadline cause = "deadline"
)

func causeOf(err error) cause {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return causeNotExist
	case errors.Is(err, context.Canceled):
		return causeCanceled
	case errors.Is(err, context.DeadlineExceeded):
		return causeDeadline
	default:
		return causeNone
	}
}

func (c cause) error() error {
	switch c {
	case causeNotExist:
		return fs.ErrNotExist
	case causeCanceled:
		return context.Canceled
	case causeDeadline:
		return context.DeadlineExceeded
	case causeNone:
		return nil
	default:
		return nil
	}
}

// newFailure takes an error apart. An error of another package is told by its message alone.
func newFailure(err error) *failure {
	var several render.Errors
	var one *render.Error
	var fromGit *git.Error
	var own *Error
	switch {
	case errors.As(err, &several):
		out := &failure{Several: true}
		for _, e := range several {
			out.Render = append(out.Render, newRenderFailure(e))
		}
		return out
	case errors.As(err, &one):
		return &failure{Render: []renderFailure{newRenderFailure(one)}}
	case errors.As(err, &fromGit):
		return &failure{Git: newGitFailure(fromGit)}
	case errors.As(err, &own):
		return &failure{Reader: own}
	default:
		return &failure{Reader: errorf(Failed, Rendering, "%v", err)}
	}
}

func newGitFailure(e *git.Error) *gitFailure {
	out := &gitFailure{Error: *e, Cause: causeOf(e.Err)}
	out.Err = nil
	return out
}

func newRenderFailure(e *render.Error) renderFailure {
	out := renderFailure{Error: *e, Cause: causeOf(e.Err)}
	out.Err = nil
	if fromGit, ok := errors.AsType[*git.Error](e.Err); ok {
		out.Git, out.Cause = newGitFailure(fromGit), causeNone
	}
	return out
}

// error puts the error together again; nil when the failure is empty.
func (f *failure) error() error {
	switch {
	case f.Git != nil:
		return f.Git.error()
	case f.Several:
		all := make(render.Errors, 0, len(f.Render))
		for _, e := range f.Render {
			all = append(all, e.error())
		}
		return all
	case len(f.Render) > 0:
		return f.Render[0].error()
	case f.Reader != nil:
		return f.Reader
	default:
		return nil
	}
}

func (f *gitFailure) error() *git.Error {
	out := f.Error
	out.Err = f.Cause.error()
	return &out
}

func (f *renderFailure) error() *render.Error {
	out := f.Error
	if f.Git != nil {
		out.Err = f.Git.error()
	} else {
		out.Err = f.Cause.error()
	}
	return &out
}
