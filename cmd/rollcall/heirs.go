package main

import (
	"context"
	"os"
	"path/filepath"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// heirs are the GitSyncs that the pass would hand over to what the directory
// declares no more, and those that it would await. What GitSyncs of the same
// repository declare is what their paths of this working tree do.
func (p *planner) heirs(ctx context.Context, former []diff.Former) ([]diff.Heir, []diff.Awaited, error) {
	if p.gitsync == nil || len(former) == 0 {
		return nil, nil, nil
	}
	all, err := p.kinds.GitSyncs(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if apierrors.IsForbidden(err) {
		return nil, nil, nil // who may see one GitSync only plans as if there were no other
	}
	if err != nil {
		return nil, nil, explainList(err)
	}
	heirs, awaited := sync.Heirs(p.gitsync, former, all.Items, func(gs *v1alpha1.GitSync) (*render.Declared, error) {
		return render.Build(os.DirFS(p.root), render.Options{Path: filepath.ToSlash(filepath.Clean(gs.Spec.Source.Path)), Namespace: gs.Namespace})
	})
	return heirs, awaited, nil
}
