package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func newHistory(k *kubeFlags) *cobra.Command {
	var output outputFlag
	cmd := &cobra.Command{
		Use:   "history [GITSYNC]",
		Short: "Show the last commits and what became of each",
		Long: `history shows the last commits that the GitSyncs of a namespace have read, the
latest first: when each was applied and proven, and what became of it.

GITSYNC is NAME or gitsync/NAME.`,
		Args: atMostOne("GITSYNC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			syncs, err := k.gitSyncs(cmd, args)
			if err != nil {
				return err
			}
			list := listOf{APIVersion: "v1", Kind: "List", Items: []any{}}
			for i := range syncs {
				list.Items = append(list.Items, typedSync(&syncs[i]))
			}
			return output.print(cmd.OutOrStdout(), list, func() string { return histories(syncs, newTerminal(cmd.OutOrStdout()).style(), time.Now()) })
		},
	}
	k.register(cmd)
	output.register(cmd)
	cmd.Flags().BoolVarP(&k.allNamespaces, "all-namespaces", "A", false, "all namespaces")
	cmd.MarkFlagsMutuallyExclusive("all-namespaces", "namespace")
	return cmd
}

// gitSyncs reads those of the namespace, or the one that is named.
func (k *kubeFlags) gitSyncs(cmd *cobra.Command, args []string) ([]v1alpha1.GitSync, error) {
	c, namespace, err := k.kinds()
	if err != nil {
		return nil, err
	}
	if len(args) == 0 {
		list, err := c.GitSyncs(namespace).List(cmd.Context(), metav1.ListOptions{})
		if err != nil {
			return nil, explainList(err)
		}
		return list.Items, nil
	}
	name := args[0]
	if named, is := gitSyncNamed(name); is {
		name = named
	}
	if namespace == "" || strings.Contains(name, "/") {
		return nil, fmt.Errorf("cannot read %q: write NAME or gitsync/NAME, with --namespace", args[0])
	}
	gs, err := c.GitSyncs(namespace).Get(cmd.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("no GitSync %q in namespace %q: %s history -A shows those of all namespaces", name, namespace, cmd.Root().CommandPath())
	}
	if err != nil {
		return nil, fmt.Errorf("get gitsync %s/%s: %w", namespace, name, err)
	}
	return []v1alpha1.GitSync{*gs}, nil
}

// histories writes one table for each GitSync.
func histories(syncs []v1alpha1.GitSync, st style, now time.Time) string {
	p := &page{style: st, now: now}
	if len(syncs) == 0 {
		_, _ = io.WriteString(p, "No GitSync.\n")
	}
	for i := range syncs {
		if i > 0 {
			p.WriteByte('\n')
		}
		p.history(&syncs[i])
	}
	return p.String()
}

// history writes one line for each commit: the ages are those of its applying and of
// its proof.
func (p *page) history(gs *v1alpha1.GitSync) {
	p.WriteString("GitSync " + p.paint(bold, gs.Namespace+"/"+gs.Name) + "\n")
	if len(gs.Status.History) == 0 {
		p.WriteString(indent + "no commit has been read yet\n")
		return
	}
	outcome := cells("OUTCOME")
	for _, e := range gs.Status.History {
		outcome = max(outcome, cells(clean(e.Outcome)))
	}
	row := func(commit, verdict, applied, proven string) string {
		return indent + pad(commit, 8) + "  " + pad(verdict, outcome) + "  " + pad(applied, 7) + "  " + pad(proven, 7) + "  "
	}
	head := row("COMMIT", "OUTCOME", "APPLIED", "PROVEN")
	p.WriteString(p.paint(dim, head+"SUBJECT") + "\n")
	for _, e := range gs.Status.History {
		line := row(shortHash(e.Commit), clean(e.Outcome), p.ago(e.Applied), p.ago(e.Proven)) + truncate(clean(e.Subject), max(p.width-cells(head), 10))
		p.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

func (p *page) ago(t *metav1.Time) string {
	if t == nil {
		return "-"
	}
	return since(t.Time, p.now)
}
