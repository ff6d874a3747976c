package apply

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// canary is a value that nobody may ever read anywhere.
const canary = "s3cr3t-CANARY"

func targetOfKind(kind, resource string) target {
	o := &unstructured.Unstructured{}
	o.SetAPIVersion("v1")
	o.SetKind(kind)
	o.SetNamespace("agents")
	o.SetName("x")
	return target{object: o, source: "x.yaml", mapping: &meta.RESTMapping{Resource: schema.GroupVersionResource{Version: "v1", Resource: resource}, Scope: meta.RESTScopeNamespace}}
}

// answers are what an API server says, with the canary wherever it can echo an object.
func answers() map[string]struct {
	err    error
	reason string
} {
	gr := schema.GroupResource{Resource: "secrets"}
	gk := schema.GroupKind{Kind: "Secret"}
	terminating := apierrors.NewForbidden(gr, "x", errors.New("being terminated"))
	terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	plain := func(code int32, message string) error {
		return &apierrors.StatusError{ErrStatus: metav1.Status{Code: code, Message: message}}
	}
	type answer = struct {
		err    error
		reason string
	}
	return map[string]answer{
		"a value that is not valid":      {apierrors.NewInvalid(gk, "x", field.ErrorList{field.Invalid(field.NewPath("data").Key("a"), canary, "too odd: "+canary)}), ReasonInvalid},
		"a value of another type":        {plain(500, "failed to create typed patch object (agents/x; /v1, Kind=Secret): .data.a: expected string, got "+canary), ReasonInvalid},
		"a body that does not parse":     {apierrors.NewBadRequest("cannot decode: " + canary), ReasonInvalid},
		"an object that is too big":      {apierrors.NewRequestEntityTooLargeError(canary), ReasonInvalid},
		"a webhook that denies":          {apierrors.NewForbidden(gr, "x", errors.New(`admission webhook "w" denied the request: `+canary)), ReasonForbidden},
		"a role that is missing":         {apierrors.NewForbidden(gr, "x", errors.New(`User "weak" cannot patch resource "secrets" in API group "" in the namespace "agents"`)), ReasonForbidden},
		"a quota that is used up":        {apierrors.NewForbidden(gr, "x", errors.New("exceeded quota: q, requested: secrets=1, used: secrets=5, limited: secrets=5")), ReasonForbidden},
		"nobody":                         {apierrors.NewUnauthorized(canary), ReasonForbidden},
		"an immutable field":             {apierrors.NewInvalid(gk, "x", field.ErrorList{field.Invalid(field.NewPath("data"), canary, "field is immutable when `immutable` is set")}), ReasonImmutable},
		"a field of another manager":     {contested(".data.a", `"vault"`), ReasonConflict},
		"a namespace that is missing":    {apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "agents"), ReasonNamespaceNotFound},
		"a namespace that goes":          {terminating, ReasonUnavailable},
		"a role that is not there":       {apierrors.NewNotFound(schema.GroupResource{Group: "rbac.authorization.k8s.io", Resource: "roles"}, "reader"), ReasonInvalid},
		"a kind that nobody knows":       {&meta.NoKindMatchError{GroupKind: gk, SearchedVersions: []string{"v1"}}, ReasonUnknownKind},
		"a kind that is not served":      {apierrors.NewGenericServerResponse(http.StatusNotFound, "PATCH", gr, "x", "404 page not found", 0, true), ReasonUnknownKind},
		"an API server that is broken":   {apierrors.NewInternalError(errors.New(canary)), ReasonUnavailable},
		"an API server that is busy":     {apierrors.NewTooManyRequests(canary, 1), ReasonUnavailable},
		"a webhook that does not answer": {plain(500, `failed calling webhook "w": `+canary), ReasonUnavailable},
		"no answer":                      {fmt.Errorf("patch: %w", context.DeadlineExceeded), ReasonUnavailable},
	}
}

func TestProblem(t *testing.T) {
	t.Parallel()
	for name, c := range answers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, kind := range []string{"Secret", "secret"} {
				p := (&Applier{}).problem("patch", targetOfKind(kind, "secrets"), c.err)
				if p.Reason != c.reason {
					t.Errorf("reason is %s, want %s", p.Reason, c.reason)
				}
				if strings.Contains(p.Message, canary) {
					t.Errorf("a value of a Secret is shown: %s", p.Message)
				}
				if p.Message == "" {
					t.Error("it says nothing")
				}
			}
		})
	}
}

func TestProblemSaysWhatToDo(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		answer string
		target target
		parts  []string
	}{
		"the field at fault in a Secret":      {"a value that is not valid", targetOfKind("Secret", "secrets"), []string{"data[a] is refused"}},
		"the field and the value elsewhere":   {"a value that is not valid", targetOfKind("ConfigMap", "configmaps"), []string{"data[a]", "too odd", canary}},
		"who is missing what":                 {"a role that is missing", targetOfKind("Secret", "secrets"), []string{"may not patch secrets", `User "weak" cannot patch resource "secrets"`, "grant it"}},
		"the webhook elsewhere":               {"a webhook that denies", targetOfKind("ConfigMap", "configmaps"), []string{`admission webhook "w" denied`, "no right helps: change the object in Git, or that rule"}},
		"what a webhook has to do":            {"a webhook that does not answer", targetOfKind("Secret", "secrets"), []string{"the API server refuses it (500)", "delete that webhook's configuration"}},
		"what comes after a namespace":        {"a namespace that goes", targetOfKind("ConfigMap", "configmaps"), []string{"when that namespace is gone", "create it", "remove the object from Git"}},
		"the quota elsewhere":                 {"a quota that is used up", targetOfKind("ConfigMap", "configmaps"), []string{"exceeded quota: q", "raise the ResourceQuota"}},
		"where the namespace comes from":      {"a namespace that is missing", targetOfKind("Secret", "secrets"), []string{"namespace agents does not exist", "declare it"}},
		"where the kind comes from":           {"a kind that nobody knows", targetOfKind("Secret", "secrets"), []string{"kind Secret in v1", "install its CRD or declare it"}},
		"what to do about an immutable field": {"an immutable field", targetOfKind("Secret", "secrets"), []string{"data is refused", "revert the change in Git", "kubectl delete secret x -n agents"}},
		"who holds the field":                 {"a field of another manager", targetOfKind("Secret", "secrets"), []string{"data.a", `"vault"`}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := (&Applier{}).problem("patch", c.target, answers()[c.answer].err)
			for _, part := range c.parts {
				if !strings.Contains(p.Message, part) {
					t.Errorf("%q is not in %q", part, p.Message)
				}
			}
		})
	}
}

func TestAnswersAreCut(t *testing.T) {
	t.Parallel()
	p := (&Applier{}).problem("patch", targetOfKind("ConfigMap", "configmaps"), apierrors.NewBadRequest(strings.Repeat("ä", 5000)))
	if len(p.Message) > shownAnswer+100 || !strings.HasSuffix(p.Message, "...") {
		t.Errorf("%d bytes", len(p.Message))
	}
}
