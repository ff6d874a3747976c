package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/validation"
	utilversion "k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

// oldest is the oldest Kubernetes that rollcall runs on: pod scheduling
// readiness, which holds back the candidate's pods, is stable from there on.
const oldest = "1.30.0"

// controllerFlags configure the controller.
type controllerFlags struct {
	kube           kubeFlags
	leaderElect    bool
	leaseNamespace string
	leaseName      string
	metricsAddress string
	pageAddress    string
	podIP          string
	cacheDir       string
	nodeName       string
	serviceAccount string
	logFormat      string
	logLevel       string
	qps            float32
	burst          int
	caps           caps
}

func newController(stderr io.Writer) *cobra.Command {
	f := &controllerFlags{}
	cmd := &cobra.Command{
		Use:   "controller",
		Short: "Run the controller",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), stderr)
		},
	}
	f.kube.register(cmd)
	flags := cmd.Flags()
	f.caps.register(flags)
	flags.BoolVar(&f.leaderElect, "leader-elect", false, "let one of several replicas act; needs a Lease in --lease-namespace")
	flags.StringVar(&f.leaseNamespace, "lease-namespace", "", "namespace of the Lease; default the pod's own")
	flags.StringVar(&f.leaseName, "lease-name", "rollcall", "name of the Lease")
	flags.StringVar(&f.metricsAddress, "metrics-bind-address", ":8080", "address of /metrics, /healthz and /readyz")
	flags.StringVar(&f.pageAddress, "page-bind-address", ":8081", "address of the webhook receiver /hook/NAMESPACE/NAME; "+noAddress+" serves none")
	flags.StringVar(&f.podIP, "pod-ip", os.Getenv("POD_IP"), "address at which other replicas reach this one's page, to hand webhooks to the one that leads; default $POD_IP")
	flags.StringVar(&f.cacheDir, "cache-dir", "", "directory for clones; default a temporary one")
	flags.StringVar(&f.nodeName, "node-name", os.Getenv("NODE_NAME"), "node that this process runs on, which every rollout takes last; default $NODE_NAME")
	flags.StringVar(&f.serviceAccount, "default-service-account", "", "name of the ServiceAccount, in a GitSync's namespace, as which its objects are read and written if it names none; default rollcall's own identity")
	flags.StringVar(&f.logFormat, "log-format", "text", "log format: text or json")
	flags.StringVar(&f.logLevel, "log-level", "info", "log level: debug, info, warn or error")
	// The first pass over 500 objects takes 1,005 requests, never more than 8 of them at once, and ought not to wait for
	// a limit that is to bound what does not end.
	const firstPass = 1200
	flags.Float32Var(&f.qps, "kube-api-qps", 100, "requests a second to the API server")
	flags.IntVar(&f.burst, "kube-api-burst", firstPass, "requests to the API server beyond that, after a time with fewer")
	return cmd
}

// heapGrowth is by how many percent the heap grows between two collections: most of
// it is a fleet that stays, and Go's own 100 would keep that twice.
const heapGrowth = 25

// saveMemory lets the heap grow less than Go would, unless GOGC says how much.
func saveMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
}

func (f *controllerFlags) run(ctx context.Context, stderr io.Writer) error {
	logger, err := f.logger(stderr)
	if err != nil {
		return err
	}
	if wrong := validation.IsDNS1123Subdomain(f.serviceAccount); f.serviceAccount != "" && len(wrong) > 0 {
		return fmt.Errorf("--default-service-account %q is no name of a ServiceAccount: %s", f.serviceAccount, strings.Join(wrong, "; "))
	}
	klog.SetSlogLogger(logger)
	saveMemory()
	dir, done, err := f.cache()
	if err != nil {
		return err
	}
	defer done()
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	config, namespace, err := f.kube.config()
	if err != nil {
		return err
	}
	config.QPS, config.Burst = f.qps, f.burst
	countRequests(config, reg)
	if err := checkVersion(config); err != nil {
		return err
	}
	if f.leaseNamespace == "" {
		f.leaseNamespace = namespace
	}
	p := &process{config: config, registry: reg, logger: logger, cacheDir: dir, flags: f}
	if err := p.build(); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.serve(ctx) })
	g.Go(func() error { return p.servePage(ctx) })
	g.Go(func() error { return p.lead(ctx) })
	err = g.Wait()
	logger.Info("stopped")
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (f *controllerFlags) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return nil, fmt.Errorf("unknown log level %q: use debug, info, warn or error", f.logLevel)
	}
	options := &slog.HandlerOptions{Level: level}
	switch f.logFormat {
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	default:
		return nil, fmt.Errorf("unknown log format %q: use text or json", f.logFormat)
	}
}

// cache returns the directory for clones, and what removes it if it is ours.
func (f *controllerFlags) cache() (string, func(), error) {
	if f.cacheDir != "" {
		if err := os.MkdirAll(f.cacheDir, 0o700); err != nil {
			return "", nil, fmt.Errorf("make cache directory: %w", err)
		}
		return filepath.Clean(f.cacheDir), func() {}, nil
	}
	dir, err := os.MkdirTemp("", "rollcall-")
	if err != nil {
		return "", nil, fmt.Errorf("make cache directory: %w", err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil
}

// checkVersion refuses a Kubernetes that would let gated pods run.
func checkVersion(config *rest.Config) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	info, err := client.Discovery().ServerVersion()
	if err != nil {
		return fmt.Errorf("ask the API server for its version: %w", err)
	}
	got, err := utilversion.ParseGeneric(info.GitVersion)
	if err != nil {
		return fmt.Errorf("read the API server's version %q: %w", info.GitVersion, err)
	}
	if got.LessThan(utilversion.MustParseGeneric(oldest)) {
		return fmt.Errorf("the API server is Kubernetes %s; rollcall needs %s or later, where scheduling gates are stable", info.GitVersion, oldest)
	}
	return nil
}

// grace is how long requests under way may take after a signal.
const grace = 10 * time.Second
