package sync

import (
	"context"
	"errors"
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
	ReasonSuspended      = "Suspended"
	ReasonSecretNotFound = "SecretNotFound"
	ReasonSecretInvalid  = "SecretInvalid"
	ReasonPruneBlocked   = "PruneBlocked"
	ReasonFailed         = "Failed"

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
// person reads less.
const maxMessage = 2000

// newFailure gives an error of any stage its reason. Errors about several
// objects are joined; the first names the reason.
func newFailure(err error) *Failure {
	out := &Failure{Reason: ReasonFailed, Message: err.Error(), Err: err}
	var failure *Failure
	var fromGit *git.Error
	var fromApply *apply.Error
	rendered := render.List(err)
	switch {
	case errors.As(err, &failure) && len(each(err)) == 1:
		return failure
	case failure != nil:
		out.Reason = failure.Reason
	case errors.As(err, &fromGit):
		out.Reason = string(fromGit.Reason)
	case len(rendered) > 0:
		out.Reason = string(rendered[0].Reason)
	case errors.As(err, &fromApply):
		out.Reason = fromApply.Reason
	case errors.Is(err, context.DeadlineExceeded):
		out.Reason = apply.ReasonUnavailable
	}
	out.Message = strings.ReplaceAll(out.Message, "\n", "; ")
	if len(out.Message) > maxMessage {
		out.Message = strings.ToValidUTF8(out.Message[:maxMessage], "") + " …"
	}
	return out
}
