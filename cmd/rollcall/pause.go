package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func newPause(k *kubeFlags) *cobra.Command {
	return k.request(&cobra.Command{
		Use:   "pause DAEMONSET",
		Short: "Stop replacing nodes, forward and back",
		Long: `pause stops every replacement of one DaemonSet's pods, forward and back. Nodes
whose agent is being replaced right now finish, and health is judged on. A pod
that appears by itself meanwhile, after a reboot say, runs the proven version.

DAEMONSET is NAME, ds/NAME or NAMESPACE/NAME.`,
	}, func(cmd *cobra.Command, t *target) (string, error) {
		said := fmt.Sprintf("%s is paused already: %s", t, whilePaused(t.rollout))
		if !t.rollout.Spec.Paused {
			if err := t.patch(cmd.Context(), map[string]any{"paused": true}); err != nil {
				return "", err
			}
			said = fmt.Sprintf("%s is paused: %s; go on with: %s", t, whilePaused(t.rollout), t.command(cmd, "resume"))
		}
		return said, nil
	})
}

// whilePaused says what a pause means for the rollout as it stands.
func whilePaused(n *v1alpha1.NodeRollout) string {
	c := n.Status.Candidate
	switch {
	case c == nil && n.Status.Proven == nil:
		return "nothing was installed yet, and nothing will be"
	case c == nil:
		return fmt.Sprintf("it rests on %s, and the next change will wait", namedVersion(n.Status.Proven))
	case len(n.Status.InFlight) > 0:
		return fmt.Sprintf("%s run %s and stay as they are, %d being replaced now will finish, no other is touched", onCandidate(n), namedVersion(c), len(n.Status.InFlight))
	default:
		return fmt.Sprintf("%s run %s, and every node stays as it is", onCandidate(n), namedVersion(c))
	}
}
