package apply

import (
	"cmp"
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// templateToMake is the template of the proven version, or of the declared one
// while none is proven.
func (r *Rollouts) templateToMake(ctx context.Context, d Declaration, n *v1alpha1.NodeRollout, want *declared) (*corev1.PodTemplateSpec, error) {
	proven := n.Status.Proven
	if proven != nil && proven.Digest == want.Digest {
		return &want.Template, nil
	}
	rec, _, err := (store{r.Kube, d.key()}).recorded(ctx)
	if err != nil {
		return nil, err
	}
	if proven == nil {
		return r.firstTemplate(ctx, n, want, rec.Policy)
	}
	template, known := rec.Templates[proven.Digest]
	if !known {
		return nil, &Error{Reason: ReasonInvalid, Object: d.reference(), Message: fmt.Sprintf("its proven template went with the DaemonSet and the ConfigMap %s%s: delete its NodeRollout to install what Git declares", d.key().Name, stateSuffix)}
	}
	return &template, nil
}

// firstTemplate is the declared template with the gate, unless the policy has the
// first version on all nodes at once, it has not begun in waves, and nothing holds it.
func (r *Rollouts) firstTemplate(ctx context.Context, n *v1alpha1.NodeRollout, want *declared, started *chosen) (*corev1.PodTemplateSpec, error) {
	found, gone, err := r.policyFor(ctx, want, started)
	if err != nil {
		return nil, err
	}
	policy, invalid := found.read(want)
	held := cmp.Or(gone, invalid, surgeBlock(policy, want), policy.Calendar.Closed(time.Now()))
	if policy.InstallAll && started == nil && held == nil && !n.Spec.Paused {
		return &want.Template, nil
	}
	return withGate(&want.Template), nil
}
