package sync

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/sync/hook"
)

// keyToken is the key of the Secret that spec.source.webhookSecretRef names.
const keyToken = "token"

// WebhookToken is what the webhooks of a GitSync are signed with, read anew; empty if
// there is no such GitSync or it hears none. It is safe for concurrent use.
func (c *Controller) WebhookToken(ctx context.Context, key types.NamespacedName) ([]byte, error) {
	c.mu.Lock()
	syncs, listed := c.syncs, c.listed
	c.mu.Unlock()
	if syncs == nil || !listed() {
		return nil, hook.ErrUnready
	}
	gs := c.find(key)
	if gs == nil || gs.Spec.Source.WebhookSecretRef == nil {
		return nil, nil
	}
	secret, err := c.Kube.CoreV1().Secrets(key.Namespace).Get(ctx, gs.Spec.Source.WebhookSecretRef.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read Secret of spec.source.webhookSecretRef: %w", err)
	}
	// What was written by echo ends in a line break that no Git server has.
	return bytes.TrimSpace(secret.Data[keyToken]), nil
}

// Hint has Git asked soon for a GitSync, since somebody says that there is something
// new, and for all that follow the same repository with the same credentials: one
// webhook for a repository is enough. It is safe for concurrent use, and does nothing
// for one that is not followed here.
func (c *Controller) Hint(key types.NamespacedName) {
	now := time.Now()
	for _, each := range c.following(key) {
		c.wants(each, now)
		c.lookSoon(each)
	}
}

// following is a GitSync, and those that ask the same repository with the same
// credentials.
func (c *Controller) following(key types.NamespacedName) []types.NamespacedName {
	c.mu.Lock()
	defer c.mu.Unlock()
	hinted := c.memory[key]
	if hinted == nil || c.loop == nil {
		return nil
	}
	out := []types.NamespacedName{key}
	for other, m := range c.memory {
		if other != key && m.source.URL != "" && m.source.SameRepository(hinted.source) {
			out = append(out, other)
		}
	}
	slices.SortFunc(out, compareNames)
	return out
}
