package main

import (
	"context"
	"fmt"
	"os"

	"github.com/fluxcd/pkg/ssa/utils"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
)

// atOnce is how many requests are under way at once: as many as rollcall makes.
const atOnce = 8

// bare makes one server-side apply for each object and asks nothing: no tool can apply with less.
func bare(ctx context.Context, kubeconfig, file string) error {
	config, objects, err := load(kubeconfig, file, "bare")
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	discover, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(discover))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, o := range objects {
		group.Go(func() error { return send(ctx, client, mapper, o) })
	}
	return group.Wait()
}

func send(ctx context.Context, client dynamic.Interface, mapper meta.RESTMapper, o *unstructured.Unstructured) error {
	kind := o.GroupVersionKind()
	m, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return err
	}
	_, err = client.Resource(m.Resource).Namespace(o.GetNamespace()).Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: "bare", Force: true})
	if err != nil {
		return fmt.Errorf("apply %s %s: %w", kind.Kind, o.GetName(), err)
	}
	return nil
}

// load reads what to apply, and where to, as whom the audit log is to know. There is no limit of requests: the API
// server is.
func load(kubeconfig, file, agent string) (*rest.Config, []*unstructured.Unstructured, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	config.QPS, config.UserAgent = -1, agent
	f, err := os.Open(file) //nolint:gosec // it is the caller's own file
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	objects, err := utils.ReadObjects(f)
	if err != nil {
		return nil, nil, fmt.Errorf("read manifests: %w", err)
	}
	return config, objects, nil
}
