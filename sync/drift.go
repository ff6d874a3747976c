package sync

import (
	"slices"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// drifted are the declared objects that are not as the commit declares them
// though they once were: the commit has been applied, whole, by this spec. What
// is late has not drifted.
func drifted(gs *v1alpha1.GitSync, commit string, late []diff.ID, plan diff.Plan) []diff.ID {
	if gs.Status.Applied != commit || gs.Status.ObservedGeneration != gs.Generation {
		return nil
	}
	var out []diff.ID
	for _, c := range plan.Of(diff.Create, diff.Update, diff.Conflict, diff.Keep) {
		if c.Declared && !slices.Contains(late, c.ID) && (c.Operation != diff.Keep || c.Reason == diff.ReasonFought) {
			out = append(out, c.ID)
		}
	}
	return out
}

// stillLate are the declared objects that the plan keeps as they are, such as the
// plain config of pods whose DaemonSet is not proven, and those that it kept
// before and that are not written yet.
func stillLate(before []diff.ID, plan diff.Plan) []diff.ID {
	var out []diff.ID
	for _, c := range plan.Of(diff.Keep, diff.Create, diff.Update, diff.Conflict) {
		if c.Declared && c.Reason != diff.ReasonFought && (c.Operation == diff.Keep || slices.Contains(before, c.ID)) {
			out = append(out, c.ID)
		}
	}
	return out
}

// corrected counts those of the objects that were written.
func corrected(drift []diff.ID, results apply.Results) int {
	count := 0
	for _, r := range slices.Concat(results.Of(apply.Created), results.Of(apply.Configured)) {
		if slices.Contains(drift, r.ID) {
			count++
		}
	}
	return count
}
