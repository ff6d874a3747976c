package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply/kinds"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// fieldManager is the name that a person's wishes are written under.
const fieldManager = "rollcall-cli"

// oneDaemonSet wants exactly one argument, and shows what it may be.
func oneDaemonSet(cmd *cobra.Command, args []string) error {
	if len(args) == 1 {
		return nil
	}
	wrong := "name the DAEMONSET"
	if len(args) > 1 {
		wrong = fmt.Sprintf("name one DAEMONSET, not %d", len(args))
	}
	return fmt.Errorf("%s, such as: %s node-exporter -n monitoring; %s status -A lists them", wrong, cmd.CommandPath(), cmd.Root().CommandPath())
}

// atMostOne wants one argument or none.
func atMostOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return fmt.Errorf("name one %s, not %d; see %s --help", what, len(args), cmd.CommandPath())
		}
		return nil
	}
}

// target is the NodeRollout that a command acts on.
type target struct {
	kinds   *kinds.Client
	rollout *v1alpha1.NodeRollout
}

// find reads the NodeRollout that the argument names.
func (k *kubeFlags) find(ctx context.Context, arg string) (*target, error) {
	c, namespace, err := k.kinds()
	if err != nil {
		return nil, err
	}
	key, err := parseTarget(arg, namespace, k.namespace != "")
	if err != nil {
		return nil, err
	}
	n, err := c.NodeRollouts(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, notFound(ctx, c, key)
	}
	if err != nil {
		return nil, fmt.Errorf("get noderollout %s: %w", key, err)
	}
	return &target{kinds: c, rollout: n}, nil
}

// parseTarget reads NAME, KIND/NAME or NAMESPACE/NAME.
func parseTarget(arg, namespace string, explicit bool) (types.NamespacedName, error) {
	before, name, slash := strings.Cut(arg, "/")
	if !slash {
		before, name = "", arg
	}
	switch {
	case name == "" || strings.Contains(name, "/"):
		return types.NamespacedName{}, fmt.Errorf("cannot read %q: write NAME, ds/NAME or NAMESPACE/NAME", arg)
	case !slash || namesKind(before):
		return types.NamespacedName{Namespace: namespace, Name: name}, nil
	case explicit && before != namespace:
		return types.NamespacedName{}, fmt.Errorf("%q names the namespace %s and --namespace another, %s", arg, before, namespace)
	default:
		return types.NamespacedName{Namespace: before, Name: name}, nil
	}
}

// namesKind is whether kubectl would take the word for one of the two kinds.
func namesKind(word string) bool {
	switch strings.ToLower(word) {
	case "ds", "daemonset", "daemonsets", "daemonset.apps", "daemonsets.apps",
		"nroll", "noderollout", "noderollouts", "noderollout.rollcall.dev", "noderollouts.rollcall.dev":
		return true
	default:
		return false
	}
}

// listed is how many names an error spells out.
const listed = 8

// notFound names what there is instead.
func notFound(ctx context.Context, c *kinds.Client, key types.NamespacedName) error {
	all, err := c.NodeRollouts(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if apierrors.IsForbidden(err) {
		all, err = c.NodeRollouts(key.Namespace).List(ctx, metav1.ListOptions{})
	}
	if err != nil {
		return explainList(err)
	}
	var names, elsewhere []string
	for _, n := range all.Items {
		names = append(names, n.Namespace+"/"+n.Name)
		if n.Name == key.Name {
			elsewhere = append(elsewhere, n.Namespace)
		}
	}
	missing := fmt.Sprintf("no NodeRollout %q in namespace %q", key.Name, key.Namespace)
	switch {
	case len(elsewhere) > 0:
		return fmt.Errorf("%s, but in %s: use -n %s", missing, strings.Join(elsewhere, ", "), elsewhere[0])
	case len(names) == 0:
		return fmt.Errorf("%s, nor any other: one is made for every DaemonSet that a GitSync declares", missing)
	case len(names) > listed:
		return fmt.Errorf("%s; there are %s and %d more", missing, strings.Join(names[:listed], ", "), len(names)-listed)
	default:
		return fmt.Errorf("%s; there are %s", missing, strings.Join(names, ", "))
	}
}

// explainList says what it means that a kind cannot be listed.
func explainList(err error) error {
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("rollcall is not installed in this cluster, its kinds are unknown to it: install the chart")
	}
	return fmt.Errorf("list rollcall's objects: %w", err)
}

// patch merges fields into the NodeRollout's spec.
func (t *target) patch(ctx context.Context, spec map[string]any) error {
	raw, err := json.Marshal(map[string]any{"spec": spec})
	if err != nil {
		return fmt.Errorf("encode patch of noderollout %s: %w", t, err)
	}
	n, err := t.client().Patch(ctx, t.rollout.Name, types.MergePatchType, raw, metav1.PatchOptions{FieldManager: fieldManager})
	if err != nil {
		return fmt.Errorf("patch noderollout %s: %w", t, err)
	}
	t.rollout = n
	return nil
}

// read reads the NodeRollout again.
func (t *target) read(ctx context.Context) error {
	n, err := t.client().Get(ctx, t.rollout.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get noderollout %s: %w", t, err)
	}
	t.rollout = n
	return nil
}

func (t *target) client() *kinds.NodeRollouts {
	return t.kinds.NodeRollouts(t.rollout.Namespace)
}

// String is NAMESPACE/NAME.
func (t *target) String() string {
	return t.rollout.Namespace + "/" + t.rollout.Name
}

// command is how a person types another command for the same DaemonSet.
func (t *target) command(cmd *cobra.Command, verb string) string {
	return fmt.Sprintf("%s %s %s -n %s", cmd.Root().CommandPath(), verb, t.rollout.Name, t.rollout.Namespace)
}

// onCandidate counts the nodes that run the candidate.
func onCandidate(n *v1alpha1.NodeRollout) string {
	return fmt.Sprintf("%d of %d nodes", n.Status.Nodes.Candidate, n.Status.Nodes.Eligible)
}

// named is a version as a person knows it: by its commit, else by its digest.
func named(digest, commit string) string {
	if commit != "" {
		return "commit " + shortHash(commit)
	}
	return clean(digest[:min(len(digest), 15)])
}

func namedVersion(v *v1alpha1.Version) string {
	if v == nil {
		return "no version"
	}
	return named(v.Digest, v.Commit)
}

// rejection is the rejection of the digest, or nil.
func rejection(n *v1alpha1.NodeRollout, digest string) *v1alpha1.Rejection {
	for i := range n.Status.Rejected {
		if n.Status.Rejected[i].Digest == digest {
			return &n.Status.Rejected[i]
		}
	}
	return nil
}

// request makes the command one about a DaemonSet's rollout: it prints what was
// said of it, or the rollout as it is then.
func (k *kubeFlags) request(cmd *cobra.Command, ask func(cmd *cobra.Command, t *target) (said string, err error)) *cobra.Command {
	var output outputFlag
	cmd.Args, cmd.ValidArgsFunction = oneDaemonSet, k.completeRollouts
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		t, err := k.find(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		said, err := ask(cmd, t)
		if err != nil {
			return err
		}
		return output.print(cmd.OutOrStdout(), typed(t.rollout), func() string { return said + "\n" })
	}
	k.register(cmd)
	output.register(cmd)
	return cmd
}
