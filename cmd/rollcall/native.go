package main

import (
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

// nativeView is a DaemonSet that is applied and left to Kubernetes. It has no
// NodeRollout: what there is to say of it is in its own status.
type nativeView struct {
	namespace, name string
	status          appsv1.DaemonSetStatus
	// blind is why there is no status; empty when there is.
	blind string
}

// unrolled are the DaemonSets that a GitSync has applied and no rollout moves:
// native ones, and such as Git declares no more.
func unrolled(gs *v1alpha1.GitSync) []types.NamespacedName {
	if gs.Status.Inventory == nil {
		return nil
	}
	var out []types.NamespacedName
	for _, e := range gs.Status.Inventory.Entries {
		id, err := diff.ParseID(e.ID)
		if err != nil || id.Group != appsv1.GroupName || id.Kind != "DaemonSet" {
			continue
		}
		if !slices.ContainsFunc(gs.Status.Rollouts, func(r v1alpha1.RolloutSummary) bool { return r.Namespace == id.Namespace && r.Name == id.Name }) {
			out = append(out, types.NamespacedName{Namespace: id.Namespace, Name: id.Name})
		}
	}
	return out
}

// asksFor is whether the DaemonSet is one of those that were asked for by name or
// by namespace.
func (o *observer) asksFor(key types.NamespacedName) bool {
	return (o.namespace == "" || key.Namespace == o.namespace) && (o.name == "" || key.Name == o.name)
}

// natives reads the native DaemonSets of the GitSyncs that are shown.
func (o *observer) natives(ctx context.Context, syncs []v1alpha1.GitSync) []nativeView {
	var out []nativeView
	for i := range syncs {
		for _, key := range unrolled(&syncs[i]) {
			if !o.asksFor(key) && (o.name != "" || syncs[i].Namespace != o.namespace) {
				continue
			}
			v := nativeView{namespace: key.Namespace, name: key.Name}
			ds, err := o.kube.AppsV1().DaemonSets(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
			switch {
			case apierrors.IsNotFound(err):
				continue
			case err != nil:
				v.blind = fmt.Sprintf("get daemonset: %v", err)
			case ds.Annotations[v1alpha1.AnnotationRollout] != v1alpha1.RolloutNative:
				continue
			default:
				v.status = ds.Status
			}
			out = append(out, v)
		}
	}
	return out
}

// native shows one on one line.
func (p *page) native(v *nativeView) {
	ready, desired := v.status.NumberReady, v.status.DesiredNumberScheduled
	m, state := mark{"✓", green}, fmt.Sprintf("native: left to Kubernetes, %d of %d Ready", ready, desired)
	if ready < desired {
		m = mark{"!", yellow}
	}
	if v.blind != "" {
		m, state = mark{"…", dim}, "native: left to Kubernetes; "+v.blind
	}
	name := v.namespace + "/" + v.name
	if cells("DaemonSet "+name)+3+cells(state) <= p.width {
		p.headline(m, "DaemonSet", name, state)
		return
	}
	p.headline(m, "DaemonSet", name, "")
	p.paragraph(plain, indent, state)
}
