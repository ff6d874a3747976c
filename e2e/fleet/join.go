package fleet

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

// createParallelism is the number of nodes created at a time; 1,000 nodes then take about 3 seconds.
const createParallelism = 16

// Join creates n fake nodes from index first on and waits until each is Ready and untainted. It returns their names.
func Join(ctx context.Context, client kubernetes.Interface, first, n, zones int) ([]string, error) {
	names := make([]string, n)
	group, createCtx := errgroup.WithContext(ctx)
	group.SetLimit(createParallelism)
	for i := range n {
		node := Node(first+i, zones)
		names[i] = node.Name
		group.Go(func() error {
			if _, err := client.CoreV1().Nodes().Create(createCtx, node, metav1.CreateOptions{}); err != nil {
				return fmt.Errorf("create node %s: %w", node.Name, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return names, waitJoined(ctx, client, names)
}

// waitJoined follows the nodes in one watch, since polling thousands of them costs more than the control plane itself.
func waitJoined(ctx context.Context, client kubernetes.Interface, names []string) error {
	if len(names) == 0 {
		return nil
	}
	wanted, waiting := sets.New(names...), sets.New(names...)
	nodes := cache.NewListWatchFromClient(client.CoreV1().RESTClient(), "nodes", "", fields.Everything())
	_, err := watchtools.UntilWithSync(ctx, nodes, &corev1.Node{}, nil, func(event watch.Event) (bool, error) {
		node, ok := event.Object.(*corev1.Node)
		if !ok || !wanted.Has(node.Name) {
			return false, nil
		}
		if event.Type != watch.Deleted && joined(node) {
			waiting.Delete(node.Name)
		} else {
			waiting.Insert(node.Name)
		}
		return waiting.Len() == 0, nil
	})
	if err != nil {
		return fmt.Errorf("wait for %d of %d nodes to be Ready and untainted: %w", waiting.Len(), len(names), err)
	}
	return nil
}
