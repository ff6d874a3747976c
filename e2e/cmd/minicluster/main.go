// Minicluster is a whole Kubernetes cluster in one process, for tests and the demo: a real control plane and fake
// nodes, whose pods fail by the tag of their image.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
)

func main() {
	// The components write to file descriptor 2, which becomes the log file. What people should read goes to a copy.
	stderr := os.Stderr
	if fd, err := unix.FcntlInt(os.Stderr.Fd(), unix.F_DUPFD_CLOEXEC, 3); err == nil {
		stderr = os.NewFile(uintptr(fd), "stderr")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, stderr))
}

// run runs the command line and returns the exit code: 0, or 1 after an error.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := &cobra.Command{
		Use:           "minicluster",
		Short:         "A Kubernetes cluster with fake nodes, in one process",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newUpCommand())
	// Kubernetes adds a flag of its own to every command of the process; it would say nothing about this one.
	if flag := pflag.Lookup("version"); flag != nil {
		flag.Hidden = true
	}
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(stderr, "minicluster:", err)
		return 1
	}
	return 0
}
