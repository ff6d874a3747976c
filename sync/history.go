package sync

import (
	"cmp"
	"errors"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/reader"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// outcomeSuperseded is a commit that another one took the place of on its way.
const outcomeSuperseded = "Superseded"

// history is what became of the last commits, the latest first. A pass begins an
// entry when it has read another commit than the one before, and adds to those of
// the commits that it got somewhere with. An entry that is proven stays as it is.
func (o *outcome) history(now time.Time) []v1alpha1.HistoryEntry {
	at := metav1.NewTime(now).Rfc3339Copy()
	out := o.begun(at)
	latest := func(commit string) int {
		return slices.IndexFunc(out, func(e v1alpha1.HistoryEntry) bool { return e.Commit == commit })
	}
	if i := latest(o.applied); i >= 0 && out[i].Applied == nil {
		out[i].Applied = &at
	}
	if i := latest(o.proven); i >= 0 && out[i].Proven == nil {
		out[i].Proven, out[i].Outcome = &at, ReasonProven
	}
	if len(out) > 0 && out[0].Proven == nil && o.fetched != nil && !o.unread() {
		out[0].Outcome = o.verdict(out[0].Commit)
	}
	return out
}

// begun is the history with an entry of the commit that was read.
func (o *outcome) begun(at metav1.Time) []v1alpha1.HistoryEntry {
	out, f := slices.Clone(o.gs.Status.History), o.fetched
	if f == nil {
		return out
	}
	if len(out) > 0 && out[0].Commit == f.Commit {
		out[0].SignedBy = cmp.Or(f.SignedBy, out[0].SignedBy) // the signers may have become others
		return out
	}
	if len(out) > 0 && superseded(out[0]) {
		out[0].Outcome = outcomeSuperseded
	}
	out = slices.Insert(out, 0, v1alpha1.HistoryEntry{Commit: f.Commit, Subject: f.Subject, SignedBy: f.SignedBy, Fetched: at})
	return out[:min(len(out), v1alpha1.MaxHistory)]
}

// superseded is whether a commit was still on its way. One that was refused or
// rejected had come to its end.
func superseded(e v1alpha1.HistoryEntry) bool {
	switch e.Outcome {
	case "", ReasonRolling, ReasonStragglers, ReasonAwaitingApproval, ReasonDependencyNotReady, ReasonDependencyNotFound, ReasonDependencyCycle, ReasonDiffers, ReasonObserved, string(v1alpha1.PhaseHeld):
		return e.Proven == nil
	default:
		return false
	}
}

// unread is whether the pass failed to ask Git, which says nothing of a commit. That one is not signed does.
func (o *outcome) unread() bool {
	var fromGit *git.Error
	var fromReader *reader.Error
	switch {
	case o.failure == nil:
		return false
	case errors.As(o.failure, &fromReader):
		return fromReader.Doing == reader.Fetching
	case errors.As(o.failure, &fromGit):
		return fromGit.Commit == nil
	default:
		return o.failure.Reason == ReasonSecretNotFound || o.failure.Reason == ReasonSecretInvalid || o.failure.Reason == ReasonScheduleInvalid
	}
}

// verdict is how far the newest commit has come.
func (o *outcome) verdict(commit string) string {
	stopped := func(p v1alpha1.Phase) bool { return p == v1alpha1.PhaseRejected || p == v1alpha1.PhaseHeld }
	c := o.condition()
	if r, is := o.first(stopped); is && o.applied == commit && c.Reason == ReasonRolloutStopped {
		return string(r.Phase)
	}
	return c.Reason
}
