package controlplane

import (
	"context"
	"fmt"

	"k8s.io/kubernetes/cmd/kube-scheduler/app"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"
)

// schedulerOptions reads the flags of the scheduler.
func schedulerOptions(f *files) (*options.Options, error) {
	opts := options.NewOptions()
	if err := parseFlags("kube-scheduler", *opts.Flags, []string{"--config=" + f.schedulerConfig, "--secure-port=0"}); err != nil {
		return nil, err
	}
	return opts, nil
}

// runScheduler binds pods until ctx ends. The API server must be ready.
func runScheduler(ctx context.Context, opts *options.Options) error {
	config, scheduler, err := app.Setup(ctx, opts)
	if err != nil {
		return fmt.Errorf("configure kube-scheduler: %w", err)
	}
	return app.Run(ctx, config, scheduler)
}
