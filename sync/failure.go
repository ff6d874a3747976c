package sync

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/render"
)

// Reasons of a GitSync's Ready condition, beside those of git, render and
// apply. They are constants, fit for a metric label.
const (
	ReasonProven         = "Proven"
	ReasonRolling        = "Rolling"
	ReasonRolloutStopped = "RolloutStopped"
	ReasonStragglers     = "Stragglers"
	ReasonFought         = "Fought"
	ReasonSuspended      = "Suspended"
	ReasonSecretNotFound = "SecretNotFound"
	ReasonSecretInvalid  = "SecretInvalid"
	// ReasonSubstituteInvalid is a source of variables that cannot be read.
	ReasonSubstituteInvalid = "SubstituteInvalid"
	ReasonPruneBlocked      = "PruneBlocked"
	ReasonFailed            = "Failed"

	ReasonServiceAccountNotFound = "ServiceAccountNotFound"
	// ReasonObserved and ReasonDiffers are those of mode observe: nothing would
	// change, or something would.
	ReasonObserved = "Observed"
	ReasonDiffers  = "Differs"
	// ReasonAwaitingApproval is a commit in mode approve that nobody has approved.
	ReasonAwaitingApproval   = "AwaitingApproval"
	ReasonDependencyNotReady = "DependencyNotReady"
	ReasonDependencyNotFound = "DependencyNotFound"
	ReasonDependencyCycle    = "DependencyCycle"
	// ReasonDeleting is a GitSync that is being deleted and takes along what it owns.
	ReasonDeleting = "Deleting"
)

// Failure is why a pass could not go on.
type Failure struct {
	Reason  string
	Message string
	Err     error
}

// Error is the message.
func (f *Failure) Error() string {
	return f.Message
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error {
	return f.Err
}

// each are the errors that one error joins, or wraps joined, one by one.
func each(err error) []error {
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return []error{err}
	}
	switch joined.(type) {
	case *git.Error, *render.Error:
		return []error{err} // it joins its reason and its cause
	}
	var out []error
	for _, e := range joined.Unwrap() {
		out = append(out, each(e)...)
	}
	return out
}

// overtaken reports whether nothing is wrong but that somebody else wrote first:
// a rollout the same DaemonSet, or a person the GitSync. Who holds a field is
// another matter: that is a conflict of intent.
func overtaken(err error) bool {
	return err != nil && !slices.ContainsFunc(each(err), func(e error) bool {
		return !apierrors.IsConflict(e) || apierrors.HasStatusCause(e, metav1.CauseTypeFieldManagerConflict)
	})
}

// conflicted are the objects that another manager or another GitSync holds.
func conflicted(err error) []string {
	if err == nil {
		return nil
	}
	var out []string
	for _, e := range each(err) {
		var about *apply.Error
		if !errors.As(e, &about) || overtaken(e) {
			continue
		}
		if about.Reason == apply.ReasonConflict || about.Reason == apply.ReasonOwnedByAnother {
			out = append(out, about.Object)
		}
	}
	return out
}

// maxMessage bounds a condition's message; the API allows 32768 characters, a
// person reads less. maxErrors is how many errors it spells out, each no longer
// than its share.
const (
	maxMessage = 2000
	maxErrors  = 8
)

// newFailure gives an error of any stage its reason. Errors about several
// objects are joined; the first names the reason.
func newFailure(err error) *Failure {
	out := &Failure{Reason: reasonOf(err), Message: spelled(err), Err: err}
	var failure *Failure
	if all := each(err); errors.As(err, &failure) && len(all) == 1 {
		return failure
	}
	return out
}

// reasonOf is the constant for an error of any stage.
func reasonOf(err error) string {
	var failure *Failure
	var fromGit *git.Error
	var fromApply *apply.Error
	rendered := render.List(err)
	switch {
	case errors.As(err, &failure):
		return failure.Reason
	case errors.As(err, &fromGit):
		return string(fromGit.Reason)
	case len(rendered) > 0:
		return string(rendered[0].Reason)
	case errors.As(err, &fromApply):
		return fromApply.Reason
	case errors.Is(err, context.DeadlineExceeded):
		return apply.ReasonUnavailable
	default:
		return ReasonFailed
	}
}

// spelled is what is wrong, all of it: how many errors there are and of which
// reasons, then each in turn, as many as a person reads.
func spelled(err error) string {
	all := each(err)
	if len(all) == 1 {
		return cut(oneLine(err), maxMessage)
	}
	counts := map[string]int{}
	var shown []string
	for _, e := range all {
		counts[reasonOf(e)]++
		if len(shown) < maxErrors {
			shown = append(shown, cut(oneLine(e), maxMessage/min(len(all), maxErrors)))
		}
	}
	var reasons []string
	for _, reason := range slices.Sorted(maps.Keys(counts)) {
		reasons = append(reasons, fmt.Sprintf("%d %s", counts[reason], reason))
	}
	out := fmt.Sprintf("%s (%s): %s", counted(all), strings.Join(reasons, ", "), strings.Join(shown, "; "))
	if more := len(all) - len(shown); more > 0 {
		out += fmt.Sprintf("; and %d more: rollcall plan lists all", more)
	}
	return out
}

// counted is how many objects are refused, or how many errors there are if they
// are not all about objects.
func counted(all []error) string {
	for _, e := range all {
		var about *apply.Error
		if !errors.As(e, &about) {
			return fmt.Sprintf("%d errors", len(all))
		}
	}
	return fmt.Sprintf("%d objects are refused", len(all))
}

func oneLine(err error) string {
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}

func cut(text string, length int) string {
	if len(text) <= length {
		return text
	}
	return strings.ToValidUTF8(text[:length], "") + " …"
}
