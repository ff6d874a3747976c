// Package controlplane runs a real Kubernetes control plane inside this process: etcd, kube-apiserver,
// kube-controller-manager and kube-scheduler, as the Go modules that the released binaries are built from.
//
// They share feature gates, logging and metrics registries, so that a process holds one control plane at most, and no
// test binary should: start cmd/minicluster as a process instead.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	apioptions "k8s.io/kubernetes/cmd/kube-apiserver/app/options"
	kcmoptions "k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	schedoptions "k8s.io/kubernetes/cmd/kube-scheduler/app/options"
)

// readyTimeout is generous: the API server is ready after 3 s on an idle machine.
const readyTimeout = 3 * time.Minute

// Options say what control plane to run.
type Options struct {
	// Folder is an existing folder of this control plane alone. Keys and data go to the folders "pki" and "etcd" in it.
	Folder string
	// Listener is where the API server serves, an address of the loopback interface.
	Listener net.Listener
	// AuditLog is the file to log every request to, at Metadata level. Empty: no log.
	AuditLog string
	// NodeLeases says whether nodes prove by leases that they live. Without, the control plane never doubts a node.
	NodeLeases bool
	// WhenReady is called once the API server is ready, and may run for as long as the process does.
	WhenReady func(ctx context.Context, access Access) error
}

// Access makes a way to the API server for an administrator of the name given, which is the user in the audit log.
type Access func(user string) (*rest.Config, error)

// parsed are the options of the components, read before any of them runs.
type parsed struct {
	apiServer         *apioptions.ServerRunOptions
	controllerManager *kcmoptions.KubeControllerManagerOptions
	scheduler         *schedoptions.Options
}

// Run runs the control plane until ctx ends, which is no error, or until one of its parts or opts.Ready fails.
//
// Nothing is asked to stop: the data go with the process, which should end at once. A part that sees another one end
// may panic, as the API server does without a listener and etcd with requests that outlive its database.
func Run(ctx context.Context, opts Options) error {
	files, err := writeFiles(filepath.Join(opts.Folder, "pki"), opts.Listener.Addr().String())
	if err != nil {
		return err
	}
	etcd, err := startStore(filepath.Join(opts.Folder, "etcd"))
	if err != nil {
		return err
	}
	defer runtime.KeepAlive(etcd) // else the garbage collector closes the folder that its socket is reached by
	components, err := parseAll(opts, files, etcd)
	if err != nil {
		return err
	}

	group, groupCtx := errgroup.WithContext(ctx)
	endless := context.WithoutCancel(ctx)
	start := func(name string, run func() error) {
		group.Go(func() error { return fmt.Errorf("run %s: %w", name, endedEarly(run())) })
	}
	start("kube-apiserver", func() error { return runAPIServer(endless, components.apiServer) })
	group.Go(func() error {
		if err := waitReady(groupCtx, files.administrator); err != nil {
			return err
		}
		start("kube-controller-manager", func() error { return runControllerManager(endless, components.controllerManager) })
		start("kube-scheduler", func() error { return runScheduler(endless, components.scheduler) })
		return opts.WhenReady(endless, files.administrator)
	})
	<-groupCtx.Done()
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(groupCtx)
}

// endedEarly makes an error of a component's end, which must not happen while the process lives.
func endedEarly(err error) error {
	if err == nil {
		return errors.New("ended by itself")
	}
	return err
}

// parseAll reads the flags of all components first: feature gates and logging are global to the process, and are set
// once, before anything runs.
func parseAll(opts Options, f *files, etcd *store) (parsed, error) {
	var all parsed
	var err error
	all.apiServer, err = apiServerOptions(apiServerFlags(f, etcd.socket, opts.AuditLog), opts.Listener)
	if err != nil {
		return parsed{}, err
	}
	all.controllerManager, err = controllerManagerOptions(controllerManagerFlags(f, opts.NodeLeases))
	if err != nil {
		return parsed{}, err
	}
	all.scheduler, err = schedulerOptions(f)
	if err != nil {
		return parsed{}, err
	}
	return all, applyGlobals(all.apiServer)
}

// waitReady waits until the API server says that it is ready.
func waitReady(ctx context.Context, access Access) error {
	config, err := access("minicluster")
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	var last error
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, readyTimeout, true, func(ctx context.Context) (bool, error) {
		last = client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("wait for kube-apiserver to be ready: %w (last answer: %w)", err, last)
	}
	return nil
}
