package main

import (
	"cmp"
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
	"github.com/rollcall-dev/rollcall/sync"
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
	// against is what to compare with: againstCluster, or a commit.
	against string
	treeFlags
}

// againstCluster is the value of --against that asks the cluster.
const againstCluster = "cluster"

func newPlan(k *kubeFlags) *cobra.Command {
	f := &planFlags{kube: k}
	cmd := &cobra.Command{
		Use:   "plan [DIRECTORY|URL]",
		Short: "Show what a directory or a repository would change, and in which waves",
		Long: `plan renders a directory of a working tree, or of a repository that it fetches, as
the controller would. It compares that with the cluster by server-side dry-runs,
field by field of what rollcall would have, and says of every DaemonSet what makes
it roll, over which nodes in which waves, and how long that takes at least; what
prune would take; and what is held back, and why. It writes nothing.

Without an argument it is the current directory. It is planned for the GitSync that
--gitsync names, else for the one that already declares something of it. Without
either the owner is left open.

--against COMMIT compares with another commit of the same repository in place of
the cluster, which then need not be there: anything that git rev-parse takes, or of
a URL a branch, a tag or a full commit. What a repository asks for is taken from
ROLLCALL_GIT_USERNAME and ROLLCALL_GIT_PASSWORD, or ROLLCALL_GIT_TOKEN; for ssh
from the files that ROLLCALL_GIT_IDENTITY_FILE and ROLLCALL_GIT_KNOWN_HOSTS_FILE
name, with the passphrase as ROLLCALL_GIT_PASSWORD.

-o markdown is for a comment on a pull request, and no longer than one may be.

Exit codes: 0 nothing changes, 2 something does, 1 an error, or something that
cannot be applied.`,
		Args: atMostOne("DIRECTORY or URL"),
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
	f.output.register(cmd, markdown)
	cmd.Flags().StringVar(&f.policy, "policy", "", "RolloutPolicy for DaemonSets that name none; default the GitSync's")
	cmd.Flags().StringVar(&f.gitsync, "gitsync", "", "GitSync to plan for: NAME or NAMESPACE/NAME")
	cmd.Flags().StringVar(&f.against, "against", againstCluster, "what to compare with: cluster, or a commit of the repository")
	f.registerTree(cmd, "directory in the repository of the URL; default the GitSync's, else its root")
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

func (f *planFlags) run(ctx context.Context, arg string, stdout io.Writer) error {
	if err := f.check(arg); err != nil {
		return err
	}
	made, err := f.make(ctx, arg)
	if err != nil {
		return err
	}
	t := newTerminal(stdout)
	text := func() string {
		if f.output.format == markdown {
			return made.markdown()
		}
		return made.render(t.style())
	}
	if err := f.output.print(t, made.forPrograms(), text); err != nil {
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

// make plans against what it is to be compared with.
func (f *planFlags) make(ctx context.Context, arg string) (*planned, error) {
	if f.against != againstCluster {
		return f.makeAgainst(ctx, arg)
	}
	p, err := f.planner()
	if err != nil {
		return nil, err
	}
	path := f.path
	if f.gitsync != "" {
		if err := p.nameGitSync(ctx, f.gitsync); err != nil {
			return nil, err
		}
		path = cmp.Or(path, p.gitsync.Spec.Source.Path)
	}
	t, remove, err := f.open(ctx, arg, path)
	if err != nil {
		return nil, err
	}
	defer remove()
	p.tree = t
	if err := p.takeInputs(ctx); err != nil {
		return nil, err
	}
	declared, err := p.render(ctx)
	if err != nil {
		return nil, err
	}
	return p.plan(ctx, declared)
}

// makeAgainst compares two commits, or a working tree with one.
func (f *planFlags) makeAgainst(ctx context.Context, arg string) (*planned, error) {
	if f.gitsync != "" || f.policy != "" {
		return nil, errors.New("--gitsync and --policy are of the cluster, which --against COMMIT does not ask: leave one of them out")
	}
	t, remove, err := f.open(ctx, arg, f.path)
	if err != nil {
		return nil, err
	}
	defer remove()
	other, removeOther, err := f.openAgainst(ctx, arg, t)
	if err != nil {
		return nil, err
	}
	defer removeOther()
	after, err := t.build(f.kube.namespace)
	if err != nil {
		return nil, err
	}
	before, err := other.build(f.kube.namespace)
	if err != nil {
		return nil, err
	}
	out := betweenTrees(before, after)
	out.from, out.to = cmp.Or(shortHash(other.commit.Hash), f.against), shortHash(t.commit.Hash)
	return out, nil
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
	// tree is where it lies.
	tree tree
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
// planned for if none was named.
func (p *planner) render(ctx context.Context) (*render.Declared, error) {
	if p.gitsync != nil {
		p.tree = p.tree.with(p.gitsync.Spec.Source)
	}
	declared, err := p.tree.build(p.namespace)
	if err != nil || p.gitsync != nil {
		return declared, err
	}
	before := p.namespace
	if err := p.inferGitSync(ctx, declared); err != nil || p.gitsync == nil {
		return declared, err
	}
	p.tree = p.tree.with(p.gitsync.Spec.Source)
	if err := p.takeInputs(ctx); err != nil || p.namespace == before && !p.tree.hasInputs() {
		return declared, err
	}
	return p.tree.build(p.namespace)
}

// takeInputs reads the variables and keys of the GitSync, unless there are some already.
func (p *planner) takeInputs(ctx context.Context) (err error) {
	given := p.tree.inputs
	if p.gitsync == nil || p.gitsync.Spec.Substitute == nil && p.gitsync.Spec.Decryption == nil || given.Substitute || len(given.AgeKeys) > 0 {
		return nil
	}
	p.tree.inputs, err = sync.Inputs(ctx, p.objects.Dynamic, p.kube, p.gitsync)
	return err
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
	out := &planned{to: shortHash(p.tree.commit.Hash), findings: declared.Findings}
	if p.gitsync != nil {
		out.gitsync = p.gitsync.Namespace + "/" + p.gitsync.Name
	}
	set, in, err := p.observe(ctx, declared)
	if err != nil {
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
	for i := range out.rollouts {
		out.rollouts[i].Causes = causes(&out.rollouts[i], out.objects)
	}
	return out, nil
}

// observe asks the API server about the objects, and foretells what goes from one GitSync to another.
func (p *planner) observe(ctx context.Context, declared *render.Declared) (set apply.Set, in diff.Input, err error) {
	set = apply.NewSet(types.NamespacedName{Namespace: p.namespace, Name: "plan"}, declared, nil)
	prune := false
	if gs := p.gitsync; gs != nil {
		set, prune = apply.NewSet(types.NamespacedName{Namespace: gs.Namespace, Name: gs.Name}, declared, gs.Status.Inventory), gs.Spec.Prune
		set.Ignore = gs.Spec.Ignore
	}
	others, err := p.others(ctx)
	if err != nil {
		return set, in, err
	}
	if others != nil {
		p.objects.HandsOver = sync.HandsOver(p.gitsync, others, p.declaredBy)
	}
	seen := p.objects.Observe(ctx, set)
	if err := ctx.Err(); err != nil {
		return set, in, err
	}
	in = diff.Input{Owner: set.Owner, Objects: seen.Objects, DaemonSets: set.DaemonSets, Previous: set.Previous, Former: seen.Former, Prune: prune}
	if p.gitsync != nil {
		in.PruneLimit = p.gitsync.Spec.PruneLimit
	}
	if others != nil && len(seen.Former) > 0 {
		in.Heirs, in.Awaited = sync.Heirs(p.gitsync, seen.Former, others, p.declaredBy)
	}
	in.Frozen, err = p.frozen(ctx, declared)
	return set, in, err
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
	after := map[types.NamespacedName][]types.NamespacedName{}
	for _, ds := range rolled(declared) {
		after[keyOf(ds)] = apply.After(ds.GetAnnotations(), ds.GetNamespace())
	}
	var errs []error
	for _, ds := range rolled(declared) {
		f, err := p.forecast(ctx, ds, nodes.Items, after, changesConfig(out.objects, ds))
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
