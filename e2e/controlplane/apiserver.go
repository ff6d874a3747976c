package controlplane

import (
	"context"
	"fmt"
	"net"

	"github.com/spf13/pflag"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	cliflag "k8s.io/component-base/cli/flag"
	basecompatibility "k8s.io/component-base/compatibility"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

// apiServerFlags are the flags by which the API server differs from its defaults. The default admission plugins stay.
func apiServerFlags(f *files, etcdSocket, auditLog string) []string {
	flags := []string{
		"--etcd-servers=unix://" + etcdSocket,
		"--advertise-address=127.0.0.1",
		"--endpoint-reconciler-type=none", // a loopback address may not be an endpoint
		"--service-cluster-ip-range=10.96.0.0/16",
		"--tls-cert-file=" + f.serverCert, "--tls-private-key-file=" + f.serverKey,
		"--client-ca-file=" + f.usersCA,
		"--requestheader-client-ca-file=" + f.proxyCA,
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + f.proxyCert, "--proxy-client-key-file=" + f.proxyKey,
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + f.accountPublic,
		"--service-account-signing-key-file=" + f.accountKey,
		"--authorization-mode=Node,RBAC",
		"--allow-privileged=true",
		"--enable-priority-and-fairness=false", "--max-requests-inflight=0", "--max-mutating-requests-inflight=0",
		"--profiling=false",
	}
	if auditLog != "" {
		flags = append(flags, "--audit-policy-file="+f.auditPolicy, "--audit-log-path="+auditLog, "--audit-log-maxsize=10240")
	}
	return flags
}

// apiServerOptions reads the flags of the API server, which is going to serve on listener.
func apiServerOptions(flags []string, listener net.Listener) (*options.ServerRunOptions, error) {
	opts := options.NewServerRunOptions()
	if err := parseFlags("kube-apiserver", opts.Flags(), flags); err != nil {
		return nil, err
	}
	opts.SecureServing.Listener = listener
	return opts, nil
}

// applyGlobals sets the feature gates and the logging of the whole process, which all components share. It must come
// after the flags of every component are parsed and before the first of them runs.
func applyGlobals(opts *options.ServerRunOptions) error {
	registry := opts.GenericServerRunOptions.ComponentGlobalsRegistry
	if err := registry.Set(); err != nil {
		return fmt.Errorf("set feature gates: %w", err)
	}
	logsapi.ReapplyHandling = logsapi.ReapplyHandlingIgnoreUnchanged
	if err := logsapi.ValidateAndApply(opts.Logs, registry.FeatureGateFor(basecompatibility.DefaultKubeComponent)); err != nil {
		return fmt.Errorf("set logging: %w", err)
	}
	return nil
}

// runAPIServer serves until ctx ends.
func runAPIServer(ctx context.Context, opts *options.ServerRunOptions) error {
	completed, err := opts.Complete(ctx)
	if err != nil {
		return fmt.Errorf("complete options of kube-apiserver: %w", err)
	}
	if errs := completed.Validate(); len(errs) > 0 {
		return fmt.Errorf("validate options of kube-apiserver: %w", utilerrors.NewAggregate(errs))
	}
	return app.Run(ctx, completed)
}

// parseFlags parses the flags of one component. Its own command cannot be used: each installs signal handlers, which a
// process can do only once.
func parseFlags(component string, sets cliflag.NamedFlagSets, flags []string) error {
	all := pflag.NewFlagSet(component, pflag.ContinueOnError)
	for _, name := range sets.Order {
		all.AddFlagSet(sets.FlagSets[name])
	}
	if err := all.Parse(flags); err != nil {
		return fmt.Errorf("parse flags of %s: %w", component, err)
	}
	return nil
}
