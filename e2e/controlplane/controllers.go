package controlplane

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
)

// controllerNames are the controllers that a cluster of node agents needs. The node lifecycle controller is one of
// them: admission taints each new node, and only this controller takes that taint away.
func controllerNames() []string {
	return []string{
		"serviceaccount-token-controller", "serviceaccount-controller", "root-ca-certificate-publisher-controller",
		"clusterrole-aggregation-controller", "namespace-controller", "garbage-collector-controller",
		"pod-garbage-collector-controller", "resourcequota-controller",
		"daemonset-controller", "deployment-controller", "replicaset-controller", "statefulset-controller",
		"job-controller", "cronjob-controller", "ttl-after-finished-controller", "disruption-controller",
		"node-lifecycle-controller", "taint-eviction-controller",
		"endpoints-controller", "endpointslice-controller", "validatingadmissionpolicy-status-controller",
	}
}

// controllerManagerFlags are the flags by which the controller manager differs from its defaults. Without node leases
// nothing renews a node's health, so that the lifecycle controller must not expect it.
func controllerManagerFlags(f *files, nodeLeases bool) []string {
	grace := "50s"
	if !nodeLeases {
		grace = "2h"
	}
	return []string{
		"--kubeconfig=" + f.controllerManager,
		"--secure-port=0", "--leader-elect=false", "--profiling=false",
		"--use-service-account-credentials=true",
		"--service-account-private-key-file=" + f.accountKey, "--root-ca-file=" + f.usersCA,
		"--controllers=" + strings.Join(controllerNames(), ","),
		"--controller-start-interval=0s",
		"--kube-api-qps=5000", "--kube-api-burst=10000",
		"--node-monitor-period=2s", "--node-monitor-grace-period=" + grace,
	}
}

// controllerManagerOptions reads the flags of the controller manager.
func controllerManagerOptions(flags []string) (*options.KubeControllerManagerOptions, error) {
	opts, err := options.NewKubeControllerManagerOptions()
	if err != nil {
		return nil, fmt.Errorf("make options of kube-controller-manager: %w", err)
	}
	sets := opts.Flags(app.KnownControllers(), app.ControllersDisabledByDefault(), app.ControllerAliases())
	if err := parseFlags("kube-controller-manager", sets, flags); err != nil {
		return nil, err
	}
	opts.ParsedFlags = &sets
	return opts, nil
}

// runControllerManager runs the controllers until ctx ends. The API server must be ready.
func runControllerManager(ctx context.Context, opts *options.KubeControllerManagerOptions) error {
	config, err := opts.Config(ctx, app.KnownControllers(), app.ControllersDisabledByDefault(), app.ControllerAliases())
	if err != nil {
		return fmt.Errorf("configure kube-controller-manager: %w", err)
	}
	return app.Run(ctx, config.Complete())
}
