package apply

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/health"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// DefaultPolicyName is the RolloutPolicy for those that name none.
const DefaultPolicyName = "default"

// ReasonPolicyNotFound holds a rollout whose policy does not exist.
const ReasonPolicyNotFound = "PolicyNotFound"

// ReasonSurgeNotServed holds a DaemonSet that wants its nodes served without a
// break.
const ReasonSurgeNotServed = "SurgeNotServed"

// BuiltInPolicy is what holds where no RolloutPolicy is named and none is
// called "default".
func BuiltInPolicy() v1alpha1.RolloutPolicySpec {
	wave := func(name string, upTo intstr.IntOrString, soak time.Duration) v1alpha1.Wave {
		return v1alpha1.Wave{Name: name, UpTo: upTo, Soak: metav1.Duration{Duration: soak}}
	}
	one := intstr.FromInt32(1)
	return v1alpha1.RolloutPolicySpec{
		GroupBy: []string{"topology.kubernetes.io/zone", "kubernetes.io/arch"},
		Waves: []v1alpha1.Wave{
			wave("canary", intstr.FromInt32(1), 2*time.Minute),
			wave("early", intstr.FromString("10%"), time.Minute),
			wave("half", intstr.FromString("50%"), 30*time.Second),
			wave("rest", intstr.FromString("100%"), 0),
		},
		MaxUnavailable: &one,
		Health:         v1alpha1.HealthSpec{ReadyFor: metav1.Duration{Duration: 10 * time.Second}, Deadline: metav1.Duration{Duration: 10 * time.Minute}},
		OnFailure:      v1alpha1.OnFailureReturn,
	}
}

// policy is a policy with the keys that its waves are spread over.
type policy struct {
	rollout.Policy
	groupBy []string
}

// policyFor finds the policy of a declared version. A named policy that does
// not exist is a block, with the built-in one to hold by, and so is one that
// cannot be read.
func (r *Rollouts) policyFor(ctx context.Context, want *declared) (policy, *rollout.Block, error) {
	name, named := DefaultPolicyName, false
	if want != nil && want.Policy != "" {
		name, named = want.Policy, true
	}
	found, err := r.Kinds.RolloutPolicies().Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && named:
		return newPolicy("built-in", BuiltInPolicy(), want), &rollout.Block{Reason: ReasonPolicyNotFound,
			Message: fmt.Sprintf("RolloutPolicy %q does not exist: create it, or name another in the annotation %s or in the GitSync's spec.policy", name, v1alpha1.AnnotationPolicy)}, nil
	case apierrors.IsNotFound(err):
		return newPolicy("built-in", BuiltInPolicy(), want), nil, nil
	case err != nil:
		return policy{}, nil, fmt.Errorf("get rolloutpolicy %s: %w", name, err)
	}
	p := newPolicy(name, found.Spec, want)
	if p.Calendar, err = NewCalendar(found.Spec); err != nil {
		return p, &rollout.Block{Reason: ReasonPolicyInvalid, Message: fmt.Sprintf("RolloutPolicy %q: %v: correct it; nothing moves forward until then, returns go on", name, err)}, nil
	}
	return p, nil, nil
}

// surgeBlock holds a DaemonSet whose own maxUnavailable is zero: a node is without
// its agent for a moment when it is replaced.
func surgeBlock(want *declared) *rollout.Block {
	if want == nil || want.MaxUnavailable != "0" && want.MaxUnavailable != "0%" {
		return nil
	}
	return &rollout.Block{Reason: ReasonSurgeNotServed,
		Message: "the DaemonSet's own maxUnavailable is 0: no node may be without its agent, and this version of rollcall cannot surge; set updateStrategy.rollingUpdate.maxUnavailable to 1 or more in Git, take it out, or leave the DaemonSet to Kubernetes by the annotation " + v1alpha1.AnnotationRollout + ": " + v1alpha1.RolloutNative}
}

func newPolicy(name string, spec v1alpha1.RolloutPolicySpec, want *declared) policy {
	out := policy{groupBy: spec.GroupBy, Policy: rollout.Policy{
		Name:           name,
		MaxUnavailable: intstr.FromInt32(1),
		FailureBudget:  int(spec.Health.FailureBudget),
		HoldOnFailure:  spec.OnFailure == v1alpha1.OnFailureHold,
		Health: health.Rule{
			ReadyFor:    spec.Health.ReadyFor.Duration,
			Deadline:    spec.Health.Deadline.Duration,
			MaxRestarts: spec.Health.MaxRestarts,
			Node:        spec.Health.Node == nil || *spec.Health.Node,
		},
	}}
	if spec.MaxUnavailable != nil {
		out.MaxUnavailable = *spec.MaxUnavailable
	}
	for _, w := range spec.Waves {
		out.Waves = append(out.Waves, rollout.Wave{Name: w.Name, UpTo: w.UpTo, Soak: w.Soak.Duration})
	}
	if want != nil && want.MaxUnavailable != "" {
		out.MaxUnavailable = intstr.Parse(want.MaxUnavailable)
	}
	return out
}
