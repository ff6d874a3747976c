package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func newResume(k *kubeFlags) *cobra.Command {
	return k.request(&cobra.Command{
		Use:   "resume DAEMONSET",
		Short: "Go on after a pause",
		Long: `resume takes a pause back: the rollout goes on where it stopped, judged by the
health that its nodes show now.

DAEMONSET is NAME, ds/NAME or NAMESPACE/NAME.`,
	}, func(cmd *cobra.Command, t *target) (string, error) {
		said := fmt.Sprintf("%s is not paused: %s", t, whereItStands(t.rollout))
		if t.rollout.Status.ObservedGeneration < t.rollout.Generation {
			said = fmt.Sprintf("%s is not paused; the controller has not looked at the last request yet", t)
		}
		if t.rollout.Spec.Paused {
			if err := t.patch(cmd.Context(), map[string]any{"paused": false}); err != nil {
				return "", err
			}
			said = fmt.Sprintf("%s goes on: %s", t, afterResume(t.rollout))
		}
		return said, nil
	})
}

// whereItStands is the rollout's own explanation.
func whereItStands(n *v1alpha1.NodeRollout) string {
	phase, reason := string(n.Status.Phase), n.Status.Reason
	switch {
	case phase == "" && reason == "":
		return "the controller has not looked at it yet"
	case phase == "":
		phase = reason
	case reason != "" && reason != phase:
		phase += " (" + reason + ")"
	}
	return phase + ": " + clean(n.Status.Message)
}

// afterResume says what the end of a pause means for the rollout as it stands.
func afterResume(n *v1alpha1.NodeRollout) string {
	c, w := n.Status.Candidate, n.Status.Wave
	switch {
	case c == nil:
		return fmt.Sprintf("it rests on %s until the next change", namedVersion(n.Status.Proven))
	case rejection(n, c.Digest) != nil:
		return fmt.Sprintf("%s is rejected, the %s that run it are dealt with as the policy's onFailure says", namedVersion(c), onCandidate(n))
	case w == nil:
		return fmt.Sprintf("%s, %s run it", namedVersion(c), onCandidate(n))
	default:
		return fmt.Sprintf("%s, wave %s (%d of %d), %s run it", namedVersion(c), w.Name, w.Index, w.Of, onCandidate(n))
	}
}
