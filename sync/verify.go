package sync

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/git/signed"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// unverifiedRetry is after how long at most a commit that is not verified is looked at again: the Secret with the
// signers is read anew then, and nobody has to be allowed to watch Secrets.
const unverifiedRetry = time.Minute

// verification reads whose signature is wanted, anew each time; nil for nobody's.
func (c *Controller) verification(ctx context.Context, gs *v1alpha1.GitSync) (*git.Verification, error) {
	spec := gs.Spec.Source.Verify
	if spec == nil {
		return nil, nil
	}
	from := fmt.Sprintf("Secret %s/%s", gs.Namespace, spec.SecretRef.Name)
	secret, err := c.Kube.CoreV1().Secrets(gs.Namespace).Get(ctx, spec.SecretRef.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, &Failure{Reason: ReasonSecretNotFound, Message: from + " does not exist: create it with the public keys of those who may sign, or correct spec.source.verify.secretRef"}
	case err != nil:
		return nil, &Failure{Reason: ReasonSecretNotFound, Message: fmt.Sprintf("read %s: %v", from, err)}
	}
	if _, err := signed.ParseSigners(secret.Data); err != nil {
		return nil, &Failure{Reason: ReasonSecretInvalid, Message: fmt.Sprintf("%s, which spec.source.verify names: %v", from, err)}
	}
	mode := git.VerifyMode(spec.Mode)
	if mode == "" {
		mode = git.VerifyHead
	}
	return &git.Verification{Mode: mode, Signers: secret.Data, From: from}, nil
}

// mustBeVerified fails for a commit whose signature is wanted and was not looked at, whichever way it came: Fetch gives no
// such one.
func mustBeVerified(source git.Source, commit git.Commit) error {
	if source.Verify == nil || commit.SignedBy != "" {
		return nil
	}
	return &Failure{Reason: string(git.UnverifiedCommit), Message: fmt.Sprintf("commit %s came without a look at its signature, which is a bug in rollcall: nothing of it is applied", commit.Hash)}
}

// verificationPrint tells two verifications apart.
func verificationPrint(v *git.Verification) string {
	if v == nil {
		return ""
	}
	out, err := fingerprint(v)
	if err != nil {
		return err.Error()
	}
	return out
}

// unverified notes the commit that Git has and that is held for want of a signature.
func (m *memory) unverified(err error) {
	if held, ok := errors.AsType[*git.Error](err); ok && held.Commit != nil {
		commit := commitOf(*held.Commit)
		m.fetched = &commit
	}
}

// recall has a new process know what is applied while the newest commit is held for want of a signature: it keeps
// running, and what drifts from it is put right. The error is the one that it was given.
func (c *Controller) recall(ctx context.Context, gs *v1alpha1.GitSync, m *memory, err error) error {
	if !errors.Is(err, git.UnverifiedCommit) || gs.Status.Applied == "" || m.lastGood(placeOf(gs)) != nil {
		return err
	}
	v, unread := c.reread(ctx, gs, gs.Status.Applied)
	if unread != nil {
		return errors.Join(err, fmt.Errorf("commit %s, which is applied, cannot be read any more: until then drift of it is not corrected: %w", short(gs.Status.Applied), unread))
	}
	m.from, m.declared, m.commit = v.from, v.declared, v.commit
	c.passSoon(c.others.note(name(gs), v.from, v.declared)...)
	return err
}

func commitOf(c git.Commit) v1alpha1.Commit {
	return v1alpha1.Commit{Commit: c.Hash, Author: c.Author, Subject: c.Subject, Time: metav1.NewTime(c.Time), SignedBy: c.SignedBy}
}

// optionsOf is what is rendered of a commit.
func optionsOf(gs *v1alpha1.GitSync) render.Options {
	s := gs.Spec.Source
	return render.Options{Path: path(gs), Namespace: gs.Namespace, Include: s.Include, Ignore: s.Ignore}
}

// selectionOf tells two choices of files apart.
func selectionOf(s v1alpha1.GitSource) string {
	if len(s.Include)+len(s.Ignore) == 0 {
		return ""
	}
	return strings.Join(s.Include, "\n") + "\x00" + strings.Join(s.Ignore, "\n")
}
