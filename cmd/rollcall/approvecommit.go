package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// gitSyncNamed returns the name of gitsync/NAME; false for anything else.
func gitSyncNamed(arg string) (string, bool) {
	kind, name, _ := strings.Cut(arg, "/")
	switch strings.ToLower(kind) {
	case "gsync", "gitsync", "gitsyncs", "gitsync.rollcall.dev", "gitsyncs.rollcall.dev":
		return name, name != "" && !strings.Contains(name, "/")
	default:
		return "", false
	}
}

// orCommit has a command about a DaemonSet approve the commit of a GitSync when its
// first argument names one.
func (k *kubeFlags) orCommit(cmd *cobra.Command) {
	ofDaemonSet, check := cmd.RunE, cmd.Args
	named := func(args []string) (string, bool) {
		if len(args) == 0 {
			return "", false
		}
		return gitSyncNamed(args[0])
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		name, is := named(args)
		switch {
		case !is:
			return check(cmd, args)
		case len(args) != 2:
			return fmt.Errorf("name the commit that you have looked at, such as: %s gitsync/%s 0123abcd; %s status shows it", cmd.CommandPath(), name, cmd.Root().CommandPath())
		case cmd.Flags().Changed("wave"):
			return errors.New("--wave is of a DaemonSet: a GitSync has commits")
		default:
			return nil
		}
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if name, is := named(args); is {
			return k.approveCommit(cmd, name, args[1])
		}
		return ofDaemonSet(cmd, args)
	}
}

// approveCommit approves the newest commit of a GitSync, if it is the one that was
// looked at.
func (k *kubeFlags) approveCommit(cmd *cobra.Command, name, commit string) error {
	c, namespace, err := k.kinds()
	if err != nil {
		return err
	}
	gs, err := c.GitSyncs(namespace).Get(cmd.Context(), name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get gitsync %s/%s: %w", namespace, name, err)
	}
	full, err := approvable(gs, commit)
	if err != nil {
		return fmt.Errorf("approve gitsync %s/%s: %w", namespace, name, err)
	}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"approved": full}})
	if err != nil {
		return fmt.Errorf("encode patch of gitsync %s/%s: %w", namespace, name, err)
	}
	if gs, err = c.GitSyncs(namespace).Patch(cmd.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager}); err != nil {
		return fmt.Errorf("patch gitsync %s/%s: %w", namespace, name, err)
	}
	output := outputFlag{format: cmd.Flag("output").Value.String()}
	return output.print(cmd.OutOrStdout(), typedSync(gs), func() string {
		return fmt.Sprintf("%s/%s: %s is approved; watch it with: %s status -n %s --watch\n", namespace, name, aboutCommit(gs.Status.Fetched), cmd.Root().CommandPath(), namespace)
	})
}

// approvable is the full name of the commit, if it is the newest one and has not been
// approved before.
func approvable(gs *v1alpha1.GitSync, commit string) (string, error) {
	newest := gs.Status.Fetched
	switch {
	case !regexp.MustCompile(`^[0-9a-f]{7,64}$`).MatchString(commit):
		return "", fmt.Errorf("%q is no commit: write its name in full, or its first 7 hexadecimal digits or more", clean(commit))
	case newest == nil:
		return "", errors.New("it has read no commit yet")
	case !strings.HasPrefix(newest.Commit, commit):
		return "", fmt.Errorf("commit %s is not the newest one any more, which is %s: look at that, and approve it if it is good", commit, aboutCommit(newest))
	case gs.Spec.Approved == newest.Commit:
		return "", fmt.Errorf("%s is approved already", aboutCommit(newest))
	default:
		return newest.Commit, nil
	}
}

// aboutCommit names a commit with its subject.
func aboutCommit(c *v1alpha1.Commit) string {
	if c.Subject == "" {
		return "commit " + shortHash(c.Commit)
	}
	return fmt.Sprintf("commit %s (%s)", shortHash(c.Commit), clean(c.Subject))
}
