package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
	"k8s.io/kubectl/pkg/cmd/apply"
	"k8s.io/kubectl/pkg/cmd/diff"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
)

// kubectlApply is `kubectl apply --server-side --force-conflicts -f FILE`.
func kubectlApply(ctx context.Context, kubeconfig, file string) error {
	return kubectl(ctx, apply.NewCmdApply("kubectl", factory(kubeconfig, "kubectl-apply"), quiet()), "--server-side", "--force-conflicts", "-f", file)
}

// kubectlDiff is `kubectl diff --server-side --force-conflicts -f FILE`. That something differs, with which it ends with
// 1, is no error.
func kubectlDiff(ctx context.Context, kubeconfig, file string) error {
	code, said := 0, ""
	cmdutil.BehaviorOnFatal(func(message string, with int) {
		if code == 0 { // it would have ended at the first one
			code, said = with, message
		}
	})
	err := kubectl(ctx, diff.NewCmdDiff(factory(kubeconfig, "kubectl-diff"), quiet()), "--server-side", "--force-conflicts", "-f", file)
	if code > 1 {
		return fmt.Errorf("it ends with %d: %s", code, said)
	}
	return err
}

func kubectl(ctx context.Context, command *cobra.Command, args ...string) error {
	command.SetArgs(args)
	command.SilenceUsage = true
	return command.ExecuteContext(ctx)
}

// factory is kubectl's, with the limits of requests that its main gives it.
func factory(kubeconfig, agent string) cmdutil.Factory {
	flags := genericclioptions.NewConfigFlags(true).WithDeprecatedPasswordFlag().WithDiscoveryBurst(300).WithDiscoveryQPS(50)
	flags.KubeConfig = &kubeconfig
	flags.WrapConfigFn = func(c *rest.Config) *rest.Config {
		c.UserAgent = agent
		return c
	}
	return cmdutil.NewFactory(cmdutil.NewMatchVersionFlags(flags))
}

func quiet() genericiooptions.IOStreams {
	return genericiooptions.IOStreams{In: os.Stdin, Out: io.Discard, ErrOut: os.Stderr}
}
