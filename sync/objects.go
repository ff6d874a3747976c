package sync

import (
	"context"

	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func (c *Controller) applyObjects(ctx context.Context, gs *v1alpha1.GitSync, declared *render.Declared, o *outcome) error {
	return nil
}

func (c *Controller) prune(ctx context.Context, gs *v1alpha1.GitSync, declared *render.Declared, o *outcome) error {
	return nil
}
