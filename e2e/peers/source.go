package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"github.com/fluxcd/pkg/git"
	"github.com/fluxcd/pkg/git/gogit"
	"github.com/fluxcd/pkg/git/repository"
	"github.com/fluxcd/pkg/kustomize"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// source is what Flux does with a repository before it applies anything, by its own packages.
type source func(ctx context.Context, args []string) error

func sources() map[string]source {
	return map[string]source{"flux-fetch": fluxFetch, "flux-poll": fluxPoll, "flux-render": fluxRender}
}

// fluxFetch clones branch main as Flux' source-controller does, and renders a path as its kustomize-controller does:
// URL DIR PATH.
func fluxFetch(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("flux-fetch takes URL DIR PATH")
	}
	if err := fluxClone(ctx, args[0], args[1], ""); err != nil {
		return err
	}
	return fluxRender(ctx, []string{args[1], args[2]})
}

// fluxPoll asks a server so many times whether branch main has still the commit: URL COMMIT TIMES.
func fluxPoll(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("flux-poll takes URL COMMIT TIMES")
	}
	times, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	for range times {
		dir, err := os.MkdirTemp("", "flux-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		if err := fluxClone(ctx, args[0], dir, "main@sha1:"+args[1]); err != nil {
			return err
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			return fmt.Errorf("a clone was made of what had not changed: %v, %w", entries, err)
		}
	}
	return nil
}

func fluxClone(ctx context.Context, address, dir, observed string) error {
	parsed, err := url.Parse(address)
	if err != nil {
		return err
	}
	auth, err := git.NewAuthOptions(*parsed, nil)
	if err != nil {
		return fmt.Errorf("make options: %w", err)
	}
	client, err := gogit.NewClient(dir, auth, gogit.WithDiskStorage(), gogit.WithSingleBranch(true))
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	defer client.Close()
	_, err = client.Clone(ctx, address, repository.CloneConfig{
		CheckoutStrategy: repository.CheckoutStrategy{Branch: "main"}, ShallowClone: true, LastObservedCommit: observed,
	})
	return err
}

// fluxRender makes objects of a path of a directory: DIR PATH.
func fluxRender(_ context.Context, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("flux-render takes DIR PATH")
	}
	at := filepath.Join(args[0], args[1])
	if _, err := kustomize.NewGenerator(args[0], unstructured.Unstructured{Object: map[string]any{}}).WriteFile(at); err != nil {
		return fmt.Errorf("write kustomization: %w", err)
	}
	resources, err := kustomize.SecureBuild(args[0], at, false)
	if err != nil {
		return err
	}
	_, err = resources.AsYaml()
	return err
}
