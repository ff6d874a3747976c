package sync

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// Keys of the Secrets that spec.source.secretRef and spec.source.proxySecretRef name. They are Flux' names, so that a Secret
// serves both.
const (
	keyUsername    = "username"
	keyPassword    = "password" // over ssh it is the passphrase of identity
	keyBearerToken = "bearerToken"
	keyCACert      = "ca.crt"
	keyCA          = "caFile" // ca.crt by its older name, which counts less
	keyClientCert  = "tls.crt"
	keyClientKey   = "tls.key"
	keyIdentity    = "identity"
	keyKnownHosts  = "known_hosts"

	keyAppID                = "githubAppID"
	keyAppInstallationID    = "githubAppInstallationID"
	keyAppInstallationOwner = "githubAppInstallationOwner"
	keyAppPrivateKey        = "githubAppPrivateKey"
	keyAppBaseURL           = "githubAppBaseURL"

	keyAddress = "address"
)

// source reads the credentials of a GitSync anew, so that a changed Secret
// counts from the next poll on.
func (c *Controller) source(ctx context.Context, gs *v1alpha1.GitSync) (git.Source, error) {
	return sourceOf(gs, c.secrets(ctx, gs))
}

// sourceOf is the source with the credentials that were read. What is missing in
// them, or contradicts itself, sync/git says.
func sourceOf(gs *v1alpha1.GitSync, read secretsRead) (git.Source, error) {
	spec := gs.Spec.Source
	out := git.Source{URL: spec.URL, Ref: spec.Ref.FullName(), Commit: spec.Ref.Commit, Semver: spec.Ref.Semver, InsecureHTTP: spec.InsecureHTTP}
	if read.err != nil {
		return out, read.err
	}
	if secret := read.of(spec.SecretRef); secret != nil {
		out.Auth, out.CA, out.KnownHosts = authOf(secret), []byte(cmp.Or(text(secret, keyCACert), text(secret, keyCA))), secret.Data[keyKnownHosts]
		if out.Auth == (git.Auth{}) && len(out.CA) == 0 && len(out.KnownHosts) == 0 {
			return out, invalid(secret, fmt.Sprintf("none of the keys %s and %s, %s, %s, %s, %s, or %s", keyUsername, keyPassword, keyBearerToken, keyAppID, keyIdentity, keyClientCert, keyCACert))
		}
	}
	if secret := read.of(spec.ProxySecretRef); secret != nil {
		out.Proxy = git.Proxy{Address: trimmed(secret, keyAddress), Username: text(secret, keyUsername), Password: text(secret, keyPassword)}
		if out.Proxy.Address == "" {
			return out, invalid(secret, "no key "+keyAddress+", which is the URL of the proxy")
		}
	}
	return out, nil
}

func authOf(secret *corev1.Secret) git.Auth {
	return git.Auth{
		Username:    text(secret, keyUsername),
		Password:    text(secret, keyPassword),
		BearerToken: text(secret, keyBearerToken),
		Identity:    text(secret, keyIdentity),
		ClientCert:  text(secret, keyClientCert),
		ClientKey:   text(secret, keyClientKey),
		App: git.App{
			ID:                trimmed(secret, keyAppID),
			InstallationID:    trimmed(secret, keyAppInstallationID),
			InstallationOwner: trimmed(secret, keyAppInstallationOwner),
			PrivateKey:        text(secret, keyAppPrivateKey),
			BaseURL:           trimmed(secret, keyAppBaseURL),
		},
	}
}

func text(secret *corev1.Secret, key string) string {
	return string(secret.Data[key])
}

// trimmed is what is no secret, without the line break that an editor leaves.
func trimmed(secret *corev1.Secret, key string) string {
	return strings.TrimSpace(text(secret, key))
}

func invalid(secret *corev1.Secret, what string) *Failure {
	return &Failure{Reason: ReasonSecretInvalid, Message: fmt.Sprintf("Secret %s/%s has %s: add what the server wants", secret.Namespace, secret.Name, what)}
}

// secretsRead are the Secrets of one GitSync as they were at one time.
type secretsRead struct {
	found []*corev1.Secret
	// versions tells whether they have changed since; it has a question mark for one that could not be read.
	versions string
	err      error
}

// of is the Secret that a reference names; nil for no reference.
func (r *secretsRead) of(ref *corev1.LocalObjectReference) *corev1.Secret {
	for _, secret := range r.found {
		if ref != nil && secret.Name == ref.Name {
			return secret
		}
	}
	return nil
}

// secrets reads the Secrets that a GitSync names.
func (c *Controller) secrets(ctx context.Context, gs *v1alpha1.GitSync) secretsRead {
	var out secretsRead
	for _, named := range []struct {
		field string
		ref   *corev1.LocalObjectReference
	}{{"secretRef", gs.Spec.Source.SecretRef}, {"proxySecretRef", gs.Spec.Source.ProxySecretRef}} {
		if named.ref == nil {
			continue
		}
		secret, err := c.Kube.CoreV1().Secrets(gs.Namespace).Get(ctx, named.ref.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			out.err = cmp.Or(out.err, error(&Failure{Reason: ReasonSecretNotFound, Message: fmt.Sprintf("Secret %s/%s does not exist: create it, or correct spec.source.%s", gs.Namespace, named.ref.Name, named.field)}))
		case err != nil:
			out.versions += "?"
			out.err = cmp.Or(out.err, error(&Failure{Reason: ReasonSecretNotFound, Message: fmt.Sprintf("read Secret %s/%s: %v", gs.Namespace, named.ref.Name, err)}))
		default:
			out.found = append(out.found, secret)
			out.versions += string(secret.UID) + "@" + secret.ResourceVersion
		}
		out.versions += " "
	}
	return out
}
