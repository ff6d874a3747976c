package apply

import (
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Reasons of errors about one object. They are constants, fit for a condition.
const (
	ReasonConflict          = "Conflict"
	ReasonOwnedByAnother    = "OwnedByAnother"
	ReasonUnknownKind       = "UnknownKind"
	ReasonForbidden         = "Forbidden"
	ReasonInvalid           = "Invalid"
	ReasonImmutable         = "Immutable"
	ReasonNamespaceNotFound = "NamespaceNotFound"
	ReasonUnavailable       = "Unavailable"
)

// Error is why one object could not be applied.
type Error struct {
	Reason string
	// Object is the kind, namespace, name and file of the object.
	Object string
	// Message says what is wrong and the way out.
	Message string
	// Err is what the API server answered; nil when it was not asked.
	Err error
}

// Error reads as one sentence.
func (e *Error) Error() string {
	return fmt.Sprintf("%s: %s: %s", e.Object, e.Reason, e.Message)
}

// Unwrap returns the API server's answer.
func (e *Error) Unwrap() error {
	return e.Err
}

// classify gives an answer of the API server a reason and the way out. What the
// server echoes of the object's values is left out of errors about Secrets.
func classify(verb, object string, err error) *Error {
	e := &Error{Object: object, Err: err, Message: verb + ": " + err.Error()}
	switch {
	case apierrors.IsInvalid(err) && immutable(err):
		e.Reason = ReasonImmutable
		e.Message = verb + ": " + causes(err) + ": the API server allows no change of it; revert the change in Git, or give the DaemonSet another name"
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		e.Reason = ReasonInvalid
		e.Message = verb + ": " + causes(err)
	case apierrors.IsForbidden(err):
		e.Reason = ReasonForbidden
		e.Message += ": " + release(err)
	case apierrors.IsConflict(err):
		e.Reason = ReasonConflict
	case apierrors.IsNotFound(err) && strings.Contains(err.Error(), "namespaces"):
		e.Reason = ReasonNamespaceNotFound
		e.Message += ": declare the namespace in Git or create it"
	default:
		e.Reason = ReasonUnavailable
	}
	return e
}

// failed says what an error is about; of a right that is missing, also which and how
// to give it.
func failed(verb, object string, err error) error {
	if apierrors.IsForbidden(err) {
		return classify(verb, object, err)
	}
	return fmt.Errorf("%s %s: %w", verb, object, err)
}

// causes are the fields that the API server complains about. The values that it
// echoes can be a Secret's, so an answer about a Secret gives the fields only.
func causes(err error) string {
	status, ok := err.(apierrors.APIStatus)
	if !ok || status.Status().Details == nil || len(status.Status().Details.Causes) == 0 {
		if ok && status.Status().Details != nil && status.Status().Details.Kind == "Secret" {
			return "the API server refuses it"
		}
		return err.Error()
	}
	var out []string
	for _, c := range status.Status().Details.Causes {
		out = append(out, cause(status.Status().Details.Kind, c))
	}
	return strings.Join(out, "; ")
}

func cause(kind string, c metav1.StatusCause) string {
	if kind == "Secret" {
		return c.Field + " is refused"
	}
	return c.Field + ": " + c.Message
}

func ownedByAnother(d Declaration, owner string) error {
	return &Error{Reason: ReasonOwnedByAnother, Object: d.reference(),
		Message: fmt.Sprintf("GitSync %s owns it, so %s leaves it alone until that one declares it no more: remove it from one of the two", owner, d.Owner)}
}
