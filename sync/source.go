package sync

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// Keys of the Secret that spec.source.secretRef names.
const (
	keyUsername    = "username"
	keyPassword    = "password"
	keyBearerToken = "bearerToken"
	keyCA          = "caFile"
)

// source reads the credentials of a GitSync anew, so that a changed Secret
// counts from the next poll on.
func (c *Controller) source(ctx context.Context, gs *v1alpha1.GitSync) (git.Source, error) {
	spec := gs.Spec.Source
	out := git.Source{URL: spec.URL, Ref: spec.Ref.FullName(), Commit: spec.Ref.Commit, Semver: spec.Ref.Semver, InsecureHTTP: spec.InsecureHTTP}
	if spec.SecretRef == nil {
		return out, nil
	}
	name := spec.SecretRef.Name
	secret, err := c.Kube.CoreV1().Secrets(gs.Namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return out, &Failure{Reason: ReasonSecretNotFound, Message: fmt.Sprintf("Secret %s/%s does not exist: create it, or correct spec.source.secretRef", gs.Namespace, name)}
	case err != nil:
		return out, &Failure{Reason: ReasonSecretNotFound, Message: fmt.Sprintf("read Secret %s/%s: %v", gs.Namespace, name, err)}
	}
	out.Auth = git.Auth{Username: string(secret.Data[keyUsername]), Password: string(secret.Data[keyPassword]), BearerToken: string(secret.Data[keyBearerToken])}
	out.CA = secret.Data[keyCA]
	if out.Auth == (git.Auth{}) && len(out.CA) == 0 {
		return out, &Failure{Reason: ReasonSecretInvalid, Message: fmt.Sprintf("Secret %s/%s has none of the keys %s and %s, %s, or %s: add what the server wants", gs.Namespace, name, keyUsername, keyPassword, keyBearerToken, keyCA)}
	}
	return out, nil
}
