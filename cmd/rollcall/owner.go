package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// nameGitSync plans for the GitSync of that name.
func (p *planner) nameGitSync(ctx context.Context, gitsync string) error {
	namespace, name, found := strings.Cut(gitsync, "/")
	if !found {
		namespace, name = p.namespace, gitsync
	}
	gs, err := p.kinds.GitSyncs(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get gitsync %s/%s: %w", namespace, name, err)
	}
	p.planFor(gs)
	return nil
}

func (p *planner) planFor(gs *v1alpha1.GitSync) {
	p.gitsync, p.namespace = gs, gs.Namespace
	p.objects = p.objects.Adopting(gs.Spec.AdoptFrom)
	if p.policy == "" {
		p.policy = gs.Spec.Policy
	}
}

// inferGitSync plans for the GitSync that declares something of the directory
// already. A cluster without rollcall has none.
func (p *planner) inferGitSync(ctx context.Context, declared *render.Declared) error {
	all, err := p.kinds.GitSyncs(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		return nil
	}
	if err != nil {
		return explainList(err)
	}
	var owners []*v1alpha1.GitSync
	var names []string
	for i := range all.Items {
		if gs := &all.Items[i]; declaresSome(gs, declared) {
			owners, names = append(owners, gs), append(names, gs.Namespace+"/"+gs.Name)
		}
	}
	if at := slices.DeleteFunc(slices.Clone(owners), func(gs *v1alpha1.GitSync) bool { return path.Clean(gs.Spec.Source.Path) != path.Clean(p.tree.path) }); len(at) == 1 {
		owners = at
	}
	switch len(owners) {
	case 0:
		return nil
	case 1:
		p.planFor(owners[0])
		return nil
	default:
		return errors.New("several GitSyncs declare something of this directory: choose one with --gitsync: " + strings.Join(names, ", "))
	}
}

// declaresSome is whether the GitSync has applied something of what is declared.
func declaresSome(gs *v1alpha1.GitSync, declared *render.Declared) bool {
	for _, ds := range declared.DaemonSets {
		if slices.ContainsFunc(gs.Status.Rollouts, func(r v1alpha1.RolloutSummary) bool {
			return keyOf(ds) == types.NamespacedName{Namespace: r.Namespace, Name: r.Name}
		}) {
			return true
		}
	}
	if gs.Status.Inventory == nil {
		return false
	}
	applied := map[string]bool{}
	for _, e := range gs.Status.Inventory.Entries {
		applied[e.ID] = true
	}
	return slices.ContainsFunc(declared.Objects, func(o render.Object) bool { return applied[diff.IDOf(o.Unstructured).Entry()] })
}

// withoutOwner leaves the owner label out of the plan.
func withoutOwner(in diff.Plan) diff.Plan {
	out := diff.Plan{Changes: slices.Clone(in.Changes)}
	for i := range out.Changes {
		c := &out.Changes[i]
		c.Fields = slices.DeleteFunc(slices.Clone(c.Fields), isOwnerLabel)
		c.Before, c.After = unlabelled(c.Before), unlabelled(c.After)
		if c.Operation == diff.Update && c.Reason == diff.ReasonDiffers && len(c.Fields) == 0 {
			c.Operation, c.Reason = diff.Unchanged, diff.ReasonEqual
		}
	}
	return out
}

func isOwnerLabel(f diff.FieldChange) bool {
	return strings.HasPrefix(f.Path, "metadata.labels") && strings.Contains(f.Path, v1alpha1.LabelOwner)
}

// unlabelled is an object without the owner label.
func unlabelled(object map[string]any) map[string]any {
	metadata, _ := object["metadata"].(map[string]any)
	labels, _ := metadata["labels"].(map[string]any)
	if _, has := labels[v1alpha1.LabelOwner]; !has {
		return object
	}
	out, metadata, labels := maps.Clone(object), maps.Clone(metadata), maps.Clone(labels)
	delete(labels, v1alpha1.LabelOwner)
	out["metadata"], metadata["labels"] = metadata, labels
	if len(labels) == 0 {
		delete(metadata, "labels")
	}
	if len(metadata) == 0 {
		delete(out, "metadata")
	}
	return out
}
