package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// found is what the cluster has of one DaemonSet.
type found struct {
	live    *appsv1.DaemonSet
	rollout *v1alpha1.NodeRollout
	// old is the template that nodes run, want the declared one with defaults;
	// both without rollcall's gate.
	old, want *corev1.PodTemplateSpec
	// sides are the live object, and what an apply would make of it, in what counts beside the template, and letsGo what
	// it would leave to others from then on.
	sides  *diff.Sides
	letsGo []diff.Pointer
	// same is whether the plain manifest leaves the live template as it is.
	same bool
}

// find reads the DaemonSet and has the API server try the declared one.
func (p *planner) find(ctx context.Context, ds render.DaemonSet) (*found, error) {
	key, out := keyOf(ds), &found{}
	var err error
	if out.live, err = p.kube.AppsV1().DaemonSets(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{}); apierrors.IsNotFound(err) {
		out.live, err = nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get daemonset %s: %w", key, err)
	}
	if out.rollout, err = p.kinds.NodeRollouts(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{}); apierrors.IsNotFound(err) {
		out.rollout, err = nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get noderollout %s: %w", key, err)
	}
	if out.want, err = p.tryTemplate(ctx, ds, out.live); err != nil {
		return nil, err
	}
	if out.live == nil {
		return out, nil
	}
	if out.old, err = p.provenTemplate(ctx, out); err != nil {
		return nil, err
	}
	if out.sides, out.letsGo, err = p.rollouts.Around(ctx, p.declaration(ds), out.live); err != nil {
		return nil, err
	}
	plain, err := p.tryApply(ctx, ds, ds.Unstructured)
	if err != nil {
		return nil, err
	}
	out.same = equality.Semantic.DeepEqual(plain.Spec.Template, out.live.Spec.Template)
	return out, nil
}

// tryTemplate is the declared template with the API server's defaults; live is nil
// when there is no DaemonSet. It asks
// what the pass asks, so that a refusal is the pass's own; without a GitSync it is
// open whose the DaemonSet would be. A namespace that is still to be made leaves
// the template without defaults.
func (p *planner) tryTemplate(ctx context.Context, ds render.DaemonSet, live *appsv1.DaemonSet) (*corev1.PodTemplateSpec, error) {
	d := p.declaration(ds)
	if p.gitsync != nil {
		if err := p.rollouts.Check(ctx, d); err != nil && !lacksNamespace(err) {
			return nil, err
		}
	}
	template, err := p.rollouts.Defaulted(ctx, d, live)
	if lacksNamespace(err) {
		var declared appsv1.DaemonSet
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(ds.Pinned.Object, &declared); err != nil {
			return nil, fmt.Errorf("read daemonset %s from %s: %w", keyOf(ds), ds.Source, err)
		}
		return &declared.Spec.Template, nil
	}
	return template, err
}

func lacksNamespace(err error) bool {
	var refused *apply.Error
	return errors.As(err, &refused) && refused.Reason == apply.ReasonNamespaceNotFound
}

// declaration is the DaemonSet as the pass would declare it.
func (p *planner) declaration(ds render.DaemonSet) apply.Declaration {
	out := apply.Declaration{DaemonSet: ds, Policy: cmp.Or(ds.GetAnnotations()[v1alpha1.AnnotationPolicy], p.policy)}
	if p.gitsync != nil {
		out.AdoptFrom = p.gitsync.Spec.AdoptFrom
		out.Owner = apply.Owner(types.NamespacedName{Namespace: p.gitsync.Namespace, Name: p.gitsync.Name})
		out.Ignore = p.gitsync.Spec.Ignore
	}
	return out
}

// tryApply is what an apply would make of the live DaemonSet, whose update
// strategy rollcall sets by itself.
func (p *planner) tryApply(ctx context.Context, ds render.DaemonSet, declared *unstructured.Unstructured) (*appsv1.DaemonSet, error) {
	key, payload := keyOf(ds), declared.DeepCopy()
	unstructured.RemoveNestedField(payload.Object, "spec", "updateStrategy")
	if p.gitsync != nil {
		labels := payload.GetLabels()
		if labels == nil {
			labels = map[string]string{}
		}
		labels[v1alpha1.LabelOwner] = p.declaration(ds).Owner
		payload.SetLabels(labels)
	}
	raw, err := json.Marshal(payload)
	if err != nil {
		return nil, fmt.Errorf("encode daemonset %s: %w", key, err)
	}
	o := metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: v1alpha1.FieldManager, Force: ptr.To(true)}
	merged, err := p.kube.AppsV1().DaemonSets(key.Namespace).Patch(ctx, key.Name, types.ApplyPatchType, raw, o)
	if err != nil {
		return nil, p.declaration(ds).Refused("dry-run", err)
	}
	return merged, nil
}

// provenTemplate is what nodes run at rest: the proven revision, or the live
// template where none is known.
func (p *planner) provenTemplate(ctx context.Context, seen *found) (*corev1.PodTemplateSpec, error) {
	if n := seen.rollout; n != nil && n.Status.Proven != nil && n.Status.Proven.Revision != "" {
		r, err := p.kube.AppsV1().ControllerRevisions(n.Namespace).Get(ctx, n.Status.Proven.Revision, metav1.GetOptions{})
		if err == nil {
			return templateOf(r)
		}
		if !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("get controllerrevision %s/%s: %w", n.Namespace, n.Status.Proven.Revision, err)
		}
	}
	return ungated(seen.live.Spec.Template.DeepCopy()), nil
}

// change is what changes in the DaemonSet, for those who read it: the template
// from the proven to the declared one, and what lies around it.
func (s *found) change(ds render.DaemonSet, ownerOpen bool) (diff.Change, error) {
	o := diff.Object{Declared: ds.Pinned, Source: ds.Source}
	in := diff.Input{Owner: o.Declared.GetLabels()[v1alpha1.LabelOwner]}
	if s.live != nil {
		in.Owner = s.live.Labels[v1alpha1.LabelOwner]
		o.Live, o.Merged, o.LetsGo = &unstructured.Unstructured{Object: s.sides.Live}, &unstructured.Unstructured{Object: s.sides.Merged}, s.letsGo
		o.Live.SetLabels(s.live.Labels)
		o.Sides = &diff.Sides{Live: withoutStrategy(s.sides.Live), Merged: withoutStrategy(s.sides.Merged)}
		for side, template := range map[*map[string]any]*corev1.PodTemplateSpec{&o.Sides.Live: s.old, &o.Sides.Merged: s.want} {
			spelled, err := spelledOut(template)
			if err == nil {
				err = unstructured.SetNestedMap(*side, spelled, "spec", "template")
			}
			if err != nil {
				return diff.Change{}, err
			}
		}
	}
	in.Objects = []diff.Object{o}
	out := diff.Plan{Changes: diff.Calculate(in).Changes}
	if ownerOpen {
		out = withoutOwner(out)
	}
	return out.Changes[0], nil
}

// settle makes the declared template the one that nodes run, where it is the same
// version: it changes by nothing that this brings.
func (s *found) settle(v verdict) {
	if s.old != nil && (v == willAdopt || v == willStay || v == isUnderWay) {
		s.want = s.old
	}
}

// withoutStrategy is one side without the update strategy, which rollcall sets by itself.
func withoutStrategy(side map[string]any) map[string]any {
	out := runtime.DeepCopyJSON(side)
	unstructured.RemoveNestedField(out, "spec", "updateStrategy")
	return out
}

func inTemplate(f diff.FieldChange) bool {
	return strings.HasPrefix(f.Path, "spec.template.")
}

func spelledOut(template *corev1.PodTemplateSpec) (map[string]any, error) {
	raw, err := runtime.DefaultUnstructuredConverter.ToUnstructured(template)
	if err != nil {
		return nil, fmt.Errorf("encode template: %w", err)
	}
	unstructured.RemoveNestedField(raw, "metadata", "creationTimestamp")
	return raw, nil
}
