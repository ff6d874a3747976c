package apply

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// Check asks the API server whether it would take the DaemonSet as declared. It
// writes nothing. A namespace that is missing may be one that the same commit
// brings: that is for the caller to tell.
func (r *Rollouts) Check(ctx context.Context, d Declaration) error {
	live, err := r.liveDaemonSet(ctx, d)
	if err != nil {
		return err
	}
	want, err := r.declaredVersion(ctx, d)
	if err != nil {
		return err
	}
	_, err = r.differsAround(ctx, d, live, want)
	return err
}

// differsAround is whether Git declares something else beside the template, by a
// dry-run of the whole. Of what the API server refuses, the rollout never learns.
func (r *Rollouts) differsAround(ctx context.Context, d Declaration, live *appsv1.DaemonSet, want *declared) (bool, error) {
	if live == nil {
		return false, nil
	}
	payload, err := d.payload(&want.Template)
	if err != nil {
		return false, err
	}
	merged, err := r.applyDaemonSet(ctx, d, payload, true)
	if err != nil {
		return false, err
	}
	return !sameAround(live, merged), nil
}

// applyAround applies what Git declares beside the template and leaves the live
// template as it is. The resourceVersion in the payload refuses a write that
// would race with a pulse.
func (r *Rollouts) applyAround(ctx context.Context, d Declaration, live *appsv1.DaemonSet) error {
	payload, err := d.payload(&live.Spec.Template)
	if err != nil {
		return err
	}
	payload.SetResourceVersion(live.ResourceVersion)
	r.Logger.Info("apply", "daemonset", d.key().String(), "commit", d.Commit)
	_, err = r.applyDaemonSet(ctx, d, payload, false)
	return err
}

// sameAround compares all but the template and what Kubernetes counts by it.
func sameAround(a, b *appsv1.DaemonSet) bool {
	a, b = a.DeepCopy(), b.DeepCopy()
	b.Spec.Template = a.Spec.Template
	delete(a.Annotations, appsv1.DeprecatedTemplateGeneration)
	delete(b.Annotations, appsv1.DeprecatedTemplateGeneration)
	return equality.Semantic.DeepEqual(a.Labels, b.Labels) && equality.Semantic.DeepEqual(a.Annotations, b.Annotations) && equality.Semantic.DeepEqual(a.Spec, b.Spec)
}
