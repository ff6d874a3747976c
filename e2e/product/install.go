package product

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
)

// InstallCRDs applies the CRDs of the chart and waits until they are served.
func InstallCRDs(ctx context.Context, client dynamic.Interface) error {
	root, err := Root()
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(root, "charts", "rollcall", "crds", "*.yaml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("find CRDs: %w", errors.Join(err, os.ErrNotExist))
	}
	crds := client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("read CRD: %w", err)
		}
		var crd unstructured.Unstructured
		if err := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(raw), len(raw)).Decode(&crd); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("decode %s: %w", filepath.Base(file), err)
		}
		if _, err := crds.Apply(ctx, crd.GetName(), &crd, metav1.ApplyOptions{FieldManager: "helm", Force: true}); err != nil {
			return fmt.Errorf("apply %s: %w", filepath.Base(file), err)
		}
		if err := waitEstablished(ctx, crds, crd.GetName()); err != nil {
			return err
		}
	}
	return nil
}

func waitEstablished(ctx context.Context, crds dynamic.ResourceInterface, name string) error {
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 20*time.Second, true, func(ctx context.Context) (bool, error) {
		crd, err := crds.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		status, _ := crd.Object["status"].(map[string]any)
		list, _ := status["conditions"].([]any) // null until the first one
		for _, c := range list {
			condition, _ := c.(map[string]any)
			if condition["type"] == "Established" && condition["status"] == string(metav1.ConditionTrue) {
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("wait for CRD %s: %w", name, err)
	}
	return nil
}
