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

// Behind asks the API server for the pods of every declared workload: of the
// DaemonSets that rollouts move, and of the DaemonSets, Deployments and
// StatefulSets that Kubernetes updates. It returns those some of whose pods run
// another version, sorted by ID. Nothing comes from a cache: a pod that appeared a
// moment ago counts. One that has no node is not waited for: on a virtual node it has
// none ever. The workloads are read as the set's account, their pods as rollcall itself.
func (r *Rollouts) Behind(ctx context.Context, set Set) ([]diff.Behind, error) {
	var out []diff.Behind
	for _, id := range slices.Concat(set.DaemonSets, unrolled(set)) {
		w, err := r.workload(ctx, set.As, id, slices.Contains(set.DaemonSets, id))
		if err != nil {
			return nil, err
		}
		behind := w.lagging
		if err := r.eachPod(ctx, id.Namespace, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(w.selector)}, func(p *corev1.Pod) {
			if p.Spec.NodeName != "" && w.outdated(p) {
				behind++
			}
		}); err != nil {
			return nil, fmt.Errorf("list pods of %s: %w", id, err)
		}
		if behind > 0 {
			out = append(out, diff.Behind{ID: id, Pods: behind})
		}
	}
	slices.SortFunc(out, func(a, b diff.Behind) int { return a.ID.Compare(b.ID) })
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

// read is what of these any pod refers to now, whoever made the pod, sorted.
func (r *Rollouts) read(ctx context.Context, of []diff.Reference) ([]diff.Reference, error) {
	var out []diff.Reference
	for _, namespace := range within(of) {
		if err := r.eachPod(ctx, namespace, metav1.ListOptions{}, func(p *corev1.Pod) {
			for _, reference := range readBy(p) {
				if slices.Contains(of, reference) && !slices.Contains(out, reference) {
					out = append(out, reference)
				}
			}
		}); err != nil {
			return nil, fmt.Errorf("list pods: %w", err)
		}
	}
	return sortedReferences(out), nil
}

// eachPod lists pods, page by page. A pod that is over needs nothing; one that
// terminates still runs.
func (r *Rollouts) eachPod(ctx context.Context, namespace string, o metav1.ListOptions, do func(*corev1.Pod)) error {
	list := pager.New(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return r.Kube.CoreV1().Pods(namespace).List(ctx, o)
	})
	return list.EachListItem(ctx, o, func(o runtime.Object) error {
		if p, ok := o.(*corev1.Pod); ok && p.Status.Phase != corev1.PodFailed && p.Status.Phase != corev1.PodSucceeded {
			do(p)
		}
		return nil
	})
}

// readBy is what a pod refers to.
func readBy(p *corev1.Pod) []diff.Reference {
	return neededBy(p.Namespace, &p.Spec)
}

// neededBy is what a pod cannot be made or go on without: its config, the account
// that it runs as, without which its token is void at once, and the classes that
// it names, without which no pod like it is admitted.
func neededBy(namespace string, spec *corev1.PodSpec) []diff.Reference {
	out := configOf(namespace, &corev1.PodTemplateSpec{Spec: *spec})
	out = append(out, diff.Reference{Kind: "ServiceAccount", Namespace: namespace, Name: cmp.Or(spec.ServiceAccountName, "default")})
	if spec.PriorityClassName != "" {
		out = append(out, diff.Reference{Kind: "PriorityClass", Name: spec.PriorityClassName})
	}
	if spec.RuntimeClassName != nil {
		out = append(out, diff.Reference{Kind: "RuntimeClass", Name: *spec.RuntimeClassName})
	}
	return out
}
