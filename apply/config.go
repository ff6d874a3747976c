package apply

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply/account"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/render"
)

// Mounted are the plain ConfigMaps and Secrets that the running pods of a
// DaemonSet read while Git declares another version of it. Writing those would
// change the config of every node at once, past every wave, so they wait until
// the version that reads pinned copies is proven. What opts out of pinning, the
// declared version reads too, so that does not wait. They are asked for as the
// GitSync's account.
func (r *Rollouts) Mounted(ctx context.Context, as account.Account, ds render.DaemonSet) ([]diff.Reference, error) {
	if len(ds.Config) == 0 {
		return nil, nil
	}
	key := types.NamespacedName{Namespace: ds.GetNamespace(), Name: ds.GetName()}
	live, err := r.daemonSets(as, key.Namespace).get(ctx, key.Name)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, failed("get", "DaemonSet "+key.String(), err)
	}
	running, err := r.otherVersion(ctx, key, ds.Digest, &live.Spec.Template)
	if err != nil || running == nil {
		return nil, err
	}
	var declared appsv1.DaemonSet
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(ds.Pinned.Object, &declared); err != nil {
		return nil, fmt.Errorf("read daemonset %s from %s: %w", key, ds.Source, err)
	}
	unpinned := configOf(key.Namespace, &declared.Spec.Template)
	return slices.DeleteFunc(configOf(key.Namespace, running), func(ref diff.Reference) bool {
		return !slices.Contains(ds.Config, render.Reference(ref)) || slices.Contains(unpinned, ref)
	}), nil
}

// otherVersion is the template of the proven version, the live one where nothing is
// proven, and nil when the declared version is proven.
func (r *Rollouts) otherVersion(ctx context.Context, key types.NamespacedName, declared string, live *corev1.PodTemplateSpec) (*corev1.PodTemplateSpec, error) {
	n, err := r.Kinds.NodeRollouts(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return live, nil
	case err != nil:
		return nil, fmt.Errorf("get noderollout %s: %w", key, err)
	case n.Status.Proven == nil:
		return live, nil
	case n.Status.Proven.Digest == declared:
		return nil, nil
	}
	rec, _, err := (store{r.Kube, key}).recorded(ctx)
	if err != nil {
		return nil, err
	}
	template := rec.Templates[n.Status.Proven.Digest]
	return &template, nil
}

// configOf lists the ConfigMaps and Secrets that pods of a template read.
func configOf(namespace string, t *corev1.PodTemplateSpec) []diff.Reference {
	var out []diff.Reference
	add := func(kind, name string) {
		if name != "" {
			out = append(out, diff.Reference{Kind: kind, Namespace: namespace, Name: name})
		}
	}
	for i := range t.Spec.Volumes {
		configOfVolume(&t.Spec.Volumes[i], add)
	}
	for _, c := range slices.Concat(t.Spec.InitContainers, t.Spec.Containers) {
		configOfContainer(&c, add)
	}
	for _, c := range t.Spec.EphemeralContainers { // a live pod may have some
		configOfContainer((*corev1.Container)(&c.EphemeralContainerCommon), add)
	}
	for _, s := range t.Spec.ImagePullSecrets {
		add("Secret", s.Name)
	}
	return out
}

func configOfVolume(v *corev1.Volume, add func(kind, name string)) {
	if v.ConfigMap != nil {
		add("ConfigMap", v.ConfigMap.Name)
	}
	for _, name := range secretsOfVolume(&v.VolumeSource) {
		add("Secret", name)
	}
	if v.Projected == nil {
		return
	}
	for _, s := range v.Projected.Sources {
		if s.ConfigMap != nil {
			add("ConfigMap", s.ConfigMap.Name)
		}
		if s.Secret != nil {
			add("Secret", s.Secret.Name)
		}
	}
}

func configOfContainer(c *corev1.Container, add func(kind, name string)) {
	for _, e := range c.EnvFrom {
		if e.ConfigMapRef != nil {
			add("ConfigMap", e.ConfigMapRef.Name)
		}
		if e.SecretRef != nil {
			add("Secret", e.SecretRef.Name)
		}
	}
	for _, e := range c.Env {
		if e.ValueFrom == nil {
			continue
		}
		if ref := e.ValueFrom.ConfigMapKeyRef; ref != nil {
			add("ConfigMap", ref.Name)
		}
		if ref := e.ValueFrom.SecretKeyRef; ref != nil {
			add("Secret", ref.Name)
		}
	}
}
