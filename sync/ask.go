package sync

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// hintGap is the time between two polls that hints ask for: a burst of them is one
// poll now, and one when it is over.
const hintGap = 5 * time.Second

// asking is which answer of Git a GitSync has, and which it wants.
type asking struct {
	// wanted is when somebody last asked for an answer; one to a question that went
	// out before is none.
	wanted atomic.Pointer[time.Time]
	// answered is when the question went out whose answer is known.
	answered time.Time
	// due is when it is time for another one, without the part of chance.
	due time.Time
}

// want notes that somebody asks now. It is safe for concurrent use.
func (a *asking) want(now time.Time) {
	a.wanted.Store(&now)
}

// pending is when to ask because somebody wants an answer; zero if nobody does.
func (a *asking) pending() time.Time {
	if w := a.wanted.Load(); w == nil || !w.After(a.answered) {
		return time.Time{}
	}
	return a.answered.Add(hintGap)
}

// after is when the question must have gone out, at the earliest, of an answer that
// will do now: others who follow the same share it.
func (a *asking) after(r rhythm, now time.Time) time.Time {
	out := later(r.fresh(a.due, now), a.answered)
	if w := a.wanted.Load(); w != nil {
		out = later(out, *w)
	}
	return out
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// wants notes that somebody wants an answer of Git for a GitSync that is not older.
func (c *Controller) wants(key types.NamespacedName, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.memoryOf(key).asking.want(now)
}

// Reasons of events about a ref.
const (
	reasonTagMoved         = "TagMoved"
	reasonHistoryRewritten = "HistoryRewritten"
)

// seenCommit is what is known of the commit that was the newest one before.
type seenCommit struct {
	v1alpha1.Commit
	// parents are unknown after a restart.
	parents []string
}

// surprise is what has happened to a ref besides going forward: the reason of the
// event, empty if nothing is known to have.
//
//	a tag names another commit ........................ TagMoved
//	a branch is back at a commit that was newest once .. HistoryRewritten
//	its commit has no parent that the one before lacks . HistoryRewritten: it cannot have that one before it
//
// Whether other commits come after the one before only a whole clone would tell.
func surprise(before seenCommit, now git.Commit, tip git.Tip, history []v1alpha1.HistoryEntry) string {
	switch {
	case before.Commit.Commit == "" || before.Commit.Commit == now.Hash || before.Ref != tip.Ref || tip.Ref == "":
		return ""
	case strings.HasPrefix(tip.Ref, "refs/tags/"):
		return reasonTagMoved
	case slices.ContainsFunc(history, func(e v1alpha1.HistoryEntry) bool { return e.Commit == now.Hash }):
		return reasonHistoryRewritten
	case before.parents == nil && len(now.Parents) > 0:
		return ""
	case slices.Contains(before.parents, now.Hash), !slices.ContainsFunc(now.Parents, func(p string) bool { return !slices.Contains(before.parents, p) }):
		return reasonHistoryRewritten
	default:
		return ""
	}
}

// arrived describes a commit that was read for the first time, and says what has
// happened to its ref.
func (c *Controller) arrived(gs *v1alpha1.GitSync, m *memory, now git.Commit, tip git.Tip) v1alpha1.Commit {
	commit := commitOf(now)
	commit.Ref, commit.Note = tip.Ref, tip.Note
	before := m.before(gs)
	if before.Commit.Commit == now.Hash && before.Ref == tip.Ref {
		commit.MovedFrom = before.MovedFrom
	}
	switch ref := gitRef(tip.Ref); surprise(before, now, tip, gs.Status.History) {
	case reasonTagMoved:
		commit.MovedFrom = before.Commit.Commit
		c.Events.Eventf(gs, corev1.EventTypeWarning, reasonTagMoved, "%s has moved from commit %s to %s, which is followed; a version that others rely on needs a tag of its own", ref, short(commit.MovedFrom), short(now.Hash))
	case reasonHistoryRewritten:
		c.Events.Eventf(gs, corev1.EventTypeWarning, reasonHistoryRewritten, "the history of %s was rewritten: commit %s, which was the newest one, is not before %s, which is followed", ref, short(before.Commit.Commit), short(now.Hash))
	}
	return commit
}

// before is the commit that was the newest one, if it is of the same place: what a
// process that is new knows of it is in the status.
func (m *memory) before(gs *v1alpha1.GitSync) seenCommit {
	place := placeOf(gs)
	switch {
	case m.fetched != nil && m.from.url == place.url && m.from.ref == place.ref:
		return seenCommit{Commit: *m.fetched, parents: m.parents}
	case m.fetched == nil && gs.Status.Fetched != nil && gs.Status.ObservedGeneration == gs.Generation:
		return seenCommit{Commit: *gs.Status.Fetched}
	default:
		return seenCommit{}
	}
}

// gitRef is a branch or a tag in words.
func gitRef(ref string) string {
	for prefix, kind := range map[string]string{"refs/heads/": "branch ", "refs/tags/": "tag "} {
		if short, ok := strings.CutPrefix(ref, prefix); ok {
			return kind + short
		}
	}
	return ref
}
