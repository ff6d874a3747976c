package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"

	"github.com/rollcall-dev/rollcall/apply/kinds"
)

// statusFlags configure status.
type statusFlags struct {
	kube   *kubeFlags
	output outputFlag
	watch  bool
}

func newStatus(k *kubeFlags) *cobra.Command {
	f := &statusFlags{kube: k}
	cmd := &cobra.Command{
		Use:   "status [DAEMONSET]",
		Short: "Show what Git has, what runs, what moves, and why not further",
		Long: `status shows the GitSyncs of a namespace with the commit that Git has, the one
that is applied and the one that is proven; and every rollout with its wave, its
progress and its nodes, zone by zone. Where there are more than three rollouts,
those at rest take one line each.

DAEMONSET is NAME, ds/NAME or NAMESPACE/NAME.`,
		Args:              atMostOne("DAEMONSET"),
		ValidArgsFunction: k.completeRollouts,
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := f.observer(args)
			if err != nil {
				return err
			}
			return f.run(cmd.Context(), o, cmd.OutOrStdout())
		},
	}
	k.register(cmd)
	f.output.register(cmd)
	cmd.Flags().BoolVarP(&k.allNamespaces, "all-namespaces", "A", false, "all namespaces")
	cmd.Flags().BoolVarP(&f.watch, "watch", "w", false, "redraw on every change until Ctrl-C")
	cmd.MarkFlagsMutuallyExclusive("all-namespaces", "namespace")
	return cmd
}

func (f *statusFlags) observer(args []string) (*observer, error) {
	if f.watch && f.output.format != "text" {
		return nil, fmt.Errorf("--watch draws for people: it does not go with --output %s", f.output.format)
	}
	if f.kube.allNamespaces && len(args) > 0 {
		return nil, errors.New("--all-namespaces does not go with the name of one DaemonSet: write NAMESPACE/NAME")
	}
	config, namespace, err := f.kube.config()
	if err != nil {
		return nil, err
	}
	o := &observer{namespace: namespace}
	if len(args) > 0 {
		key, err := parseTarget(args[0], namespace, f.kube.namespace != "")
		if err != nil {
			return nil, err
		}
		o.namespace, o.name = key.Namespace, key.Name
	}
	if o.kinds, err = kinds.NewClient(config); err != nil {
		return nil, err
	}
	if o.kube, err = kubernetes.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return o, nil
}

// listOf is how objects are printed for programs, as kubectl does.
type listOf struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Items      []any  `json:"items"`
}

func (f *statusFlags) run(ctx context.Context, o *observer, stdout io.Writer) error {
	switch {
	case f.watch:
		return o.watch(ctx, newTerminal(stdout))
	case f.output.format == "text":
		s, err := o.screen(ctx)
		if err != nil {
			return err
		}
		_, err = io.WriteString(stdout, s.render(newTerminal(stdout).style()))
		return err
	default:
		syncs, rollouts, err := o.objects(ctx)
		if err != nil {
			return err
		}
		list := listOf{APIVersion: "v1", Kind: "List", Items: []any{}}
		for i := range syncs {
			list.Items = append(list.Items, typedSync(&syncs[i]))
		}
		for i := range rollouts {
			list.Items = append(list.Items, typed(&rollouts[i]))
		}
		return f.output.print(stdout, list, nil)
	}
}
