package apply

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// InUse are the ConfigMaps and Secrets that a new pod of the owner's DaemonSets
// may mount, now or on the way back: those of every controller revision that
// Kubernetes keeps, of the proven version and of the declared one. Everything is
// read live: what a cache has not heard of is used all the same.
func (r *Rollouts) InUse(ctx context.Context, owner string) ([]diff.Reference, error) {
	list, err := r.Kinds.NodeRollouts(metav1.NamespaceAll).List(ctx, metav1.ListOptions{LabelSelector: v1alpha1.LabelOwner + "=" + owner})
	if err != nil {
		return nil, fmt.Errorf("list noderollouts of %s: %w", owner, err)
	}
	var out []diff.Reference
	for i := range list.Items {
		key := types.NamespacedName{Namespace: list.Items[i].Namespace, Name: list.Items[i].Name}
		used, err := r.usedBy(ctx, key)
		if err != nil {
			return nil, err
		}
		out = append(out, used...)
	}
	return sortedReferences(out), nil
}

// sortedReferences are the references, each once, in order.
func sortedReferences(references []diff.Reference) []diff.Reference {
	slices.SortFunc(references, func(a, b diff.Reference) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return slices.Compact(references)
}

func (r *Rollouts) usedBy(ctx context.Context, key types.NamespacedName) ([]diff.Reference, error) {
	var out []diff.Reference
	live, err := r.Kube.AppsV1().DaemonSets(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
	case err != nil:
		return nil, fmt.Errorf("get daemonset %s: %w", key, err)
	default:
		owned, err := r.liveRevisions(ctx, live)
		if err != nil {
			return nil, err
		}
		out = append(out, configOf(key.Namespace, &live.Spec.Template)...)
		for _, revision := range owned {
			t, err := revisionTemplate(revision)
			if err != nil {
				return nil, err
			}
			out = append(out, configOf(key.Namespace, t)...)
		}
	}
	s := store{r.Kube, key}
	rec, _, err := s.recorded(ctx)
	if err != nil {
		return nil, err
	}
	for _, digest := range sortedKeys(rec.Templates) {
		t := rec.Templates[digest]
		out = append(out, configOf(key.Namespace, &t)...)
	}
	want, err := s.declared(ctx)
	if err != nil || want == nil {
		return out, err
	}
	return append(out, configOf(key.Namespace, &want.Template)...), nil
}

// liveRevisions are the controller revisions that the DaemonSet controls, as the
// API server has them now.
func (r *Rollouts) liveRevisions(ctx context.Context, ds *appsv1.DaemonSet) ([]*appsv1.ControllerRevision, error) {
	list, err := r.Kube.AppsV1().ControllerRevisions(ds.Namespace).List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(ds.Spec.Selector)})
	if err != nil {
		return nil, fmt.Errorf("list controller revisions of daemonset %s/%s: %w", ds.Namespace, ds.Name, err)
	}
	var out []*appsv1.ControllerRevision
	for i := range list.Items {
		if metav1.IsControlledBy(&list.Items[i], ds) {
			out = append(out, &list.Items[i])
		}
	}
	return out, nil
}
