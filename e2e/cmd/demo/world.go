package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"github.com/rollcall-dev/rollcall/apply/kinds"
	"github.com/rollcall-dev/rollcall/e2e/cluster"
	"github.com/rollcall-dev/rollcall/e2e/gitserver"
	"github.com/rollcall-dev/rollcall/e2e/product"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

const (
	nodes     = 30
	zoneCount = 3
)

// world is what the demo starts: a cluster, a Git server with the fleet
// repository, and rollcall between them.
type world struct {
	// dir has all files and logs.
	dir     string
	cluster *cluster.Cluster
	kinds   *kinds.Client
	git     *gitserver.Server
	repo    *gitserver.Repo
	control *product.Controller
	zones   []zone
	// stopWatch ends the watch of pods.
	stopWatch context.CancelFunc

	mu     sync.Mutex
	ledger *ledger
}

// step is one part of the start.
type step struct {
	what  string
	start func(context.Context) (detail string, err error)
}

// start starts everything in order and tells of each step before and after.
// After an error the world is as far as it got, and is to be stopped all the
// same.
func (w *world) start(ctx context.Context, begin func(what string), done func(what, detail string, took time.Duration)) error {
	for _, s := range []step{
		{"cluster", w.startCluster},
		{"Git server", w.startGit},
		{"rollcall", w.startRollcall},
		{"pod watch", w.watchPods},
	} {
		began := time.Now()
		begin(s.what)
		detail, err := s.start(ctx)
		if err != nil {
			return fmt.Errorf("start %s: %w", s.what, err)
		}
		done(s.what, detail, time.Since(began))
	}
	return nil
}

func (w *world) startCluster(ctx context.Context) (string, error) {
	binary, err := product.Binary("minicluster")
	if err != nil {
		return "", err
	}
	w.cluster, err = cluster.Start(ctx, cluster.Options{Nodes: nodes, Zones: zoneCount, Dir: filepath.Join(w.dir, "cluster"), Binary: binary})
	if err != nil {
		return "", err
	}
	if err := w.listZones(ctx); err != nil {
		return "", err
	}
	version, err := w.cluster.Client.Discovery().ServerVersion()
	if err != nil {
		return "", fmt.Errorf("ask for the version of Kubernetes: %w", err)
	}
	return fmt.Sprintf("Kubernetes %s, %d fake nodes in %d zones", version, nodes, len(w.zones)), nil
}

// listZones reads the nodes, which the API lists by name: node-10 before node-2.
func (w *world) listZones(ctx context.Context) error {
	list, err := w.cluster.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	w.zones = zonesOf(list.Items)
	return nil
}

func (w *world) startGit(ctx context.Context) (string, error) {
	var err error
	w.git, err = gitserver.Start(context.WithoutCancel(ctx), gitserver.Options{Dir: filepath.Join(w.dir, "git")})
	if err != nil {
		return "", err
	}
	w.repo, err = w.git.NewRepo(ctx, "fleet")
	if err != nil {
		return "", err
	}
	// Who tries the demo with --keep may have no name in Git yet.
	for key, value := range map[string]string{"user.name": "Ada Author", "user.email": "ada@example.com"} {
		if _, err := w.repo.Git(ctx, "config", key, value); err != nil {
			return "", err
		}
	}
	return w.repo.URL, nil
}

func (w *world) startRollcall(ctx context.Context) (string, error) {
	if err := product.InstallCRDs(ctx, w.cluster.Dynamic); err != nil {
		return "", err
	}
	var err error
	if w.kinds, err = kinds.NewClient(w.cluster.Config); err != nil {
		return "", err
	}
	policy, err := rolloutPolicy()
	if err != nil {
		return "", err
	}
	if _, err := w.kinds.RolloutPolicies().Create(ctx, policy, metav1.CreateOptions{}); err != nil {
		return "", fmt.Errorf("create RolloutPolicy: %w", err)
	}
	w.control, err = product.Start(context.WithoutCancel(ctx), product.Options{Kubeconfig: w.cluster.Kubeconfig, Dir: w.dir})
	if err != nil {
		return "", err
	}
	return "http://" + w.control.Address + "/metrics", nil
}

// follow makes the GitSync, once there is something to follow.
func (w *world) follow(ctx context.Context) error {
	gs, err := gitSync(w.repo.URL)
	if err != nil {
		return err
	}
	if _, err := w.kinds.GitSyncs(gs.Namespace).Create(ctx, gs, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create GitSync: %w", err)
	}
	return nil
}

// poke asks for a pass now, as a webhook would: the poll comes every 5 s.
func (w *world) poke(ctx context.Context) error {
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:"%d"}}}`, v1alpha1.AnnotationReconcileAt, time.Now().UnixNano())
	_, err := w.kinds.GitSyncs(namespace).Patch(ctx, syncName, "application/merge-patch+json", []byte(patch), metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("annotate GitSync: %w", err)
	}
	return nil
}

// watchPods fills the ledger from now on.
func (w *world) watchPods(ctx context.Context) (string, error) {
	w.ledger = newLedger()
	w.ledger.begin("")
	ctx, w.stopWatch = context.WithCancel(ctx)
	factory := informers.NewSharedInformerFactoryWithOptions(w.cluster.Client, 0, informers.WithNamespace(namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = "app=example" }))
	_, err := factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { w.record(func(l *ledger) { l.see(o.(*corev1.Pod)) }) },
		UpdateFunc: func(_, o any) { w.record(func(l *ledger) { l.see(o.(*corev1.Pod)) }) },
		DeleteFunc: func(o any) {
			if last, missed := o.(cache.DeletedFinalStateUnknown); missed {
				o = last.Obj
			}
			w.record(func(l *ledger) { l.gone(o.(*corev1.Pod)) })
		},
	})
	if err != nil {
		return "", fmt.Errorf("watch pods: %w", err)
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	return "counts touched and hurt nodes from what the API server says", ctx.Err()
}

// record uses the ledger while no pod event does.
func (w *world) record(use func(*ledger)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	use(w.ledger)
}

// stop ends whatever has been started, the controller first.
func (w *world) stop() error {
	var errs []error
	if w.stopWatch != nil {
		w.stopWatch()
	}
	if w.control != nil {
		errs = append(errs, w.control.Stop())
	}
	if w.git != nil {
		errs = append(errs, w.git.Close())
	}
	if w.cluster != nil {
		errs = append(errs, w.cluster.Stop())
	}
	return errors.Join(errs...)
}

// logs are the files to look into after a failure.
func (w *world) logs() []string {
	var out []string
	for _, name := range []string{"rollcall.log", filepath.Join("cluster", "minicluster.log")} {
		path := filepath.Join(w.dir, name)
		if _, err := os.Stat(path); err == nil {
			out = append(out, path)
		}
	}
	return out
}
