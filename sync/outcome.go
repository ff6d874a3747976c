package sync

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// outcome is everything that one pass found out. The status is derived from it
// in one place.
type outcome struct {
	gs *v1alpha1.GitSync
	// failure is what stopped the pass; nil when it came to its end.
	failure *Failure
	fetched *v1alpha1.Commit
	// declared is the commit that the pass works with: the newest one that can be
	// rendered, or while that is held the last one that was not; empty for none.
	declared string
	// applied and proven are empty where this pass did not get there: the
	// status keeps what earlier passes reached.
	applied, proven string
	rollouts        []v1alpha1.RolloutSummary
	// native counts the declared DaemonSets that are left to Kubernetes.
	native int
	// absent counts the agents that proven DaemonSets lack, and held the nodes
	// that are kept out of rollouts.
	absent, held int32
	inventory    *v1alpha1.Inventory
	// stragglers says which nodes a proven version has not reached; empty when
	// there are none.
	stragglers string
	// withheld are the objects that Git declares no more and that are kept; nil
	// where this pass did not look.
	withheld []diff.Change
	// waiting counts what was not written because something before it failed.
	waiting int
	// fought counts the objects that are put right later, since somebody changes them
	// back again and again, and fights says which and who; empty when nobody does.
	fought int
	// reverts counts what somebody has changed back since the last pass.
	reverts int
	fights  string
	// objects counts what the commit declares beside the rolled DaemonSets.
	objects int
	// hold is why the newest commit is not the one that is declared; nil when it is.
	hold *hold
	// findings are what is doubtful in the newest commit; looked is whether this pass knows them.
	findings []render.Finding
	looked   bool
	// pending is what the newest commit would change; nil when that was not asked.
	pending *v1alpha1.Pending
}

func newOutcome(gs *v1alpha1.GitSync) *outcome {
	return &outcome{gs: gs, rollouts: gs.Status.Rollouts, inventory: gs.Status.Inventory}
}

func (o *outcome) fail(err error) *outcome {
	o.failure = newFailure(err)
	return o
}

// take learns how far the rollouts are. The commit is proven when it is applied and
// all of them are.
func (o *outcome) take(s summary) {
	o.rollouts, o.stragglers, o.absent, o.held = s.rows, s.stragglers, s.absent, s.held
	if s.proven {
		o.proven = o.applied
	}
}

// observing is whether nothing is written but the status.
func (o *outcome) observing() bool {
	return o.gs.Spec.Mode == v1alpha1.ModeObserve
}

// awaitsApproval is whether a person has to look at the newest commit.
func (o *outcome) awaitsApproval() bool {
	return o.hold != nil && o.hold.reason == ReasonAwaitingApproval
}

// holdsAnother is whether another commit is held now than before.
func (o *outcome) holdsAnother() bool {
	before := o.gs.Status.Fetched
	return o.hold != nil && o.fetched != nil && before != nil && before.Commit != o.fetched.Commit
}

// conflicts are the objects that this pass found in conflict.
func (o *outcome) conflicts() []string {
	if o.failure == nil {
		return nil
	}
	return conflicted(o.failure)
}

// waits counts what comes after an object that failed in the middle of a commit.
func (o *outcome) waits() string {
	if o.waiting == 0 {
		return ""
	}
	if o.waiting == 1 {
		return "; 1 object that comes after waits for that, and so do the DaemonSets"
	}
	return fmt.Sprintf("; %d objects that come after wait for that, and so do the DaemonSets", o.waiting)
}

// declares says of which DaemonSets a commit at rest is proven.
func (o *outcome) declares() string {
	native := fmt.Sprintf("leaves %s to Kubernetes (%s: %s), of which nothing is proven", daemonSets(o.native), v1alpha1.AnnotationRollout, v1alpha1.RolloutNative)
	proven := fmt.Sprintf("is proven on every eligible node of %s%s", daemonSets(len(o.rollouts)), o.exceptions())
	switch {
	case len(o.rollouts) == 0 && o.native == 0:
		return "declares no DaemonSet"
	case len(o.rollouts) == 0:
		return native
	case o.native == 0:
		return proven
	default:
		return proven + ", and " + native
	}
}

func daemonSets(count int) string {
	if count == 1 {
		return "1 DaemonSet"
	}
	return fmt.Sprintf("%d DaemonSets", count)
}

// exceptions are the nodes of which nobody can tell that they run what is proven.
func (o *outcome) exceptions() string {
	var parts []string
	if o.absent > 0 {
		parts = append(parts, fmt.Sprintf("%d without a Ready agent", o.absent))
	}
	if o.held > 0 {
		parts = append(parts, fmt.Sprintf("%d held out by the label %s, which keep the version that they have", o.held, v1alpha1.LabelHold))
	}
	if len(parts) == 0 {
		return ""
	}
	return " but for " + strings.Join(parts, ", ")
}

// emptied is whether Git declared something once and declares nothing now.
func (o *outcome) emptied() bool {
	return o.keeps(diff.ReasonEmptyRender)
}

// keeps is whether something that Git declares no more is kept for the reason.
func (o *outcome) keeps(reason string) bool {
	return slices.ContainsFunc(o.withheld, func(c diff.Change) bool { return c.Reason == reason })
}

// kept counts by reason what Git declares no more and is not pruned now, each
// reason with what it means for the first such object, and what is fought over;
// empty when there is nothing of that.
func (o *outcome) kept() string {
	counts, first := map[string]int{}, map[string]string{}
	for _, c := range o.withheld {
		if counts[c.Reason]++; counts[c.Reason] == 1 {
			first[c.Reason] = c.Message
		}
	}
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(counts)) {
		part := fmt.Sprintf("%d %s", counts[reason], reason)
		if first[reason] != "" {
			part += " (" + first[reason] + ")"
		}
		parts = append(parts, part)
	}
	out := ""
	if len(parts) > 0 {
		out = "; not pruned: " + strings.Join(parts, ", ")
	}
	if o.fights != "" {
		out += "; " + o.fights
	}
	return out
}

func (o *outcome) readyBefore() metav1.ConditionStatus {
	if c := readyCondition(o.gs); c != nil {
		return c.Status
	}
	return metav1.ConditionUnknown
}

func readyCondition(gs *v1alpha1.GitSync) *metav1.Condition {
	return apimeta.FindStatusCondition(gs.Status.Conditions, "Ready")
}

func (o *outcome) first(of func(v1alpha1.Phase) bool) (v1alpha1.RolloutSummary, bool) {
	for _, r := range o.rollouts {
		if of(r.Phase) {
			return r, true
		}
	}
	return v1alpha1.RolloutSummary{}, false
}

func (o *outcome) commit() string {
	if o.applied != "" {
		return o.applied
	}
	return o.gs.Status.Applied
}

func short(commit string) string {
	return commit[:min(len(commit), 8)]
}

// status derives the status from the outcome.
func (o *outcome) status(now time.Time) v1alpha1.GitSyncStatus {
	out := *o.gs.Status.DeepCopy()
	out.ObservedGeneration = o.gs.Generation
	out.Conditions = apply.Conditions(o.gs.Status.Conditions, o.condition(), o.gs.Generation, now)
	out.LastHandledReconcileAt = o.gs.Annotations[v1alpha1.AnnotationReconcileAt]
	out.Rollouts, out.Inventory = o.rollouts, o.inventory
	out.Pending, out.History = o.pendingNow(), o.history(now)
	if o.looked {
		out.Warnings, out.WarningCount = warnings(o.findings), int32(len(o.findings)) //nolint:gosec // bounded by the limits of a build
	}
	if o.fetched != nil {
		out.Fetched = o.fetched
	}
	if o.applied != "" {
		out.Applied = o.applied
	}
	if o.proven != "" {
		out.Proven = o.proven
	}
	return out
}

// pendingNow is what is said of the newest commit from now on: of a pass that did
// not come so far, what was said before.
func (o *outcome) pendingNow() *v1alpha1.Pending {
	if o.pending == nil && (o.failure != nil || o.gs.Spec.Suspend) {
		return o.gs.Status.Pending
	}
	return o.pending
}

func (c *Controller) writeStatus(ctx context.Context, gs *v1alpha1.GitSync, o *outcome) error {
	next := gs.DeepCopy()
	next.Status = o.status(time.Now())
	if equality.Semantic.DeepEqual(next.Status, gs.Status) {
		return nil
	}
	written, err := c.Kinds.GitSyncs(gs.Namespace).UpdateStatus(ctx, next, metav1.UpdateOptions{FieldManager: v1alpha1.FieldManager})
	if err != nil {
		return fmt.Errorf("write status of gitsync %s/%s: %w", gs.Namespace, gs.Name, err)
	}
	c.remember(gs).written = written
	return nil
}
