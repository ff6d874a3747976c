package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/apply/account"
	"github.com/rollcall-dev/rollcall/apply/kinds"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// The exit codes of plan beside 0, as those of diff and of terraform plan.
const (
	exitBlocked exitCode = 1
	exitChanges exitCode = 2
)

// planFlags configure plan.
type planFlags struct {
	kube            *kubeFlags
	output          outputFlag
	policy, gitsync string
}

func newPlan(k *kubeFlags) *cobra.Command {
	f := &planFlags{kube: k}
	cmd := &cobra.Command{
		Use:   "plan [DIRECTORY]",
		Short: "Show what a directory would change in the cluster, and in which waves",
		Long: `plan renders a directory of a working tree as the controller would, compares it
with the cluster by server-side dry-runs, and says of every DaemonSet whether its
change is a rollout and how many nodes each wave takes. It writes nothing.

Without a DIRECTORY it is the current one. It is planned for the GitSync that
--gitsync names, else for the one that already declares something of it. Without
either the owner is left open.

Exit codes: 0 nothing changes, 2 something does, 1 an error, or something that
cannot be applied.`,
		Args: atMostOne("DIRECTORY"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			} else if err := announce(cmd.ErrOrStderr()); err != nil {
				return err
			}
			return f.run(cmd.Context(), dir, cmd.OutOrStdout())
		},
	}
	k.register(cmd)
	f.output.register(cmd)
	cmd.Flags().StringVar(&f.policy, "policy", "", "RolloutPolicy for DaemonSets that name none; default the GitSync's")
	cmd.Flags().StringVar(&f.gitsync, "gitsync", "", "GitSync to plan for: NAME or NAMESPACE/NAME")
	return cmd
}

// announce says which directory is planned when none was named: whoever is in
// another one than they think must not have to guess that from the errors.
func announce(stderr io.Writer) error {
	here, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("find the current directory: %w", err)
	}
	fmt.Fprintf(stderr, "rollcall: no directory is named: planning the current one, %s\n", here)
	return nil
}

func (f *planFlags) run(ctx context.Context, dir string, stdout io.Writer) error {
	if err := checkDirectory(dir); err != nil {
		return err
	}
	p, err := f.planner()
	if err != nil {
		return err
	}
	declared, err := p.render(ctx, dir, f.gitsync)
	if err != nil {
		return err
	}
	made, err := p.plan(ctx, declared)
	if err != nil {
		return err
	}
	t := newTerminal(stdout)
	if err := f.output.print(t, made.forPrograms(), func() string { return made.render(t.style()) }); err != nil {
		return err
	}
	switch {
	case made.blocked():
		return exitBlocked
	case made.changes():
		return exitChanges
	default:
		return nil
	}
}

// planner compares a directory with the cluster.
type planner struct {
	kube    kubernetes.Interface
	kinds   *kinds.Client
	objects *apply.Applier
	// rollouts judges as the pass does. Only what writes nothing is asked of it.
	rollouts  *apply.Rollouts
	namespace string
	// policy is that of --policy, or the GitSync's; empty for the default.
	policy string
	// gitsync is what the directory is planned for; nil leaves it open.
	gitsync *v1alpha1.GitSync
	// root is the working tree that the directory lies in.
	root string
}

func (f *planFlags) planner() (*planner, error) {
	config, namespace, err := f.kube.config()
	if err != nil {
		return nil, err
	}
	p := &planner{namespace: namespace, policy: f.policy}
	if p.kube, err = kubernetes.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	if p.kinds, err = kinds.NewClient(config); err != nil {
		return nil, err
	}
	if p.objects, err = apply.NewApplier(config, nil); err != nil {
		return nil, err
	}
	p.objects.Owners = apply.Owners(p.kinds)
	p.rollouts = &apply.Rollouts{Kube: p.kube, Kinds: p.kinds, Objects: p.objects}
	return p, nil
}

// render reads what the directory declares, and finds the GitSync that it is
// planned for.
func (p *planner) render(ctx context.Context, dir, gitsync string) (*render.Declared, error) {
	if gitsync != "" {
		if err := p.nameGitSync(ctx, gitsync); err != nil {
			return nil, err
		}
	}
	declared, err := p.build(dir)
	if err != nil || gitsync != "" {
		return declared, err
	}
	before := p.namespace
	if err := p.inferGitSync(ctx, declared); err != nil || p.namespace == before {
		return declared, err
	}
	return p.build(dir)
}

// checkDirectory says what is wrong with the argument in its own words, before
// anything is asked of a cluster or a tree.
func checkDirectory(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: no such directory", dir)
	case err != nil:
		return fmt.Errorf("look at the directory: %w", err)
	case !info.IsDir():
		return fmt.Errorf("%s: this is a file: name the directory that holds it, %s", dir, filepath.Dir(dir))
	default:
		return nil
	}
}

// build renders the directory with all of its working tree within reach, since
// overlays refer to bases beside them.
func (p *planner) build(dir string) (*render.Declared, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find directory %s: %w", dir, err)
	}
	root := workingTree(abs)
	p.root = root
	path, err := filepath.Rel(root, abs)
	if err != nil {
		return nil, fmt.Errorf("find directory %s in %s: %w", dir, root, err)
	}
	declared, err := render.Build(os.DirFS(root), render.Options{Path: filepath.ToSlash(path), Namespace: p.namespace})
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", dir, err)
	}
	return declared, nil
}

// workingTree is the nearest directory above that Git knows, else the directory
// itself.
func workingTree(dir string) string {
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, ".git")); err == nil {
			return at
		}
		if at == filepath.Dir(at) {
			return dir
		}
	}
}

func keyOf(ds render.DaemonSet) types.NamespacedName {
	return types.NamespacedName{Namespace: ds.GetNamespace(), Name: ds.GetName()}
}

// plan asks the API server what it would make of what is declared.
func (p *planner) plan(ctx context.Context, declared *render.Declared) (*planned, error) {
	out := &planned{}
	gitsync, prune := types.NamespacedName{Namespace: p.namespace, Name: "plan"}, false
	var previous *v1alpha1.Inventory
	if gs := p.gitsync; gs != nil {
		gitsync, prune, previous = types.NamespacedName{Namespace: gs.Namespace, Name: gs.Name}, gs.Spec.Prune, gs.Status.Inventory
		out.gitsync = gitsync.String()
	}
	set := apply.NewSet(gitsync, declared, previous)
	seen := p.objects.Observe(ctx, set)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	in := diff.Input{Owner: set.Owner, Objects: seen.Objects, DaemonSets: set.DaemonSets, Previous: previous, Former: seen.Former, Prune: prune}
	if gs := p.gitsync; gs != nil {
		in.PruneLimit = gs.Spec.PruneLimit
	}
	var err error
	if in.Frozen, err = p.frozen(ctx, declared); err != nil {
		return nil, err
	}
	if in.Heirs, in.Awaited, err = p.heirs(ctx, seen.Former); err != nil {
		return nil, err
	}
	out.objects = diff.Calculate(in)
	if err := p.forecasts(ctx, declared, out); err != nil {
		return nil, err
	}
	if in, err = p.spare(ctx, set, in, out); err != nil {
		return nil, err
	}
	out.objects = diff.Calculate(in)
	if p.gitsync == nil {
		out.objects = withoutOwner(out.objects)
	}
	return out, nil
}

// frozen is the config that the pass would not write before proof.
func (p *planner) frozen(ctx context.Context, declared *render.Declared) ([]diff.Reference, error) {
	var out []diff.Reference
	for _, ds := range declared.DaemonSets {
		if isNative(ds) {
			continue
		}
		mounted, err := p.rollouts.Mounted(ctx, account.Account{}, ds)
		if err != nil {
			return nil, err
		}
		out = append(out, mounted...)
	}
	return out, nil
}

// forecasts says what becomes of every DaemonSet that rollouts move; the others
// are objects.
func (p *planner) forecasts(ctx context.Context, declared *render.Declared, out *planned) error {
	nodes, err := p.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	var errs []error
	for _, ds := range declared.DaemonSets {
		if isNative(ds) {
			continue
		}
		f, err := p.forecast(ctx, ds, nodes.Items, changesConfig(out.objects, ds))
		if err != nil {
			errs = append(errs, err) // what is wrong is said of each
			continue
		}
		out.rollouts = append(out.rollouts, f)
	}
	return errors.Join(errs...)
}

func isNative(ds render.DaemonSet) bool {
	return ds.GetAnnotations()[v1alpha1.AnnotationRollout] == v1alpha1.RolloutNative
}

// spare is what the pass keeps although Git declares it no more. Where something
// begins with this directory, that is judged as it will be after proof: what only
// the pods of now need is deleted then.
func (p *planner) spare(ctx context.Context, set apply.Set, in diff.Input, out *planned) (diff.Input, error) {
	if len(out.objects.Of(diff.Delete)) == 0 {
		return in, nil
	}
	begins := func(f forecast) bool { return f.begins() }
	if len(out.objects.Of(diff.Create, diff.Update)) > 0 || slices.ContainsFunc(out.rollouts, begins) {
		var err error
		in.InUse, err = p.rollouts.InUse(ctx, in)
		return in, err
	}
	in.Unproven = slices.ContainsFunc(out.rollouts, func(f forecast) bool { return !f.rests })
	return p.rollouts.Spare(ctx, set, in)
}

// changesConfig is whether the plan changes a ConfigMap or Secret that the
// DaemonSet reads by its plain name.
func changesConfig(plan diff.Plan, ds render.DaemonSet) bool {
	return slices.ContainsFunc(plan.Of(diff.Update, diff.Keep), func(c diff.Change) bool {
		read := c.Group == "" && slices.Contains(ds.Config, render.Reference{Kind: c.Kind, Namespace: c.Namespace, Name: c.Name})
		return read && slices.ContainsFunc(c.Fields, func(f diff.FieldChange) bool {
			return strings.HasPrefix(f.Path, "data") || strings.HasPrefix(f.Path, "binaryData")
		})
	})
}
