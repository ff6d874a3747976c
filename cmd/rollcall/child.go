package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/rollcall-dev/rollcall/sync/reader"
)

// newChild is the process that the controller starts for each commit that it reads. People have no use for it: they run
// plan, which reads their own repository in their own process.
func newChild() *cobra.Command {
	return &cobra.Command{
		Use:    "child",
		Short:  "Read one commit for the controller, which talks to it by standard input and output",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			answers := os.Stdout
			os.Stdout = os.Stderr // whatever a library prints is no answer
			return reader.Serve(cmd.Context(), os.Stdin, answers)
		},
	}
}
