package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func newApprove(k *kubeFlags) *cobra.Command {
	var wave string
	cmd := k.request(&cobra.Command{
		Use:   "approve DAEMONSET | gitsync/NAME COMMIT",
		Short: "Let a wave begin, or a commit be applied, that waits for approval",
		Long: `approve lets the wave begin that waits for approval, and every later wave of the
same version that would wait for it. With --wave it is that one wave only. It says
nothing about any other version.

DAEMONSET is NAME, ds/NAME or NAMESPACE/NAME.

With gitsync/NAME it approves the newest commit of a GitSync: in mode approve it is
applied, and in any mode it may prune more than the pruneLimit. COMMIT is what was
looked at, in full or its first 7 characters or more: when Git has a newer one by
now, nothing is approved.`,
	}, func(cmd *cobra.Command, t *target) (string, error) {
		if err := checkApproval(t.rollout, wave); err != nil {
			return "", fmt.Errorf("approve %s: %w", t, err)
		}
		return t.approve(cmd, wave)
	})
	cmd.Flags().StringVar(&wave, "wave", "", "approve this wave only; it must be the one that waits")
	k.orCommit(cmd)
	return cmd
}

// checkApproval refuses an approval that nothing waits for: it would be one of
// whatever comes next.
func checkApproval(n *v1alpha1.NodeRollout, wave string) error {
	awaited := n.Status.AwaitsApproval
	switch {
	case awaited == "" || n.Status.Candidate == nil:
		return fmt.Errorf("nothing waits for approval; it is %s", whereItStands(n))
	case wave != "" && wave != awaited:
		return fmt.Errorf("wave %s waits for approval, and wave %s does not", clean(awaited), clean(wave))
	default:
		return nil
	}
}

// approve approves the candidate as it was read: one that has taken its place
// since is not approved by that.
func (t *target) approve(cmd *cobra.Command, wave string) (string, error) {
	c, awaited := t.rollout.Status.Candidate, t.rollout.Status.AwaitsApproval
	var only any // null takes away what an earlier approval was limited to
	what := "every wave"
	if wave != "" {
		only, what = wave, "wave "+wave
	}
	if err := t.patch(cmd.Context(), map[string]any{"approved": map[string]any{"digest": c.Digest, "wave": only}}); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: %s of %s is approved: wave %s begins as soon as those before it stand; watch it with: %s", t, what, namedVersion(c), clean(awaited), t.command(cmd, "status")+" --watch"), nil
}
