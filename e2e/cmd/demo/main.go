// Demo shows rollcall at work on a cluster of fake nodes: commits are pushed,
// and every node answers before the next one changes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// The exit codes beside 0.
const (
	codeFailed      = 1
	codeInterrupted = 130 // as a shell reports the end by Ctrl-C
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait for the end of the first
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole program but the process.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var keep bool
	root := &cobra.Command{
		Use:   "demo",
		Short: "Watch rollcall move five commits over 30 nodes",
		Long: `Demo starts a cluster of 30 fake nodes in 3 zones, a Git server and rollcall,
pushes five commits, and shows node by node what becomes of each. It needs
bin/rollcall and bin/minicluster, which make build makes, and takes two minutes
at most.`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(cmd.Context(), newScreen(stdout), keep)
		},
	}
	root.Flags().BoolVar(&keep, "keep", false, "leave everything running until Ctrl-C, and say how to use it")
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "demo: interrupted; everything it started has ended")
		return codeInterrupted
	default:
		fmt.Fprintln(stderr, "demo:", err)
		return codeFailed
	}
}
