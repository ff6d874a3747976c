package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

// Set by the linker: see the Makefile.
var (
	version = "dev"
	commit  = "unknown" //nolint:gochecknoglobals // the linker writes to a global only
	date    = "unknown" //nolint:gochecknoglobals // the linker writes to a global only
)

type versionInfo struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"`
	Date     string `json:"date"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func currentVersion() versionInfo {
	return versionInfo{Version: version, Commit: commit, Date: date, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
}

// line is the version for people.
func (v versionInfo) line() string {
	return fmt.Sprintf("rollcall %s (commit %s, built %s, %s, %s)\n", v.Version, v.Commit, v.Date, v.Go, v.Platform)
}

func newVersion() *cobra.Command {
	var output outputFlag
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := currentVersion()
			return output.print(cmd.OutOrStdout(), v, v.line)
		},
	}
	output.register(cmd)
	return cmd
}
