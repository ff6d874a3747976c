package sync

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// condition says in one place what the pass means. First match wins:
//
//	failed ............................ Ready=False, Reconciling: it is tried again by itself; Stalled if it is not signed
//	suspended ......................... Ready as before; Stalled if it was not
//	observed, and something differs ... Ready=False, Stalled
//	observed, and nothing does ........ Ready=True
//	the newest commit is held ......... Ready=False; Stalled if a person has to act, else Reconciling
//	otherwise ......................... see reached
func (o *outcome) condition() apply.Condition {
	out := o.judged()
	if o.failure == nil && !o.gs.Spec.Suspend {
		out.Message += o.remarks()
	}
	return out
}

// remarks are what else there is to say of the ref that led to the newest commit.
func (o *outcome) remarks() string {
	f, out := o.fetched, ""
	if f == nil {
		return ""
	}
	if f.MovedFrom != "" {
		out += fmt.Sprintf("; %s was moved there from commit %s", gitRef(f.Ref), short(f.MovedFrom))
	}
	if f.Note != "" {
		out += "; " + f.Note
	}
	return out
}

// called is a commit in words, with the tag that led to it.
func (o *outcome) called(commit string) string {
	if f := o.fetched; f != nil && f.Commit == commit && strings.HasPrefix(f.Ref, "refs/tags/") {
		return fmt.Sprintf("%s (%s)", short(commit), gitRef(f.Ref))
	}
	return short(commit)
}

func (o *outcome) judged() apply.Condition {
	switch {
	case o.failure != nil:
		message := o.failure.Message + o.waits()
		if o.hold != nil {
			message += "; " + o.heldBy()
		}
		out := apply.Condition{Ready: metav1.ConditionFalse, Extra: "Reconciling", Reason: o.failure.Reason, Message: message}
		if out.Reason == string(git.UnverifiedCommit) {
			out.Extra = "Stalled"
			if o.declared != "" {
				out.Message += "; meanwhile " + o.reached().Message
			}
		}
		return out
	case o.gs.Spec.Suspend:
		out := apply.Condition{Ready: o.readyBefore(), Reason: ReasonSuspended, Message: "suspended: nothing is polled or applied; rollouts under way go on"}
		if out.Ready == metav1.ConditionFalse {
			out.Extra = "Stalled"
		}
		return out
	case o.observing():
		return o.watched()
	case o.hold != nil:
		out := apply.Condition{Ready: metav1.ConditionFalse, Extra: "Reconciling", Reason: o.hold.reason, Message: o.heldBy()}
		if o.hold.stalled {
			out.Extra = "Stalled"
		}
		if o.declared != "" {
			out.Message += "; meanwhile " + o.reached().Message
		}
		return out
	default:
		return o.reached()
	}
}

// heldBy is why the newest commit is held, with what it would change.
func (o *outcome) heldBy() string {
	if o.pending == nil {
		return o.hold.message
	}
	return o.hold.message + "; " + foretold(o.pending)
}

// watched is the condition while nothing is written.
func (o *outcome) watched() apply.Condition {
	if o.pending == nil {
		return apply.Condition{Ready: metav1.ConditionFalse, Extra: "Reconciling", Reason: ReasonObserved, Message: "mode observe: no commit has been read yet"}
	}
	out := apply.Condition{Ready: metav1.ConditionTrue, Reason: ReasonObserved,
		Message: fmt.Sprintf("mode observe writes nothing; commit %s: %s%s", o.called(o.pending.Commit), foretold(o.pending), o.kept())}
	if len(o.pending.Objects) > 0 {
		out.Ready, out.Extra, out.Reason = metav1.ConditionFalse, "Stalled", ReasonDiffers
		out.Message += "; to have it applied set spec.mode to auto or approve"
	}
	return out
}

// reached is how far the declared commit has come:
//
//	Git declares nothing any more ..... Ready=False, Stalled: that prunes nothing
//	a rollout rejected or held ........ Ready=False, Stalled
//	a rollout on its way .............. Ready=False, Reconciling
//	proven, but not on every node ..... Ready=False, Reconciling
//	somebody changes objects back ..... Ready=False, Reconciling
//	too much to prune unasked ......... Ready=False, Stalled
//	every rollout proven .............. Ready=True
func (o *outcome) reached() apply.Condition {
	if o.emptied() {
		return apply.Condition{Ready: metav1.ConditionFalse, Extra: "Stalled", Reason: ReasonPruneBlocked,
			Message: fmt.Sprintf("commit %s declares no object at all, so that all %d objects are kept: push a commit that declares some, correct spec.source.path, or set spec.deletionPolicy to prune and delete the GitSync", short(o.declared), len(o.withheld))}
	}
	if r, stopped := o.first(func(p v1alpha1.Phase) bool { return p == v1alpha1.PhaseRejected || p == v1alpha1.PhaseHeld }); stopped {
		return apply.Condition{Ready: metav1.ConditionFalse, Extra: "Stalled", Reason: ReasonRolloutStopped,
			Message: fmt.Sprintf("DaemonSet %s/%s is %s: see its NodeRollout%s", r.Namespace, r.Name, phased(r), o.kept())}
	}
	if r, moving := o.first(func(p v1alpha1.Phase) bool { return p != v1alpha1.PhaseProven }); moving {
		return apply.Condition{Ready: metav1.ConditionFalse, Extra: "Reconciling", Reason: ReasonRolling,
			Message: fmt.Sprintf("commit %s is applied; DaemonSet %s/%s is %s%s", o.called(o.commit()), r.Namespace, r.Name, phased(r), o.kept())}
	}
	if o.stragglers != "" {
		return apply.Condition{Ready: metav1.ConditionFalse, Extra: "Reconciling", Reason: ReasonStragglers,
			Message: fmt.Sprintf("commit %s is applied; %s%s", o.called(o.commit()), o.stragglers, o.kept())}
	}
	if o.fights != "" {
		return apply.Condition{Ready: metav1.ConditionFalse, Extra: "Reconciling", Reason: ReasonFought,
			Message: fmt.Sprintf("commit %s is applied%s", o.called(o.commit()), o.kept())}
	}
	out := apply.Condition{Ready: metav1.ConditionTrue, Reason: ReasonProven,
		Message: fmt.Sprintf("commit %s is applied and %s%s", o.called(o.commit()), o.declares(), o.kept())}
	if o.keeps(diff.ReasonPruneLimitExceeded) {
		out.Ready, out.Extra, out.Reason = metav1.ConditionFalse, "Stalled", diff.ReasonPruneLimitExceeded
		out.Message += "; to have them pruned: " + approval(o.gs, o.declared)
	}
	return out
}

// saidBefore is whether the pass before came to the same. The same hold of another
// commit is another one, and so is a failure in other words: other objects may be at
// fault.
func (o *outcome) saidBefore(now apply.Condition) bool {
	before := readyCondition(o.gs)
	if before == nil || before.Reason != now.Reason || string(before.Status) != string(now.Ready) || o.holdsAnother() {
		return false
	}
	return o.failure == nil || before.Message == now.Message
}

// phased is how far a rollout is, with its reason where that says more.
func phased(r v1alpha1.RolloutSummary) string {
	switch {
	case r.Phase == "":
		return "not begun yet"
	case r.Reason == string(r.Phase):
		return r.Reason
	default:
		return fmt.Sprintf("%s (%s)", r.Phase, r.Reason)
	}
}
