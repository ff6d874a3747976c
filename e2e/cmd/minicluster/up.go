package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/rollcall-dev/rollcall/e2e/controlplane"
	"github.com/rollcall-dev/rollcall/e2e/fleet"
	"github.com/rollcall-dev/rollcall/e2e/kubeconfig"
	"github.com/rollcall-dev/rollcall/e2e/kubelets"
)

const (
	// maxNodesWithLeases bounds the renewals, one per node every 10 s. 5,000 nodes with leases keep two cores busy, and
	// then the control plane takes them for lost.
	maxNodesWithLeases = 300

	// joinTimeout is for the largest clusters: 5,000 nodes take one to two minutes.
	joinTimeout = 10 * time.Minute

	// maxNodesWithRoom bounds the clusters that may hold more memory for less work.
	maxNodesWithRoom = 100
	// roomyGC is the heap's growth, in percent of what lives, until garbage is collected. By it, a start and a scenario
	// take a tenth to a third less CPU time than by Go's default of 100: less where no core is idle.
	roomyGC = 400
	// roomyLimit is the memory, in bytes, above which garbage is collected earlier: without it some reach 850 MiB.
	roomyLimit = 512 << 20
)

// upOptions are the flags of the command up.
type upOptions struct {
	nodes, zones, port int
	dir                string
	audit              bool
}

func newUpCommand() *cobra.Command {
	var opts upOptions
	command := &cobra.Command{
		Use:   "up --dir D",
		Short: "Run a cluster until a signal",
		Long: `Up runs a cluster until SIGINT or SIGTERM. It writes D/kubeconfig, and prints "ready" once the API server is ready
and all nodes are Ready and untainted. Logs go to D/minicluster.log. Nodes are node-0, node-1, ... in zones zone-a,
zone-b, ... Pods fail by the tag of their image: bad, stuck, flaky, late, slow, slowdeath, killer, noisy.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return up(cmd.Context(), opts, cmd.OutOrStdout())
		},
	}
	flags := command.Flags()
	flags.StringVar(&opts.dir, "dir", "", "folder of the cluster's files: new, empty, or of a cluster that has ended")
	flags.IntVar(&opts.nodes, "nodes", 3, "number of nodes")
	flags.IntVar(&opts.zones, "zones", 1, "number of zones over which the nodes are dealt")
	flags.IntVar(&opts.port, "port", 0, "port of the API server on 127.0.0.1; 0 picks a free one")
	flags.BoolVar(&opts.audit, "audit", false, "log each request, without its content, to D/audit.log")
	_ = command.MarkFlagRequired("dir") // It fails for a flag that does not exist.
	return command
}

// up runs a cluster until ctx ends.
func up(ctx context.Context, opts upOptions, stdout io.Writer) (err error) {
	if opts.nodes < 0 || opts.zones < 1 {
		return fmt.Errorf("--nodes %d --zones %d: want no fewer than 0 nodes and 1 zone", opts.nodes, opts.zones)
	}
	listener, err := listen(opts.port)
	if err != nil {
		return err
	}
	dir, err := claimFolder(opts.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.release()) }()
	if err := dir.redirectLogs(); err != nil {
		return err
	}

	spareCollector(opts.nodes)
	plane := controlplane.Options{
		Folder:     dir.path,
		Listener:   listener,
		NodeLeases: opts.nodes <= maxNodesWithLeases,
		WhenReady: func(ctx context.Context, access controlplane.Access) error {
			return populate(ctx, opts, dir, access, stdout)
		},
	}
	if opts.audit {
		plane.AuditLog = dir.file(auditLog)
	}
	if err := controlplane.Run(ctx, plane); err != nil {
		return fmt.Errorf("%w (see %s)", err, dir.file(logFile))
	}
	return nil
}

// spareCollector collects garbage less often where the cluster is small, unless the environment says how often.
func spareCollector(nodes int) {
	if nodes > maxNodesWithRoom || os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetGCPercent(roomyGC)
	debug.SetMemoryLimit(roomyLimit)
}

// listen claims the port, so that from now on no other cluster can take it. It is freed by the end of the process: an
// API server whose listener is closed panics.
func listen(port int) (net.Listener, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))) //nolint:noctx // it ends with the process
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("port %d of 127.0.0.1 is taken: end what listens there, or choose another --port (0 picks a free one)", port)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on port %d: %w", port, err)
	}
	return listener, nil
}

// populate brings the nodes into the cluster, says that it is ready, and plays the nodes until ctx ends.
func populate(ctx context.Context, opts upOptions, dir *folder, access controlplane.Access, stdout io.Writer) error {
	admin, err := access("admin")
	if err != nil {
		return err
	}
	kwok, err := access("kwok")
	if err != nil {
		return err
	}
	injector, err := access("fault-injector")
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(injector)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return kubelets.Run(ctx, kubelets.Options{
			KWOK:       kwok,
			Injector:   injector,
			NodeLeases: opts.nodes <= maxNodesWithLeases,
			Log:        slog.New(slog.NewTextHandler(os.Stderr, nil)),
		})
	})
	group.Go(func() error {
		joinCtx, cancel := context.WithTimeout(ctx, joinTimeout)
		defer cancel()
		if _, err := fleet.Join(joinCtx, client, 0, opts.nodes, opts.zones); err != nil {
			return err
		}
		if err := waitDefaultAccount(joinCtx, client); err != nil {
			return err
		}
		if err := kubeconfig.Write(dir.file(kubeconfigFile), admin); err != nil {
			return err
		}
		_, err := fmt.Fprintln(stdout, "ready")
		return err
	})
	return group.Wait()
}

// waitDefaultAccount waits for the ServiceAccount without which no pod can be created in the namespace default.
func waitDefaultAccount(ctx context.Context, client kubernetes.Interface) error {
	err := wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("wait for the default ServiceAccount: %w", err)
	}
	return nil
}
