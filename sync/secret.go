package sync

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// secretLook is how often the Secrets of those GitSyncs are read whose credentials do not do: whoever corrects one is not
// to wait for the interval, or for a delay that has doubled up to ten minutes. It is one request for each of them, and
// nothing while all is well. A watch would need the right to read every Secret of the cluster.
const secretLook = 10 * time.Second

// lookAtSecrets asks for a pass of each GitSync whose credentials have changed since they did not do.
func (c *Controller) lookAtSecrets(ctx context.Context) error {
	ticker := time.NewTicker(secretLook)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		for key, m := range c.refused() {
			if gs, before := c.find(key), m.awaited.Load(); gs != nil && before != nil && c.differs(ctx, gs, *before) {
				m.cured.Store(true)
				c.passSoon(key)
			}
		}
	}
}

// differs is whether the Secrets of a GitSync can be read and are others than before.
func (c *Controller) differs(ctx context.Context, gs *v1alpha1.GitSync, before string) bool {
	now := c.secrets(ctx, gs).versions
	return now != before && !strings.Contains(now, "?")
}

// refused is what is known of the GitSyncs whose last poll failed for what a Secret can change.
func (c *Controller) refused() map[types.NamespacedName]*memory {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[types.NamespacedName]*memory{}
	for key, m := range c.memory {
		if m.curable.Load() {
			out[key] = m
		}
	}
	return out
}

// curable is whether another Secret can be what a poll fails for.
func curable(gs *v1alpha1.GitSync, err error) bool {
	if err == nil || gs.Spec.Source.SecretRef == nil && gs.Spec.Source.ProxySecretRef == nil {
		return false
	}
	if failure, ok := errors.AsType[*Failure](err); ok {
		return failure.Reason == ReasonSecretNotFound || failure.Reason == ReasonSecretInvalid
	}
	about, ok := errors.AsType[*git.Error](err)
	return ok && slices.Contains([]git.Reason{
		git.InvalidSource, git.AuthenticationFailed, git.CertificateInvalid, git.HostKeyInvalid, git.RepositoryNotFound,
		git.Unreachable, // such as by a proxy that is away
	}, about.Reason)
}
