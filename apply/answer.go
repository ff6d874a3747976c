package apply

import (
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/rollcall-dev/rollcall/diff"
)

// shownAnswer is how much of the API server's answer is shown, in bytes. A webhook may say anything.
const shownAnswer = 1024

// problem makes a failed request about an object fit to be shown: a reason, what is wrong and the way out. The answer
// itself goes no further, for it can echo the object.
func (a *Applier) problem(verb string, t target, err error) *diff.Problem {
	if found := conflicts(err); len(found) > 0 {
		return a.conflictProblem(found)
	}
	p := &diff.Problem{Reason: reasonOf(err)}
	switch p.Reason {
	case ReasonImmutable:
		p.Message = fmt.Sprintf("%s: the API server allows no change of it: revert the change in Git, or delete the object so that the next pass creates it anew: %s",
			said(t, err), deleteCommand(t.object.GetKind(), t.object.GetNamespace(), t.object.GetName()))
	case ReasonForbidden:
		p.Message = fmt.Sprintf("may not %s %s: %s: %s", verb, t.mapping.Resource.GroupResource(), said(t, err), release(err))
	case ReasonNamespaceNotFound:
		p.Message = fmt.Sprintf("namespace %s does not exist: declare it in this repository, or create it", t.object.GetNamespace())
	case ReasonUnknownKind:
		p.Message = unknownKind(t)
	default:
		p.Message = verb + ": " + said(t, err) + remedy(err)
	}
	return p
}

// remedy is what brings back what the API server lacks to take an object, as the end of a sentence; empty when time alone
// does, or nobody can tell.
func remedy(err error) string {
	switch {
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return ": when that namespace is gone, declare it in this repository or create it, or remove the object from Git"
	case strings.Contains(err.Error(), "failed calling webhook"):
		return ": have that admission webhook answer again, or delete that webhook's configuration"
	default:
		return ""
	}
}

// release is what lets a write through that is forbidden: a right that is missing, or else what a quota, a webhook or an
// admission policy says against this object, which no right helps with.
func release(err error) string {
	words := err.Error()
	right, missing := deniedIn(words)
	switch {
	case missing && right.verb == "impersonate":
		return "rollcall may not act as that ServiceAccount: grant it (values rbac.impersonate of the chart): " + right.grant()
	case missing && right.grant() != "":
		return "grant it to that ServiceAccount: " + right.grant()
	case apierrors.IsUnauthorized(err), strings.Contains(words, " cannot "), strings.Contains(words, "attempting to grant RBAC permissions"):
		return "grant it to the ServiceAccount that rollcall acts as"
	case strings.Contains(words, "exceeded quota"):
		return "raise the ResourceQuota, or delete what uses it up"
	default:
		return "a quota, a webhook or an admission policy refuses it, and no right helps: change the object in Git, or that rule"
	}
}

// reasonOf finds the constant for an answer.
func reasonOf(err error) string {
	switch {
	case meta.IsNoMatchError(err), notServed(err):
		return ReasonUnknownKind
	case apierrors.IsInvalid(err) && immutable(err):
		return ReasonImmutable
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return ReasonUnavailable
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return ReasonForbidden
	case apierrors.IsNotFound(err) && missing(err).resource == "namespaces":
		return ReasonNamespaceNotFound
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsNotFound(err), apierrors.IsMethodNotSupported(err),
		apierrors.IsRequestEntityTooLargeError(err), strings.Contains(err.Error(), "typed patch object"):
		return ReasonInvalid
	default:
		return ReasonUnavailable
	}
}

// said is what the API server said, as far as it can be shown. Of a Secret it is which fields are at fault and what
// kind of answer it was, in words of our own: the server's may quote a value.
func said(t target, err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return cut(err.Error())
	}
	secret := strings.EqualFold(t.object.GetKind(), "Secret")
	var parts []string
	if details := status.Status().Details; details != nil {
		for _, c := range details.Causes {
			switch {
			case c.Field == "":
			case secret:
				parts = append(parts, c.Field+" is refused")
			default:
				parts = append(parts, c.Field+": "+c.Message)
			}
		}
	}
	switch {
	case len(parts) > 0:
		return cut(strings.Join(parts, "; "))
	case !secret:
		return cut(err.Error())
	}
	if right, missing := deniedIn(status.Status().Message); missing {
		return right.String()
	}
	return unsaid(status)
}

// unsaid stands for an answer about a Secret that may quote a value of it.
func unsaid(answer apierrors.APIStatus) string {
	return fmt.Sprintf("the API server refuses it (%d); what it says of a Secret is not shown", answer.Status().Code)
}

// aboutSecret reports whether an answer names a Secret, by its kind or by its
// resource.
func aboutSecret(answer apierrors.APIStatus) bool {
	details := answer.Status().Details
	return details != nil && (strings.EqualFold(details.Kind, "Secret") || strings.EqualFold(details.Kind, "secrets"))
}

func cut(text string) string {
	if len(text) <= shownAnswer {
		return text
	}
	return strings.ToValidUTF8(text[:shownAnswer], "") + "..."
}

func unknownKind(t target) string {
	return fmt.Sprintf("the cluster knows no kind %s in %s: install its CRD or declare it in this repository, or correct the apiVersion",
		t.object.GetKind(), t.object.GetAPIVersion())
}

// dependency is an object by resource and name.
type dependency struct {
	resource string
	name     string
}

// missing returns what an answer says is not found; the zero value when it names nothing.
func missing(err error) dependency {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) || status.Status().Details == nil {
		return dependency{}
	}
	details := status.Status().Details
	return dependency{resource: details.Kind, name: details.Name}
}
