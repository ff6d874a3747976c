package apply

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// ReasonCannotSurge holds a DaemonSet whose nodes are to be served without a break,
// and whose pods cannot stand beside each other.
const ReasonCannotSurge = "CannotSurge"

// surgeStrategy is that of an open surge: one pod of the template beside each of
// another one.
func surgeStrategy() appsv1.DaemonSetUpdateStrategy {
	all, none := intstr.FromString("100%"), intstr.FromInt32(0)
	return appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType, RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxSurge: &all, MaxUnavailable: &none}}
}

// surging is whether the update strategy is that of a surge.
func surging(ds *appsv1.DaemonSet) bool {
	s := ds.Spec.UpdateStrategy
	if s.Type != appsv1.RollingUpdateDaemonSetStrategyType || s.RollingUpdate == nil || s.RollingUpdate.MaxSurge == nil || s.RollingUpdate.MaxUnavailable == nil {
		return false
	}
	return s.RollingUpdate.MaxSurge.String() == "100%" && strings.TrimSuffix(s.RollingUpdate.MaxUnavailable.String(), "%") == "0"
}

// writeSpec writes the template and the strategy that belongs to it in one.
func (r *Rollouts) writeSpec(ctx context.Context, live *appsv1.DaemonSet, template *corev1.PodTemplateSpec, surge bool) (*appsv1.DaemonSet, error) {
	strategy := appsv1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType}
	if surge {
		strategy = surgeStrategy()
	}
	return r.patchDaemonSet(ctx, live, fieldValue{"/spec/template", template}, fieldValue{"/spec/updateStrategy", strategy})
}

// keepSurge leaves the strategy of an open surge as it is: the rollout closes it.
func keepSurge(payload *unstructured.Unstructured, live *appsv1.DaemonSet) error {
	if live == nil || !surging(live) || !hasGate(&live.Spec.Template) {
		return nil
	}
	s, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&live.Spec.UpdateStrategy)
	if err != nil {
		return fmt.Errorf("encode update strategy of daemonset %s/%s: %w", live.Namespace, live.Name, err)
	}
	if err := unstructured.SetNestedMap(payload.Object, s, "spec", "updateStrategy"); err != nil {
		return fmt.Errorf("keep update strategy of daemonset %s/%s: %w", live.Namespace, live.Name, err)
	}
	return nil
}

// ownMaxSurge is how many nodes the DaemonSet itself wants to have two agents at once;
// empty unless it wants none to be without.
func ownMaxSurge(ds *appsv1.DaemonSet) string {
	ru := ds.Spec.UpdateStrategy.RollingUpdate
	if ru == nil || ru.MaxSurge == nil || strings.TrimSuffix(ru.MaxSurge.String(), "%") == "0" || strings.TrimSuffix(ownMaxUnavailable(ds), "%") != "0" {
		return ""
	}
	return ru.MaxSurge.String()
}

// surgeBlock holds a rollout by surges of a template whose pods cannot stand beside
// each other, by the port of their node that both would need.
func surgeBlock(p rollout.Policy, want *declared) *rollout.Block {
	if want == nil || !p.Surge || rollout.Removes(want.Digest) {
		return nil
	}
	if want.foreign {
		return &rollout.Block{Reason: ReasonCannotSurge,
			Message: fmt.Sprintf("replace is surge, for which rollcall would have to write the DaemonSet, and another tool applies it: name a RolloutPolicy with replace: delete in the NodeRollout's spec.policy in place of %q", p.Name)}
	}
	if strings.TrimSuffix(want.MaxUnavailable, "%") == "0" && want.MaxSurge == "" {
		return &rollout.Block{Reason: ReasonCannotSurge,
			Message: "the DaemonSet's own maxUnavailable is 0, and it has no maxSurge: set updateStrategy.rollingUpdate.maxSurge in Git to how many nodes may have two agents at once, or maxUnavailable to 1 or more"}
	}
	spec := want.Template.Spec
	for _, c := range append(spec.InitContainers, spec.Containers...) {
		for _, port := range c.Ports {
			if port.HostPort > 0 {
				return &rollout.Block{Reason: ReasonCannotSurge,
					Message: fmt.Sprintf("container %q has the hostPort %d, which two pods of one node cannot have, so that no agent can be replaced by a surge: take it out in Git, or replace by deletion: replace: delete in RolloutPolicy %q, and updateStrategy.rollingUpdate.maxUnavailable of at least 1 if the DaemonSet has one; or leave it to Kubernetes by the annotation %s: %s",
						c.Name, port.HostPort, p.Name, v1alpha1.AnnotationRollout, v1alpha1.RolloutNative)}
			}
		}
	}
	return nil
}
