package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// answerWithin is how long retry waits for the controller.
const answerWithin = 30 * time.Second

func newRetry(k *kubeFlags) *cobra.Command {
	var digest string
	cmd := k.request(&cobra.Command{
		Use:   "retry DAEMONSET",
		Short: "Try a rejected version again, from its first wave",
		Long: `retry asks for a rejected version to be tried again from its first wave. rollcall
never does so by itself: do it when the cause was not the version, or push a fix.

DAEMONSET is NAME, ds/NAME or NAMESPACE/NAME.`,
	}, func(cmd *cobra.Command, t *target) (string, error) {
		r, err := chooseRejection(t.rollout, digest)
		if err != nil {
			return "", fmt.Errorf("retry %s: %w", t, err)
		}
		return t.retry(cmd, r)
	})
	cmd.Flags().StringVar(&digest, "digest", "", "the rejected version: its digest, its commit, or the beginning of either; default the one that Git asks for, else the newest")
	return cmd
}

// chooseRejection finds the rejection that the prefix names; without one, the
// candidate's, else the newest.
func chooseRejection(n *v1alpha1.NodeRollout, prefix string) (*v1alpha1.Rejection, error) {
	all := n.Status.Rejected
	if len(all) == 0 {
		return nil, fmt.Errorf("no version was rejected; it is %s", whereItStands(n))
	}
	if prefix == "" {
		if c := n.Status.Candidate; c != nil && rejection(n, c.Digest) != nil {
			return rejection(n, c.Digest), nil
		}
		return &all[0], nil
	}
	var found []*v1alpha1.Rejection
	var names []string
	for i := range all {
		r := &all[i]
		names = append(names, fmt.Sprintf("%s (%s, %s)", clean(r.Digest), named(r.Digest, r.Commit), r.Reason))
		if strings.HasPrefix(r.Digest, prefix) || strings.HasPrefix(r.Digest, "sha256:"+prefix) || strings.HasPrefix(r.Commit, prefix) {
			found = append(found, r)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, fmt.Errorf("no rejected version begins with %q; there are %s", prefix, strings.Join(names, ", "))
	default:
		return nil, fmt.Errorf("%d rejected versions begin with %q: write more of it", len(found), prefix)
	}
}

// retry asks the controller, which answers once for each change of spec.retry:
// a digest that it has answered must be taken back before it can be asked again.
func (t *target) retry(cmd *cobra.Command, r *v1alpha1.Rejection) (string, error) {
	what := named(r.Digest, r.Commit)
	if t.rollout.Spec.Retry == r.Digest && t.rollout.Status.HandledRetry != r.Digest {
		return fmt.Sprintf("%s was asked to try %s again already; the controller has not answered yet", t, what), nil
	}
	if t.rollout.Spec.Retry == r.Digest {
		if err := t.patch(cmd.Context(), map[string]any{"retry": ""}); err != nil {
			return "", err
		}
		if err := t.awaitCleared(cmd.Context()); err != nil {
			return "", err
		}
	}
	if err := t.patch(cmd.Context(), map[string]any{"retry": r.Digest}); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s tries %s again: %s", t, what, t.afterRetry(cmd, r.Digest)), nil
}

func (t *target) awaitCleared(ctx context.Context) error {
	deadline, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	for t.rollout.Status.HandledRetry != "" {
		select {
		case <-deadline.Done():
			if ctx.Err() != nil {
				return errors.New("interrupted before the retry was asked for")
			}
			return fmt.Errorf("the controller has not answered within %s: see that it runs, then retry again", answerWithin)
		case <-time.After(250 * time.Millisecond):
		}
		if err := t.read(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (t *target) afterRetry(cmd *cobra.Command, digest string) string {
	c := t.rollout.Status.Candidate
	switch {
	case c == nil || c.Digest != digest:
		return "its rejection is forgotten, but nothing moves: Git asks for another version"
	case t.rollout.Spec.Paused:
		return "from its first wave, once it is resumed: " + t.command(cmd, "resume")
	default:
		return "from its first wave; watch it with: " + t.command(cmd, "status") + " --watch"
	}
}
