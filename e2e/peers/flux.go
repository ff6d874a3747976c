package main

import (
	"context"

	"github.com/fluxcd/pkg/ssa"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// flux does what kustomize-controller does with the objects of a Kustomization at each interval: a get and a dry-run of
// each, and an apply of those that differ (ResourceManager.ApplyAll). So many at once as its --concurrent-ssa is set
// to by default, 4; ApplyAll writes one after the other.
func flux(ctx context.Context, kubeconfig, file string) error {
	config, objects, err := load(kubeconfig, file, "flux")
	if err != nil {
		return err
	}
	reader, err := client.New(config, client.Options{})
	if err != nil {
		return err
	}
	manager := ssa.NewResourceManager(reader, nil, ssa.Owner{Field: "kustomize-controller", Group: "kustomize.toolkit.fluxcd.io"})
	manager.SetConcurrency(4)
	manager.SetOwnerLabels(objects, "peer", "flux-system")
	_, err = manager.ApplyAll(ctx, objects, ssa.DefaultApplyOptions())
	return err
}
