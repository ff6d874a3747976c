package apply

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/pager"

	"github.com/rollcall-dev/rollcall/diff"
)

// Pods is what the pods that live now keep from being pruned.
type Pods struct {
	// Behind are the declared workloads some of whose pods run another version,
	// sorted by ID.
	Behind []diff.Behind
	// Read is what the pods refer to, sorted.
	Read []diff.Reference
}

// Pods asks the API server for the pods of every declared workload: of the
// DaemonSets that rollouts move, and of the DaemonSets, Deployments and
// StatefulSets that Kubernetes updates. Nothing comes from a cache: a pod that
// appeared a moment ago counts.
func (r *Rollouts) Pods(ctx context.Context, set Set) (Pods, error) {
	var out Pods
	for _, id := range slices.Concat(set.DaemonSets, unrolled(set)) {
		w, err := r.workload(ctx, id, slices.Contains(set.DaemonSets, id))
		if err != nil {
			return Pods{}, err
		}
		if err := r.count(ctx, w, &out); err != nil {
			return Pods{}, err
		}
		out.Read = sortedReferences(out.Read)
	}
	slices.SortFunc(out.Behind, func(a, b diff.Behind) int { return a.ID.Compare(b.ID) })
	return out, nil
}

// unrolled are the workloads of a set that Kubernetes updates by itself.
func unrolled(set Set) []diff.ID {
	var out []diff.ID
	for _, o := range set.Objects {
		id := diff.IDOf(o.Unstructured)
		if id.Group == appsv1.GroupName && slices.Contains([]string{"DaemonSet", "Deployment", "StatefulSet"}, id.Kind) {
			id.Namespace = cmp.Or(id.Namespace, set.Namespace)
			out = append(out, id)
		}
	}
	return out
}

// count counts the workload's pods that are behind and adds what they all read.
// A pod that is over needs nothing; one that terminates still runs. One that has no
// node keeps what it reads, but is not waited for: on a virtual node it has none ever.
func (r *Rollouts) count(ctx context.Context, w workload, out *Pods) error {
	behind, read := w.lagging, map[diff.Reference]bool{}
	list := pager.New(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return r.Kube.CoreV1().Pods(w.id.Namespace).List(ctx, o)
	})
	err := list.EachListItem(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(w.selector)}, func(o runtime.Object) error {
		p, ok := o.(*corev1.Pod)
		if !ok || p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded {
			return nil
		}
		if p.Spec.NodeName != "" && w.outdated(p) {
			behind++
		}
		for _, reference := range readBy(p) {
			if !read[reference] {
				read[reference] = true
				out.Read = append(out.Read, reference)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list pods of %s: %w", w.id, err)
	}
	if behind > 0 {
		out.Behind = append(out.Behind, diff.Behind{ID: w.id, Pods: behind})
	}
	return nil
}

// readBy is what a pod refers to: its config and the account that it runs as,
// without which its token is void at once.
func readBy(p *corev1.Pod) []diff.Reference {
	out := configOf(p.Namespace, &corev1.PodTemplateSpec{Spec: p.Spec})
	return append(out, diff.Reference{Kind: "ServiceAccount", Namespace: p.Namespace, Name: p.Spec.ServiceAccountName})
}
