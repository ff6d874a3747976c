package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/apply/account"
	"github.com/rollcall-dev/rollcall/apply/kinds"
	"github.com/rollcall-dev/rollcall/apply/owned"
	"github.com/rollcall-dev/rollcall/health/watch"
	"github.com/rollcall-dev/rollcall/sync"
	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/reader"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// process is one running controller.
type process struct {
	config   *rest.Config
	registry *prometheus.Registry
	logger   *slog.Logger
	cacheDir string
	flags    *controllerFlags

	kube   kubernetes.Interface
	events record.EventBroadcaster
	syncs  *sync.Controller
	leader prometheus.Gauge
	ready  atomic.Bool
	// leads is whether this replica acts, and holder is the name in the lease.
	leads  atomic.Bool
	holder atomic.Pointer[string]
}

// build makes the clients and the controllers; nothing runs yet.
func (p *process) build() error {
	kube, err := kubernetes.NewForConfig(compact(p.config))
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	own, err := kinds.NewClient(p.config)
	if err != nil {
		return err
	}
	objects, err := apply.NewApplier(p.config, p.logger)
	if err != nil {
		return err
	}
	objects.Owners = apply.Owners(own)
	if objects.Owned, err = ownedWatch(p.config, objects.Accounts, p.logger); err != nil {
		return err
	}
	fleet, err := watch.NewFleet(kube)
	if err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return fmt.Errorf("register kinds: %w", err)
	}
	p.kube, p.events = kube, record.NewBroadcaster()
	recorder := p.events.NewRecorder(scheme, corev1.EventSource{Component: "rollcall"})
	rollouts := &apply.Rollouts{
		Kube: kube, Kinds: own, Fleet: fleet, Events: recorder, Metrics: apply.NewMetrics(p.registry),
		Logger: p.logger, Objects: objects, Written: &apply.Written{},
		OwnNode: p.flags.nodeName,
	}
	rollouts.Init()
	clones := filepath.Join(p.cacheDir, "git")
	gitLimits, renderLimits, readerLimits := p.flags.caps.limits()
	counted := sync.NewMetrics(p.registry)
	p.syncs = &sync.Controller{
		Kube: kube, Kinds: own, Git: &git.Client{Dir: clones, Limits: gitLimits, Sent: counted.Requested},
		Reader: &reader.Reader{Dir: clones, Git: gitLimits, Render: renderLimits, Limits: readerLimits}, Objects: objects, Rollouts: rollouts,
		Events: recorder, Metrics: counted, Logger: p.logger,
		DefaultServiceAccount: p.flags.serviceAccount,
	}
	rollouts.AccountOf = p.syncs.AccountOf
	p.leader = prometheus.NewGauge(prometheus.GaugeOpts{Name: "rollcall_leader", Help: "1 while this replica acts."})
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "rollcall_build_info", Help: "1, with the version."}, []string{"version", "commit"})
	p.registry.MustRegister(p.leader, build)
	build.WithLabelValues(version, commit).Set(1)
	return nil
}

// ownedWatch makes the watch of what was applied; nothing is watched yet.
func ownedWatch(config *rest.Config, accounts *account.Clients, logger *slog.Logger) (*owned.Watch, error) {
	client, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make client of metadata: %w", err)
	}
	as := func(a account.Account) (metadata.Interface, error) {
		c, err := accounts.As(a)
		if err != nil {
			return nil, err
		}
		return c.Metadata, nil
	}
	return &owned.Watch{Client: client, As: as, Logger: logger}, nil
}

// compact asks for Kubernetes' own kinds in protobuf, which is smaller than JSON and
// cheaper to decode.
func compact(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	return config
}

// serve answers /metrics, /healthz and /readyz until ctx is done.
func (p *process) serve(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(p.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !p.ready.Load() {
			http.Error(w, "starting", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", p.flags.metricsAddress)
	if err != nil {
		return fmt.Errorf("listen on --metrics-bind-address: %w", err)
	}
	p.logger.Info("serving", "address", listener.Addr().String())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	if err := serveUntil(ctx, server, listener); err != nil {
		return fmt.Errorf("serve metrics: %w", err)
	}
	return nil
}

// serveUntil answers until ctx is done, and what is being answered then, for a while.
func serveUntil(ctx context.Context, server *http.Server, listener net.Listener) error {
	stop := context.AfterFunc(ctx, func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		_ = server.Shutdown(bounded)
	})
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// lead acts while this replica leads. Losing the lease ends the process: what
// it was doing is found by the next leader. On a signal the lease is released
// only after everything has stopped, so that two never act at once.
func (p *process) lead(ctx context.Context) error {
	if !p.flags.leaderElect {
		return p.act(ctx, context.WithoutCancel(ctx))
	}
	identity, err := newIdentity(p.flags.reachedAt())
	if err != nil {
		return err
	}
	renewing, release := context.WithCancel(context.WithoutCancel(ctx))
	defer release()
	var acting atomic.Bool
	result := make(chan error, 1)
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: p.flags.leaseNamespace, Name: p.flags.leaseName},
			Client:     p.kube.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
		},
		LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 2 * time.Second,
		ReleaseOnCancel: true, Name: p.flags.leaseName,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(leading context.Context) {
				acting.Store(true)
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				defer context.AfterFunc(leading, cancel)()
				result <- p.act(ctx, leading)
				release()
			},
			OnStoppedLeading: func() { p.leader.Set(0); p.leads.Store(false) },
			OnNewLeader:      func(holder string) { p.holder.Store(&holder) },
		},
	})
	if err != nil {
		return fmt.Errorf("prepare leader election: %w", err)
	}
	defer context.AfterFunc(ctx, func() {
		if !acting.Load() {
			release()
		}
	})()
	p.ready.Store(true)
	elector.Run(renewing)
	if !acting.Load() {
		return nil
	}
	if err := <-result; err != nil || ctx.Err() != nil {
		return err
	}
	return errors.New("the lease was lost")
}

// newIdentity names this process among all replicas, ever. Host and process
// number alone do not: with the host's network a pod that replaces another one on
// the same node has both in common with it, and would take its lease for its own
// while the old process may still act. Where the others reach it, if that is known,
// comes after an @.
func newIdentity(at string) (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("name this replica: %w", err)
	}
	name := host + "_" + string(uuid.NewUUID())
	if at != "" {
		name += "@" + at
	}
	return name, nil
}

// act runs the controllers until ctx is done, and leaves the cluster tidy if
// this replica is still the one that leads.
func (p *process) act(ctx, leading context.Context) error {
	p.logger.Info("leading")
	p.leader.Set(1)
	p.leads.Store(true)
	p.ready.Store(true)
	p.events.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: p.kube.CoreV1().Events("")})
	defer p.events.Shutdown()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.syncs.Rollouts.Run(ctx) })
	g.Go(func() error { return p.syncs.Run(ctx) })
	err := g.Wait()
	if leading.Err() != nil {
		return err
	}
	leaving, cancel := context.WithTimeout(leading, grace)
	defer cancel()
	return errors.Join(err, p.syncs.Rollouts.Leave(leaving))
}
