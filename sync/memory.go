package sync

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/rollcall-dev/rollcall/apply/account"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/reader"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// memory is what a process knows of one GitSync: enough to make a pass without
// asking Git again before it is time. A new process knows nothing, and polls.
type memory struct {
	// source was asked last.
	source git.Source
	// as is whom the last pass acted as.
	as account.Account
	// question is what the last poll answered, well or with failure.
	question question
	// pollAt is when to ask Git again, unless the question changes.
	pollAt time.Time
	asking asking
	// failure is why the last poll gave nothing; nil when it did.
	failure error
	// awaited are the versions of the Secrets that it read, curable is whether others can mend its failure, and cured
	// whether there are others since.
	awaited        atomic.Pointer[string]
	curable, cured atomic.Bool
	// failures counts what failed in a row; retryAt is when to try again.
	failures int
	retryAt  time.Time
	// races counts passes in a row that somebody else's write overtook.
	races int
	// conflicts are the objects that the last pass found in conflict.
	conflicts []string
	// late are the objects that a pass kept from their change on purpose.
	late []diff.ID
	// left is how the last pass left the cluster, and stirred whether something has happened since that it may have to
	// answer.
	left    left
	stirred atomic.Bool
	// disturbed is whether this pass is made because of that.
	disturbed bool
	// fights are over objects that somebody changes back.
	fights fights
	// whole is what a pass applied to its end, so that what differs now has
	// drifted; written is the GitSync as this process wrote it last.
	whole   rendered
	written *v1alpha1.GitSync

	// declared is what from declares, and commit describes it; declared is nil
	// before the first commit that could be rendered.
	from     rendered
	declared *render.Declared
	commit   v1alpha1.Commit
	// basis is what declared rests on: while that is the same in another commit, so is what it declares.
	basis *reader.Basis
	// refused is the commit that could not be read last.
	refused refused
	// verifiedFor is what the signature of from was verified for.
	verifiedFor string
	// fetched is the newest commit that was read; commit, unless that one cannot
	// be rendered. parents are the commits before it.
	fetched *v1alpha1.Commit
	parents []string
	// admitted is the last version that nothing held.
	admitted version
	// previewed is what the newest commit would change, as it was asked for one
	// question; nil when it was not.
	previewed    *v1alpha1.Pending
	previewedFor question
}

// newest is the newest version that can be rendered.
func (m *memory) newest() version {
	return version{from: m.from, declared: m.declared, commit: m.commit}
}

// question is what a person can change to be answered at once.
type question struct {
	generation  int64
	reconcileAt string
}

func questionOf(gs *v1alpha1.GitSync) question {
	return question{generation: gs.Generation, reconcileAt: gs.Annotations[v1alpha1.AnnotationReconcileAt]}
}

// rendered names what a Declared was made of.
type rendered struct {
	url, ref, path, namespace, commit, selection string
	// inputs names the variables and keys that it was rendered with, which are of no place.
	inputs string
}

// at is the same place at another commit.
func (r rendered) at(commit string) rendered {
	r.commit = commit
	return r
}

// place is where it comes from, at no commit.
func (r rendered) place() rendered {
	r.inputs = ""
	return r.at("")
}

// placeOf is what a GitSync declares from, at no commit.
func placeOf(gs *v1alpha1.GitSync) rendered {
	s := gs.Spec.Source
	return rendered{url: s.URL, ref: s.Ref.String(), path: path(gs), namespace: gs.Namespace, selection: selectionOf(s)}
}

// answers is whether the last poll still answers the question, so that Git need
// not be asked.
func (m *memory) answers(q question, now time.Time) bool {
	return m.question == q && now.Before(m.pollAt)
}

// lastGood is what the last commit that could be rendered declares, if it is of
// the same place; otherwise nil.
func (m *memory) lastGood(place rendered) *render.Declared {
	if m.declared == nil || m.from.place() != place {
		return nil
	}
	return m.declared
}

// known is what the last commit that could be rendered rests on, if it is of the
// same place; otherwise nil.
func (m *memory) known(from rendered) *reader.Basis {
	if m.lastGood(from.place()) == nil {
		return nil
	}
	return m.basis
}

// The delay before a failed pass is tried again doubles from firstRetry to
// lastRetry.
const (
	firstRetry = 5 * time.Second
	lastRetry  = 10 * time.Minute
)

// polled notes how a poll ended and when the next one is due: by the rhythm from when
// the question went out, or sooner after a failure, but no sooner than the server
// wants.
func (m *memory) polled(q question, err error, r rhythm, now time.Time) {
	m.question, m.failure = q, err
	m.asking.due, m.pollAt = r.next(m.asking.answered)
	if err != nil {
		m.failed(now)
		m.pollAt = earlier(m.pollAt, m.retryAt)
		if errors.Is(err, git.UnverifiedCommit) { // the signers may be others soon, and nothing tells
			m.pollAt = earlier(m.pollAt, now.Add(jittered(unverifiedRetry)))
		}
	}
	if e, ok := errors.AsType[*git.Error](err); ok && e.RetryAt.After(m.pollAt) {
		m.pollAt = e.RetryAt.Add(rand.N(time.Second)) //nolint:gosec // it guards nothing
	}
}

// ended notes how a pass ended and returns when the next one is due: at the
// next poll, or sooner after a failure.
func (m *memory) ended(failed bool, now time.Time) time.Duration {
	next := m.pollAt
	switch {
	case !failed:
		m.failures, m.retryAt = 0, time.Time{}
	case m.failure == nil:
		m.failed(now)
		next = earlier(next, m.retryAt)
	}
	return max(next.Sub(now), time.Millisecond)
}

// maxRaces is how often in a row a pass may be overtaken without a word.
const maxRaces = 5

// lostRace notes whether a pass was overtaken, and nothing else was wrong with
// it, and returns whether to make it again at once. When that happens too often
// in a row it is a failure like any other, and stays one until a pass comes
// through.
func (m *memory) lostRace(overtaken bool) bool {
	if !overtaken {
		m.races = 0
		return false
	}
	m.races++
	return m.races <= maxRaces
}

// beganConflicts notes which objects are in conflict and returns how many of them
// were not before: a conflict is one however many passes meet it.
func (m *memory) beganConflicts(objects []string) int {
	began := 0
	for _, o := range objects {
		if !slices.Contains(m.conflicts, o) {
			began++
		}
	}
	m.conflicts = objects
	return began
}

// failed counts a failure and sets when to try again. A failure before that
// time, in a pass that an event asked for, changes neither.
func (m *memory) failed(now time.Time) {
	if now.Before(m.retryAt) {
		return
	}
	m.retryAt = now.Add(jittered(min(firstRetry<<min(m.failures, 10), lastRetry)))
	m.failures++
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// jittered adds up to 10%, so that a hundred GitSyncs of one server do not poll
// it in one second.
func jittered(d time.Duration) time.Duration {
	return d + rand.N(d/10+1) //nolint:gosec // it guards nothing
}
