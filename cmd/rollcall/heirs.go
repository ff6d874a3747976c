package main

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// others are all GitSyncs, for what goes from one to another; nil where that cannot be foretold. Who may see one GitSync
// only plans as if there were no other.
func (p *planner) others(ctx context.Context) ([]v1alpha1.GitSync, error) {
	if p.gitsync == nil {
		return nil, nil
	}
	all, err := p.kinds.GitSyncs(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if apierrors.IsForbidden(err) {
		return nil, nil
	}
	if err != nil {
		return nil, explainList(err)
	}
	return all.Items, nil
}

// declaredBy is what a GitSync of the same repository declares at its path of this tree, with its own variables and keys.
func (p *planner) declaredBy(gs *v1alpha1.GitSync) (*render.Declared, error) {
	other := *p
	other.gitsync, other.tree = gs, p.tree.of(gs.Spec.Source)
	if err := other.takeInputs(context.Background()); err != nil {
		return nil, err
	}
	return other.tree.build(gs.Namespace)
}
