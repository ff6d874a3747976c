package apply

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// adopt records what runs as proven.
func (r *Rollouts) adopt(ctx context.Context, d Declaration, n *v1alpha1.NodeRollout, live *appsv1.DaemonSet, want *declared) error {
	digest := d.DaemonSet.Digest
	same, err := r.runsAsDeclared(ctx, d, live, want)
	if err != nil {
		return err
	}
	if !same {
		if digest, err = adoptedDigest(&live.Spec.Template); err != nil {
			return err
		}
	}
	proven := v1alpha1.Version{Digest: digest}
	if digest == d.DaemonSet.Digest {
		proven.Commit = d.Commit
	}
	s := store{r.Kube, d.key()}
	_, old, err := s.recorded(ctx)
	if err != nil {
		return err
	}
	if err := s.writeRecorded(ctx, n, old, recorded{Templates: templates{digest: live.Spec.Template}}); err != nil {
		return err
	}
	return r.initialise(ctx, n, &proven)
}

// runsAsDeclared is whether what runs is the declared version: with pinned
// config, as a rollout left it whose NodeRollout was deleted, or in so far as
// Git's plain manifest would leave the template as it is. Then its config gets
// pinned with the next real change, since pinning now would restart every pod.
func (r *Rollouts) runsAsDeclared(ctx context.Context, d Declaration, live *appsv1.DaemonSet, want *declared) (bool, error) {
	if equality.Semantic.DeepEqual(want.Template, live.Spec.Template) {
		return true, nil
	}
	merged, err := r.taken(ctx, d, live)
	return err == nil && !d.ConfigChanged && equality.Semantic.DeepEqual(*merged, live.Spec.Template), err
}

// taken is what Git's plain manifest would make of the template, as the API
// server says. What Git leaves out is gone from it if it came from a manager
// that may be taken over from: an apply alone would keep, and so hide, what
// kubectl once applied. What others wrote, such as the annotation of `kubectl
// rollout restart`, stays.
func (r *Rollouts) taken(ctx context.Context, d Declaration, live *appsv1.DaemonSet) (*corev1.PodTemplateSpec, error) {
	payload := d.DaemonSet.DeepCopy()
	unstructured.RemoveNestedField(payload.Object, "spec", "updateStrategy")
	merged, err := r.applyDaemonSet(ctx, d, payload, true, true)
	if err != nil {
		return nil, err
	}
	before, err := toUnstructured(live)
	if err != nil {
		return nil, err
	}
	if len(r.Objects.taken(before)) == 0 {
		return &merged.Spec.Template, nil
	}
	after, err := toUnstructured(merged)
	if err != nil {
		return nil, err
	}
	t, err := r.target(d)
	if err != nil {
		return nil, err
	}
	rest, err := r.Objects.withoutTaken(ctx, t, before, after)
	if err != nil {
		return nil, classify("dry-run", d.reference(), err)
	}
	out, err := fromUnstructured(rest)
	if err != nil {
		return nil, err
	}
	return &out.Spec.Template, nil
}

// target is the DaemonSet as the Applier knows objects.
func (r *Rollouts) target(d Declaration) (target, error) {
	mapping, err := r.Objects.kindOf(appsv1.SchemeGroupVersion.WithKind("DaemonSet"))
	if err != nil {
		return target{}, fmt.Errorf("find kind of daemonset %s: %w", d.key(), err)
	}
	return target{object: d.DaemonSet.Unstructured, source: d.DaemonSet.Source, mapping: mapping}, nil
}

func fromUnstructured(o *unstructured.Unstructured) (*appsv1.DaemonSet, error) {
	var out appsv1.DaemonSet
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &out); err != nil {
		return nil, fmt.Errorf("read daemonset %s/%s: %w", o.GetNamespace(), o.GetName(), err)
	}
	return &out, nil
}

func toUnstructured(ds *appsv1.DaemonSet) (*unstructured.Unstructured, error) {
	ds = ds.DeepCopy()
	ds.APIVersion, ds.Kind = appsv1.SchemeGroupVersion.String(), "DaemonSet"
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(ds)
	if err != nil {
		return nil, fmt.Errorf("encode daemonset %s/%s: %w", ds.Namespace, ds.Name, err)
	}
	return &unstructured.Unstructured{Object: object}, nil
}
