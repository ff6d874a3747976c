package sync

import (
	"errors"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// said are the entries of a history, one a line: commit, outcome, and when it was
// applied and proven, in hours since before.
func said(history []v1alpha1.HistoryEntry) []string {
	at := func(t *metav1.Time) string {
		if t == nil {
			return "-"
		}
		return fmt.Sprint(int(t.Sub(before).Hours()))
	}
	var out []string
	for _, e := range history {
		out = append(out, fmt.Sprintf("%s %s %s %s", short(e.Commit), e.Outcome, at(e.Applied), at(e.Proven)))
	}
	return out
}

func TestHistory(t *testing.T) {
	t.Parallel()
	then := metav1.NewTime(before)
	proven := v1alpha1.HistoryEntry{Commit: oldCommit, Outcome: "Proven", Applied: &then, Proven: &then}
	on := func(outcome string) v1alpha1.HistoryEntry {
		return v1alpha1.HistoryEntry{Commit: oldCommit, Outcome: outcome, Applied: &then}
	}
	entry := func(commit, outcome string) v1alpha1.HistoryEntry {
		return v1alpha1.HistoryEntry{Commit: commit, Outcome: outcome}
	}
	for sentence, c := range map[string]struct {
		had    []v1alpha1.HistoryEntry
		change func(*outcome)
		want   []string
	}{
		"the first commit is proven at once": {nil, func(*outcome) {}, []string{"89abcdef Proven 1 1"}},
		"the next one is":                    {[]v1alpha1.HistoryEntry{proven}, func(*outcome) {}, []string{"89abcdef Proven 1 1", "01234567 Proven 0 0"}},
		"it is on its way":                   {[]v1alpha1.HistoryEntry{proven}, func(o *outcome) { o.proven, o.rollouts = "", rollouts(v1alpha1.PhaseSoaking, "Soaking") }, []string{"89abcdef Rolling 1 -", "01234567 Proven 0 0"}},
		"it is rejected":                     {[]v1alpha1.HistoryEntry{proven}, func(o *outcome) { o.proven, o.rollouts = "", rollouts(v1alpha1.PhaseRejected, "CrashLoop") }, []string{"89abcdef Rejected 1 -", "01234567 Proven 0 0"}},
		"it cannot be applied":               {[]v1alpha1.HistoryEntry{proven}, func(o *outcome) { o.applied, o.proven = "", ""; o.fail(&apply.Error{Reason: apply.ReasonConflict}) }, []string{"89abcdef Conflict - -", "01234567 Proven 0 0"}},
		"Git does not answer, which says nothing": {[]v1alpha1.HistoryEntry{on("Rolling")}, func(o *outcome) {
			o.fetched.Commit, o.applied, o.proven = oldCommit, "", ""
			o.fail(&git.Error{Reason: git.Unreachable})
		}, []string{"01234567 Rolling 0 -"}},
		"it is not signed": {[]v1alpha1.HistoryEntry{proven}, func(o *outcome) {
			o.declared, o.applied, o.proven = oldCommit, oldCommit, oldCommit
			o.fail(&git.Error{Reason: git.UnverifiedCommit, Commit: &git.Commit{Hash: newCommit}})
		}, []string{"89abcdef UnverifiedCommit - -", "01234567 Proven 0 0"}},
		"what was proven stays proven":           {[]v1alpha1.HistoryEntry{proven}, func(o *outcome) { o.fetched.Commit, o.applied, o.proven = oldCommit, "", ""; o.fail(errors.New("x")) }, []string{"01234567 Proven 0 0"}},
		"a newer one takes its place on the way": {[]v1alpha1.HistoryEntry{on("Rolling")}, func(*outcome) {}, []string{"89abcdef Proven 1 1", "01234567 Superseded 0 -"}},
		"one that was rejected remains so":       {[]v1alpha1.HistoryEntry{on("Rejected")}, func(*outcome) {}, []string{"89abcdef Proven 1 1", "01234567 Rejected 0 -"}},
		"it is held, and the one before is proven": {[]v1alpha1.HistoryEntry{entry(newCommit, "AwaitingApproval"), on("Superseded")}, func(o *outcome) {
			o.declared, o.applied, o.proven, o.hold = oldCommit, oldCommit, oldCommit, &hold{reason: ReasonAwaitingApproval}
		}, []string{"89abcdef AwaitingApproval - -", "01234567 Proven 0 1"}},
		"it comes back by a revert":             {[]v1alpha1.HistoryEntry{on("Rejected"), {Commit: newCommit, Outcome: "Proven", Applied: &then, Proven: &then}}, func(*outcome) {}, []string{"89abcdef Proven 1 1", "01234567 Rejected 0 -", "89abcdef Proven 0 0"}},
		"a pass that read nothing adds nothing": {[]v1alpha1.HistoryEntry{on("Rolling")}, func(o *outcome) { *o = *newOutcome(o.gs); o.fail(errors.New("x")) }, []string{"01234567 Rolling 0 -"}},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			o := outcomeOf(func(o *outcome) { o.gs.Status.History = c.had })
			c.change(o)
			if got := said(o.history(now)); fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("history %q, want %q", got, c.want)
			}
		})
	}
}

func TestHistoryIsBoundedAndRests(t *testing.T) {
	t.Parallel()
	gs := &v1alpha1.GitSync{}
	for i := range 25 {
		o := newOutcome(gs)
		commit := fmt.Sprintf("%040x", i)
		o.fetched, o.applied, o.proven = &v1alpha1.Commit{Commit: commit}, commit, commit
		gs.Status.History = o.history(now.Add(time.Duration(i) * time.Hour))
		if again := o.history(now.Add(time.Duration(i)*time.Hour + time.Minute)); fmt.Sprint(again) != fmt.Sprint(gs.Status.History) {
			t.Fatalf("the same outcome makes another history: %v", again)
		}
	}
	if got := gs.Status.History; len(got) != v1alpha1.MaxHistory || got[0].Commit != fmt.Sprintf("%040x", 24) {
		t.Errorf("%d entries, the first of commit %s", len(got), got[0].Commit)
	}
}
