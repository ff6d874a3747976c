package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts run the program under both of its names.
func TestMain(m *testing.M) {
	program := func() {
		os.Exit(run(context.Background(), os.Args, os.Stdout, os.Stderr))
	}
	testscript.Main(m, map[string]func(){"rollcall": program, "kubectl-rollcall": program})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("KUBECONFIG", filepath.Join(env.WorkDir, "kubeconfig"))
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("COLUMNS", "80")
			encrypted, err := filepath.Abs(filepath.Join("..", "..", "sync", "render", "sops", "testdata"))
			if err != nil {
				return err
			}
			env.Setenv("ENCRYPTED", encrypted)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"cluster": startCluster},
	})
}
