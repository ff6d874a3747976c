// Command rollcall keeps the DaemonSets of a cluster equal to a path of a Git
// repository, and moves every change over the nodes in waves.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	_ "time/tzdata" // policies name time zones, and images have no database of them

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// exitCode is an error that asks for a certain exit code and was explained
// already.
type exitCode int

// Error is never shown.
func (e exitCode) Error() string {
	return fmt.Sprintf("exit code %d", int(e))
}

// run is the whole program but the process; args begin with the program's own
// name. 0 is success, 1 an error; plan exits with 2 when there are changes.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot(stdout, stderr)
	if strings.HasPrefix(filepath.Base(args[0]), "kubectl-") {
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl rollcall"}
	}
	root.SetArgs(args[1:])
	err := root.ExecuteContext(ctx)
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	default:
		fmt.Fprintln(stderr, "rollcall:", err)
		return 1
	}
}

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "rollcall",
		Short: "GitOps for node agents: every node answers before the next one changes",
		Long: `rollcall keeps the DaemonSets of a cluster (CNI, CSI, log, metric and security
agents, and the objects they need) equal to a path of a Git repository, and
moves every change over the nodes in waves, each gated on the proven health of
the nodes before it.

Installed as kubectl-rollcall it is a kubectl plugin: kubectl rollcall status`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetVersionTemplate(currentVersion().line())
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())
	})
	k := &kubeFlags{}
	root.AddCommand(newController(stderr), newPlan(k), newRender(), newStatus(k), newHistory(k), newPause(k), newResume(k), newApprove(k), newRetry(k), newSimulate(k), newVersion(), newChild())
	return root
}
