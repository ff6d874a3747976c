package sync

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

const (
	oldCommit = "0123456701234567012345670123456701234567"
	newCommit = "89abcdef89abcdef89abcdef89abcdef89abcdef"
)

// outcomeOf is the outcome of a pass that has proven newCommit, changed.
func outcomeOf(change func(*outcome)) *outcome {
	o := newOutcome(&v1alpha1.GitSync{
		ObjectMeta: metav1.ObjectMeta{Generation: 3, Annotations: map[string]string{v1alpha1.AnnotationReconcileAt: "17"}},
		Status: v1alpha1.GitSyncStatus{
			ObservedGeneration: 2, Applied: oldCommit, Proven: oldCommit, Fetched: &v1alpha1.Commit{Commit: oldCommit},
			Inventory: &v1alpha1.Inventory{Entries: []v1alpha1.InventoryEntry{{ID: "a_b__ConfigMap", Version: "v1"}}},
			Rollouts:  []v1alpha1.RolloutSummary{{Namespace: "kube-system", Name: "old", Phase: v1alpha1.PhaseProven}},
			Conditions: []metav1.Condition{
				{Type: "Ready", Status: metav1.ConditionFalse, Reason: "Rolling", LastTransitionTime: metav1.NewTime(before)},
				{Type: "Reconciling", Status: metav1.ConditionTrue, Reason: "Rolling", LastTransitionTime: metav1.NewTime(before)},
			},
		},
	})
	o.fetched, o.declared, o.applied, o.proven = &v1alpha1.Commit{Commit: newCommit}, newCommit, newCommit, newCommit
	o.rollouts, o.withheld = rollouts(v1alpha1.PhaseProven, "Proven"), kept()
	change(o)
	return o
}

var (
	before = time.Date(2026, time.January, 1, 12, 0, 0, 0, time.UTC)
	now    = before.Add(time.Hour)
)

func rollouts(phase v1alpha1.Phase, reason string) []v1alpha1.RolloutSummary {
	return []v1alpha1.RolloutSummary{
		{Namespace: "kube-system", Name: "fine", Phase: v1alpha1.PhaseProven, Reason: "Proven"},
		{Namespace: "kube-system", Name: "agent", Phase: phase, Reason: reason},
	}
}

// kept are objects that Git dropped and that are kept for the reasons.
func kept(reasons ...string) []diff.Change {
	out := []diff.Change{}
	for _, r := range reasons {
		out = append(out, diff.Change{Operation: diff.Keep, Reason: r})
	}
	return out
}

func TestCondition(t *testing.T) {
	t.Parallel()
	const rolling = "commit 89abcdef is applied; DaemonSet kube-system/agent is "
	for name, c := range map[string]struct {
		change func(*outcome)
		want   apply.Condition
	}{
		"every rollout proven": {
			func(*outcome) {},
			apply.Condition{Ready: "True", Reason: "Proven", Message: "commit 89abcdef is applied and is proven on every eligible node of 2 DaemonSets"},
		},
		"the tag that led to the commit is said": {
			func(o *outcome) { o.fetched.Ref, o.rollouts = "refs/tags/v1.2.3", nil },
			apply.Condition{Ready: "True", Reason: "Proven", Message: "commit 89abcdef (tag v1.2.3) is applied and declares no DaemonSet"},
		},
		"a tag that was moved is said, and what else there is to say": {
			func(o *outcome) {
				o.fetched.Ref, o.fetched.MovedFrom, o.fetched.Note, o.rollouts = "refs/tags/v1.2.3", oldCommit, "delete one of them", nil
			},
			apply.Condition{Ready: "True", Reason: "Proven", Message: "commit 89abcdef (tag v1.2.3) is applied and declares no DaemonSet; tag v1.2.3 was moved there from commit 01234567; delete one of them"},
		},
		"a branch goes without saying": {
			func(o *outcome) { o.fetched.Ref, o.rollouts = "refs/heads/main", nil },
			apply.Condition{Ready: "True", Reason: "Proven", Message: "commit 89abcdef is applied and declares no DaemonSet"},
		},
		"no DaemonSet at all is said": {
			func(o *outcome) { o.rollouts = nil },
			apply.Condition{Ready: "True", Reason: "Proven", Message: "commit 89abcdef is applied and declares no DaemonSet"},
		},
		"DaemonSets that are left to Kubernetes are said": {
			func(o *outcome) { o.rollouts, o.native = nil, 2 },
			apply.Condition{Ready: "True", Reason: "Proven", Message: "commit 89abcdef is applied and leaves 2 DaemonSets to Kubernetes (rollcall.dev/rollout: native), of which nothing is proven"},
		},
		"beside those that are rolled": {
			func(o *outcome) { o.native = 1 },
			apply.Condition{Ready: "True", Reason: "Proven", Message: "commit 89abcdef is applied and is proven on every eligible node of 2 DaemonSets, and leaves 1 DaemonSet to Kubernetes (rollcall.dev/rollout: native), of which nothing is proven"},
		},
		"what is kept is counted": {
			func(o *outcome) {
				o.withheld = kept(diff.ReasonInUse, diff.ReasonPruneDisabled, diff.ReasonInUse)
				o.withheld[0].Message, o.withheld[2].Message = "a pod reads it", "another one does"
			},
			apply.Condition{Ready: "True", Reason: "Proven", Message: "commit 89abcdef is applied and is proven on every eligible node of 2 DaemonSets; not pruned: 2 InUse (a pod reads it), 1 PruneDisabled"},
		},
		"proven, but not on every node": {
			func(o *outcome) {
				o.proven, o.stragglers, o.withheld = "", "DaemonSet kube-system/agent: 1 of 3 nodes", kept(diff.ReasonAwaitingProof)
			},
			apply.Condition{Ready: "False", Extra: "Reconciling", Reason: "Stragglers", Message: "commit 89abcdef is applied; DaemonSet kube-system/agent: 1 of 3 nodes; not pruned: 1 AwaitingProof"},
		},
		"a failure beats everything": {
			func(o *outcome) {
				o.gs.Spec.Suspend, o.rollouts, o.withheld = true, rollouts(v1alpha1.PhaseHeld, "Paused"), kept(diff.ReasonEmptyRender)
				o.fail(&apply.Error{Reason: apply.ReasonForbidden, Object: "Service a/b (b.yaml)", Message: "may not"})
			},
			apply.Condition{Ready: "False", Extra: "Reconciling", Reason: "Forbidden", Message: "Service a/b (b.yaml): Forbidden: may not"},
		},
		"a commit that is not signed waits for a person, and the one before is said": {
			func(o *outcome) {
				o.declared, o.applied = oldCommit, oldCommit
				o.fail(&git.Error{Reason: git.UnverifiedCommit, Message: "commit 89abcdef89ab is not verified: it has no signature", Commit: &git.Commit{Hash: newCommit}})
			},
			apply.Condition{Ready: "False", Extra: "Stalled", Reason: "UnverifiedCommit", Message: "commit 89abcdef89ab is not verified: it has no signature; meanwhile commit 01234567 is applied and is proven on every eligible node of 2 DaemonSets"},
		},
		"suspended keeps what was": {
			func(o *outcome) { o.gs.Spec.Suspend, o.rollouts = true, rollouts(v1alpha1.PhaseHeld, "Paused") },
			apply.Condition{Ready: "False", Extra: "Stalled", Reason: "Suspended", Message: "suspended: nothing is polled or applied; rollouts under way go on"},
		},
		"nodes that are held out are not claimed": {
			func(o *outcome) { o.held = 1 },
			apply.Condition{Ready: "True", Reason: "Proven", Message: "commit 89abcdef is applied and is proven on every eligible node of 2 DaemonSets but for 1 held out by the label rollcall.dev/hold, which keep the version that they have"},
		},
		"nor are those without an agent": {
			func(o *outcome) { o.absent, o.held = 3, 2 },
			apply.Condition{Ready: "True", Reason: "Proven", Message: "commit 89abcdef is applied and is proven on every eligible node of 2 DaemonSets but for 3 without a Ready agent, 2 held out by the label rollcall.dev/hold, which keep the version that they have"},
		},
		"suspended from the start": {
			func(o *outcome) { o.gs.Spec.Suspend, o.gs.Status.Conditions = true, nil },
			apply.Condition{Ready: "Unknown", Reason: "Suspended", Message: "suspended: nothing is polled or applied; rollouts under way go on"},
		},
		"an empty commit prunes nothing and waits for a person": {
			func(o *outcome) {
				o.applied, o.proven, o.rollouts, o.withheld = "", "", nil, kept(diff.ReasonEmptyRender, diff.ReasonEmptyRender)
			},
			apply.Condition{Ready: "False", Extra: "Stalled", Reason: "PruneBlocked", Message: "commit 89abcdef declares no object at all, so that all 2 objects are kept: " +
				"push a commit that declares some, correct spec.source.path, or set spec.deletionPolicy to prune and delete the GitSync"},
		},
		"a rejected rollout": {
			func(o *outcome) { o.rollouts = rollouts(v1alpha1.PhaseRejected, "CrashLoop") },
			apply.Condition{Ready: "False", Extra: "Stalled", Reason: "RolloutStopped", Message: "DaemonSet kube-system/agent is Rejected (CrashLoop): see its NodeRollout"},
		},
		"a held rollout keeps what Git dropped": {
			func(o *outcome) {
				o.rollouts, o.withheld = rollouts(v1alpha1.PhaseHeld, "Paused"), kept(diff.ReasonAwaitingProof)
			},
			apply.Condition{Ready: "False", Extra: "Stalled", Reason: "RolloutStopped", Message: "DaemonSet kube-system/agent is Held (Paused): see its NodeRollout; not pruned: 1 AwaitingProof"},
		},
		"more would be pruned than nobody need approve": {
			func(o *outcome) {
				o.gs.Name, o.gs.Namespace, o.withheld = "fleet", "agents", kept(diff.ReasonPruneLimitExceeded)
				o.withheld[0].Message = "too much"
			},
			apply.Condition{Ready: "False", Extra: "Stalled", Reason: "PruneLimitExceeded", Message: "commit 89abcdef is applied and is proven on every eligible node of 2 DaemonSets; not pruned: 1 PruneLimitExceeded (too much); " +
				"to have them pruned: rollcall approve gitsync/fleet " + newCommit + " -n agents"},
		},
		"a newer commit waits for a person": {
			func(o *outcome) {
				o.declared, o.applied, o.proven = oldCommit, oldCommit, oldCommit
				o.hold = &hold{reason: ReasonAwaitingApproval, message: "it waits", stalled: true}
				o.pending = newPending(newCommit, []diff.Change{{ID: diff.ID{Namespace: "a", Name: "b", Kind: "ConfigMap"}, Operation: diff.Delete}})
			},
			apply.Condition{Ready: "False", Extra: "Stalled", Reason: "AwaitingApproval", Message: "it waits; 1 object would change, 1 to prune (Delete ConfigMap a/b); " +
				"meanwhile commit 01234567 is applied and is proven on every eligible node of 2 DaemonSets"},
		},
		"the first commit waits for another GitSync": {
			func(o *outcome) {
				o.declared, o.applied, o.hold = "", "", &hold{reason: ReasonDependencyNotReady, message: "it waits"}
			},
			apply.Condition{Ready: "False", Extra: "Reconciling", Reason: "DependencyNotReady", Message: "it waits"},
		},
		"a failure does not hide what is held": {
			func(o *outcome) {
				o.hold = &hold{reason: ReasonAwaitingApproval, message: "it waits"}
				o.fail(&apply.Error{Reason: apply.ReasonForbidden, Object: "Service a/b (b.yaml)", Message: "may not"})
			},
			apply.Condition{Ready: "False", Extra: "Reconciling", Reason: "Forbidden", Message: "Service a/b (b.yaml): Forbidden: may not; it waits"},
		},
		"nothing is written, and nothing would be": {
			func(o *outcome) {
				o.gs.Spec.Mode, o.pending = v1alpha1.ModeObserve, newPending(newCommit, []diff.Change{{Operation: diff.Unchanged}, {Operation: diff.Keep}})
			},
			apply.Condition{Ready: "True", Reason: "Observed", Message: "mode observe writes nothing; commit 89abcdef: nothing would change"},
		},
		"nothing is written, and something would be": {
			func(o *outcome) {
				o.gs.Spec.Mode, o.withheld = v1alpha1.ModeObserve, kept(diff.ReasonPruneDisabled)
				var changes []diff.Change
				for _, operation := range []diff.Operation{diff.Create, diff.Update, diff.Update, diff.Delete, diff.Conflict, diff.Foreign, diff.Create} {
					changes = append(changes, diff.Change{ID: diff.ID{Namespace: "a", Name: "b", Kind: "ConfigMap"}, Operation: operation, Declared: operation == diff.Conflict})
				}
				o.pending = newPending(newCommit, changes)
			},
			apply.Condition{Ready: "False", Extra: "Stalled", Reason: "Differs", Message: "mode observe writes nothing; commit 89abcdef: 6 objects would change, 2 to create, 2 to update, 1 to prune, 1 that cannot be applied " +
				"(Create ConfigMap a/b, Update ConfigMap a/b, Update ConfigMap a/b, Delete ConfigMap a/b, Conflict ConfigMap a/b, 1 more); not pruned: 1 PruneDisabled; to have it applied set spec.mode to auto or approve"},
		},
		"waiting":   {func(o *outcome) { o.rollouts = rollouts(v1alpha1.PhaseWaiting, "Declared") }, moving(rolling + "Waiting (Declared)")},
		"replacing": {func(o *outcome) { o.rollouts = rollouts(v1alpha1.PhaseReplacing, "Replacing") }, moving(rolling + "Replacing")},
		"soaking":   {func(o *outcome) { o.rollouts = rollouts(v1alpha1.PhaseSoaking, "Soaking") }, moving(rolling + "Soaking")},
		"returning": {func(o *outcome) { o.rollouts = rollouts(v1alpha1.PhaseReturning, "Returning") }, moving(rolling + "Returning")},
		"not begun": {func(o *outcome) { o.rollouts = rollouts("", "") }, moving(rolling + "not begun yet")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(c.want, outcomeOf(c.change).condition()); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func moving(message string) apply.Condition {
	return apply.Condition{Ready: "False", Extra: "Reconciling", Reason: "Rolling", Message: message}
}

// TestEveryPhaseHasACondition fails when a phase is added that no row knows:
// it would count as proven.
func TestEveryPhaseHasACondition(t *testing.T) {
	t.Parallel()
	for _, phase := range []v1alpha1.Phase{
		v1alpha1.PhaseWaiting, v1alpha1.PhaseReplacing, v1alpha1.PhaseSoaking, v1alpha1.PhaseReturning, v1alpha1.PhaseRejected, v1alpha1.PhaseHeld, "Unheard",
	} {
		o := outcomeOf(func(o *outcome) { o.rollouts = rollouts(phase, "Because") })
		if c := o.condition(); c.Ready != metav1.ConditionFalse {
			t.Errorf("with a rollout that is %s the GitSync is Ready=%s", phase, c.Ready)
		}
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	inventory := &v1alpha1.Inventory{Entries: []v1alpha1.InventoryEntry{{ID: "c_d__Secret", Version: "v1"}}}
	done := outcomeOf(func(o *outcome) { o.inventory = inventory }).status(now)
	failed := outcomeOf(func(o *outcome) {
		*o = *newOutcome(o.gs)
		o.fail(errors.New("no Git"))
	}).status(now)

	if done.ObservedGeneration != 3 || failed.ObservedGeneration != 3 {
		t.Errorf("observedGeneration %d and %d, want 3: a failed pass has seen the spec too", done.ObservedGeneration, failed.ObservedGeneration)
	}
	if done.LastHandledReconcileAt != "17" || failed.LastHandledReconcileAt != "17" {
		t.Errorf("lastHandledReconcileAt %q and %q, want 17", done.LastHandledReconcileAt, failed.LastHandledReconcileAt)
	}
	if done.Fetched.Commit != newCommit || done.Applied != newCommit || done.Proven != newCommit || done.Inventory != inventory {
		t.Errorf("a pass to the end leaves %+v", done)
	}
	if failed.Fetched.Commit != oldCommit || failed.Applied != oldCommit || failed.Proven != oldCommit || len(failed.Inventory.Entries) != 1 || failed.Rollouts[0].Name != "old" {
		t.Errorf("a pass that failed at once leaves %+v, want what was there", failed)
	}
	ready, reconciling := failed.Conditions[0], failed.Conditions[1]
	if !ready.LastTransitionTime.Time.Equal(before) || !reconciling.LastTransitionTime.Time.Equal(before) || ready.ObservedGeneration != 3 {
		t.Errorf("conditions %+v: want the transition times of before, for neither status has changed", failed.Conditions)
	}
	if got := done.Conditions; len(got) != 1 || !got[0].LastTransitionTime.Time.Equal(now) {
		t.Errorf("conditions %+v, want Ready alone, since now", got)
	}
}

func TestMessagesAreBounded(t *testing.T) {
	t.Parallel()
	o := outcomeOf(func(o *outcome) { o.fail(errors.New(strings.Repeat("ü", 5000))) })
	if got := o.condition().Message; len(got) > maxMessage+10 || !strings.HasSuffix(got, "…") || strings.Contains(got, "\uFFFD") {
		t.Errorf("message of %d bytes that ends in %q", len(got), got[len(got)-10:])
	}
}
