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
)

// InUse is what a new pod of a DaemonSet may need, now or on the way back, of
// what a plan deletes: what the proven version and the declared one refer to, and
// the config of every controller revision that Kubernetes keeps, whichever GitSync
// declares the DaemonSet. Everything is read live: what a cache has not heard of is used all
// the same.
func (r *Rollouts) InUse(ctx context.Context, in diff.Input) ([]diff.Reference, error) {
	var out []diff.Reference
	for _, namespace := range within(doomed(in)) {
		list, err := r.Kinds.NodeRollouts(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("list noderollouts: %w", err)
		}
		for i := range list.Items {
			key := types.NamespacedName{Namespace: list.Items[i].Namespace, Name: list.Items[i].Name}
			used, err := r.usedBy(ctx, key)
			if err != nil {
				return nil, err
			}
			out = append(out, used...)
		}
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
		out = append(out, neededBy(key.Namespace, &live.Spec.Template.Spec)...)
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
		out = append(out, neededBy(key.Namespace, &t.Spec)...)
	}
	want, err := s.declared(ctx)
	if err != nil || want == nil {
		return out, err
	}
	return append(out, neededBy(key.Namespace, &want.Template.Spec)...), nil
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
