package sync

import (
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/reader"
	"github.com/rollcall-dev/rollcall/sync/render"
)

// refused is a commit that cannot be read, which reading it again would not change: it is not read again until there is
// another commit, other options, or somebody who asks. What was stopped because it cost too much is tried again after a
// time that grows, for that may have been the machine.
type refused struct {
	from    rendered
	options render.Options
	// err is why; nil when nothing is refused.
	err error
	// until is when to try again; zero for never.
	until time.Time
	times int
}

// A read that was stopped is tried again after ten times as long as it took, twice as long each time, and at least once
// in an hour.
const (
	restAfter   = 10
	longestRest = time.Hour
)

// note remembers how a read of a commit ended.
func (r *refused) note(from rendered, options render.Options, err error, took time.Duration, now time.Time) {
	own, isOwn := errors.AsType[*reader.Error](err)
	costly := isOwn && own.Costly()
	if !costly && !lasting(err) {
		*r = refused{}
		return
	}
	times := 0
	if r.is(from, options) {
		times = r.times + 1
	}
	*r = refused{from: from, options: options, err: err, times: times}
	if costly {
		r.until = now.Add(min(took*restAfter<<min(times, 10), longestRest))
	}
}

func (r *refused) is(from rendered, options render.Options) bool {
	return r.err != nil && r.from == from && reflect.DeepEqual(r.options, options)
}

// again is the error of the last read if another one would give the same; otherwise nil.
func (r *refused) again(from rendered, options render.Options, now time.Time) error {
	if !r.is(from, options) || !r.until.IsZero() && !now.Before(r.until) {
		return nil
	}
	return r.err
}

// lasting is whether an error is one of the commit, and not of the server, the network or this machine.
func lasting(err error) bool {
	passing := []error{
		git.Unreachable, git.CertificateInvalid, git.InvalidAnswer, git.AuthenticationFailed, git.RepositoryNotFound,
		git.EmptyRepository, git.RefNotFound, git.CorruptRepository, git.CacheFailed, git.InvalidSource,
		git.UnverifiedCommit, // the signers may be others soon
	}
	if err == nil || slices.ContainsFunc(passing, func(reason error) bool { return errors.Is(err, reason) }) {
		return false
	}
	_, fromGit := errors.AsType[*git.Error](err)
	return fromGit || len(render.List(err)) > 0
}
