// Package kubelets plays the kubelets of the fake nodes of a test cluster: KWOK moves nodes and pods through stages,
// and pods fail by the tag of their image.
//
// # Faults
//
//	bad         crashes 1 s after each start, waits 2 s in CrashLoopBackOff, starts again; never Ready
//	stuck       runs, is never Ready and never restarts
//	flaky       becomes Ready, crashes 5 s after that, and then on and on as bad does
//	late        the same, 45 s after it became Ready
//	slow        stays Pending for 10 s on its node, and is Ready then
//	slowdeath   takes 15 s to terminate, or its grace period if that is shorter
//	killer      becomes Ready, and 20 s later its node is not Ready, until no such pod is left on it
//	noisy       becomes Ready, and then one healthy pod of another owner on its node is not, until no such pod is left
//
// Every other tag is healthy. All are stages, but for the last two: a stage cannot reach another object, so that an
// injector marks the node or the pod with fleet.NotReadyAnnotation, which a stage then obeys. Seconds are counted by the
// API's timestamps, which are whole seconds.
package kubelets

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/kwok/pkg/kwok/controllers"
	kwoklog "sigs.k8s.io/kwok/pkg/log"

	"github.com/rollcall-dev/rollcall/e2e/fleet"
)

// leaseSeconds is the life of a node's lease, renewed four times in it: each node makes one write every 10 s.
const leaseSeconds = 40

// Options say whose kubelets to play.
type Options struct {
	// KWOK and Injector are how each of the two reaches the API server, as an administrator.
	KWOK, Injector *rest.Config
	// NodeLeases says whether nodes have leases. Above some 300 nodes their renewal would keep two cores busy.
	NodeLeases bool
	Log        *slog.Logger
}

// Run plays all nodes whose fleet.KubeletLabel is fleet.KubeletRunning, and their pods, until ctx ends.
func Run(ctx context.Context, opts Options) error {
	client, err := newClient(opts.Injector)
	if err != nil {
		return err
	}
	kwok, err := newKWOK(opts)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := kwok.Start(kwoklog.NewContext(ctx, kwoklog.NewLogger(os.Stderr, slog.LevelWarn))); err != nil {
			return fmt.Errorf("start KWOK: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		return (&injector{client: client, log: opts.Log}).run(ctx)
	})
	return group.Wait()
}

// newKWOK configures KWOK's controllers directly: its command reads flags from os.Args and sets up signal handlers.
func newKWOK(opts Options) (*controllers.Controller, error) {
	client, err := newClient(opts.KWOK)
	if err != nil {
		return nil, err
	}
	stages, err := stages()
	if err != nil {
		return nil, err
	}
	config := controllers.Config{
		ID:                           "minicluster",
		Clock:                        clock.RealClock{},
		TypedClient:                  client,
		ManageNodesWithLabelSelector: fleet.KubeletLabel + "=" + fleet.KubeletRunning,
		CIDR:                         "10.128.0.0/9",
		NodeIP:                       "10.127.0.1",
		LocalStages:                  stages,
		PodPlayStageParallelism:      16,
		NodePlayStageParallelism:     8,
		NodeLeaseParallelism:         4,
		PodsOnNodeSyncParallelism:    4,
	}
	if opts.NodeLeases {
		config.NodeLeaseDurationSeconds = leaseSeconds
	}
	controller, err := controllers.NewController(config)
	if err != nil {
		return nil, fmt.Errorf("configure KWOK: %w", err)
	}
	return controller, nil
}

// newClient makes a client that speaks protobuf.
func newClient(config *rest.Config) (kubernetes.Interface, error) {
	config = rest.CopyConfig(config)
	config.ContentType = "application/vnd.kubernetes.protobuf"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return client, nil
}
