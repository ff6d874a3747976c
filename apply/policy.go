package apply

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/health"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// defaultPolicyName is the RolloutPolicy for those that name none.
const defaultPolicyName = "default"

// ReasonPolicyNotFound holds a rollout whose policy does not exist.
const ReasonPolicyNotFound = "PolicyNotFound"

// BuiltInPolicy is what holds where no RolloutPolicy is named and none is
// called "default".
func BuiltInPolicy() v1alpha1.RolloutPolicySpec {
	wave := func(name string, upTo intstr.IntOrString, soak time.Duration) v1alpha1.Wave {
		return v1alpha1.Wave{Name: name, UpTo: upTo, Soak: metav1.Duration{Duration: soak}}
	}
	one := intstr.FromInt32(1)
	return v1alpha1.RolloutPolicySpec{
		NewPods:      v1alpha1.NewPodsProven,
		Replace:      v1alpha1.ReplaceDelete,
		FirstInstall: v1alpha1.FirstInstallWaves,
		GroupBy:      []string{"topology.kubernetes.io/zone", "kubernetes.io/arch"},
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

// BuiltInPolicyName is the name of BuiltInPolicy, which no object can have.
const BuiltInPolicyName = "built-in policy"

// chosen is the policy that a rollout goes by, as it is recorded while one is
// under way: with the waves that the rollout started with.
type chosen struct {
	Name string                     `json:"name"`
	Spec v1alpha1.RolloutPolicySpec `json:"spec"`
}

// waves are those that the rollout started with; nil when none is under way.
func (c *chosen) waves() []rollout.Wave {
	if c == nil {
		return nil
	}
	return wavesOf(c.Spec)
}

// keep is what to record of the policy for a rollout with these waves.
func (c chosen) keep(waves []rollout.Wave) *chosen {
	if waves == nil {
		return nil
	}
	c.Spec.Waves = nil
	for _, w := range waves {
		c.Spec.Waves = append(c.Spec.Waves, specOf(w))
	}
	return &c
}

// policyFor finds the policy of a declared version:
//
//	it exists ................................. as it is now
//	the rollout under way went by it .......... block, and as it was last
//	it is named ............................... block, and the built-in one to hold by
//	it is not ................................. the built-in one
//
// started is what is recorded of the rollout under way; nil if there is none. It
// tells the policy of a version that is not known.
func (r *Rollouts) policyFor(ctx context.Context, want *declared, started *chosen) (chosen, *rollout.Block, error) {
	name, named := defaultPolicyName, false
	switch {
	case want != nil && want.Policy != "":
		name, named = want.Policy, true
	case want == nil && started != nil && started.Name != BuiltInPolicyName:
		name = started.Name
	}
	found, err := r.Kinds.RolloutPolicies().Get(ctx, name, metav1.GetOptions{})
	switch {
	case err == nil:
		return chosen{name, found.Spec}, nil, nil
	case !apierrors.IsNotFound(err):
		return chosen{}, nil, fmt.Errorf("get rolloutpolicy %s: %w", name, err)
	case started != nil && started.Name == name:
		return *started, &rollout.Block{Reason: ReasonPolicyNotFound,
			Message: fmt.Sprintf("RolloutPolicy %q, by which the rollout under way goes, does not exist any more: create it again, or push another commit; returns go on", name)}, nil
	case named:
		return chosen{BuiltInPolicyName, BuiltInPolicy()}, &rollout.Block{Reason: ReasonPolicyNotFound,
			Message: fmt.Sprintf("RolloutPolicy %q does not exist: create it, or name another %s", name, whereNamed(want))}, nil
	default:
		return chosen{BuiltInPolicyName, BuiltInPolicy()}, nil, nil
	}
}

// whereNamed is where the policy of a declared version is named.
func whereNamed(want *declared) string {
	if want != nil && want.foreign {
		return "in the NodeRollout's spec.policy"
	}
	return "in the annotation " + v1alpha1.AnnotationPolicy + " or in the GitSync's spec.policy"
}

// read turns the policy into what Decide goes by. What the API server could not
// check of it, and is wrong, is a block.
func (c chosen) read(want *declared) (rollout.Policy, *rollout.Block) {
	p, err := ReadPolicy(c.Name, c.Spec)
	p.InstallAll = p.InstallAll && len(want.after("")) == 0 // what comes after another waits for it
	switch {
	case want == nil:
		p.MaxUnavailable = intstr.FromInt32(1) // the DaemonSet's own word is not known, and it may be the least there is
	case want.MaxSurge != "":
		p.Surge, p.MaxUnavailable = true, intstr.Parse(want.MaxSurge)
	case strings.TrimSuffix(want.MaxUnavailable, "%") == "0":
		p.Surge = true
	case want.MaxUnavailable != "":
		p.MaxUnavailable = intstr.Parse(want.MaxUnavailable)
	}
	if err != nil {
		return p, &rollout.Block{Reason: ReasonPolicyInvalid, Message: fmt.Sprintf("RolloutPolicy %q: %v: correct it; nothing moves forward until then, returns go on", c.Name, err)}
	}
	return p, nil
}

// ReadPolicy is what a rollout goes by that follows the policy, but for what the
// DaemonSet and its pods say. The error names the field that the API server could
// not check.
func ReadPolicy(name string, spec v1alpha1.RolloutPolicySpec) (rollout.Policy, error) {
	out := rollout.Policy{
		Name:           name,
		Waves:          wavesOf(spec),
		GroupBy:        spec.GroupBy,
		MaxUnavailable: intstr.FromInt32(1),
		FailureBudget:  int(spec.Health.FailureBudget),
		MaxSick:        maxSick(spec.Breaker),
		Surge:          spec.Replace == v1alpha1.ReplaceSurge,
		InstallAll:     spec.FirstInstall == v1alpha1.FirstInstallAll,

		NewPodsCandidate: spec.NewPods == v1alpha1.NewPodsCandidate,
		HoldOnFailure:    spec.OnFailure == v1alpha1.OnFailureHold,
		Health: health.Rule{
			ReadyFor:    spec.Health.ReadyFor.Duration,
			Deadline:    spec.Health.Deadline.Duration,
			MaxRestarts: spec.Health.MaxRestarts,
			Node:        spec.Health.Node == nil || *spec.Health.Node,
		},
	}
	if spec.MaxUnavailable != nil {
		out.MaxUnavailable = *spec.MaxUnavailable
	}
	if spec.MaxUnavailablePerGroup != nil {
		out.MaxUnavailablePerGroup = *spec.MaxUnavailablePerGroup
	}
	var err error
	if out.Calendar, err = readCalendar(spec); err == nil {
		err = checkSelectors(spec)
	}
	return out, err
}

func maxSick(b *v1alpha1.Breaker) *intstr.IntOrString {
	if b == nil {
		return nil
	}
	return &b.MaxSickNodes
}

// Policy is what a rollout of a declared DaemonSet would go by, and what would
// hold it before it begins; nil when nothing of the policy does. It is what the
// rollout itself goes by, in the same words.
func (r *Rollouts) Policy(ctx context.Context, d Declaration) (rollout.Policy, *rollout.Block, error) {
	ds, err := d.typed()
	if err != nil {
		return rollout.Policy{}, nil, err
	}
	want := &declared{Policy: d.Policy, MaxUnavailable: ownMaxUnavailable(ds), MaxSurge: ownMaxSurge(ds), Template: ds.Spec.Template, Around: d.around()}
	found, gone, err := r.policyFor(ctx, want, nil)
	if err != nil {
		return rollout.Policy{}, nil, err
	}
	p, invalid := found.read(want)
	return p, cmp.Or(gone, invalid, surgeBlock(p, want)), nil
}

// ownMaxUnavailable is the DaemonSet's own word on how many nodes may be without
// their agent; empty when it has none.
func ownMaxUnavailable(ds *appsv1.DaemonSet) string {
	if ru := ds.Spec.UpdateStrategy.RollingUpdate; ru != nil && ru.MaxUnavailable != nil {
		return ru.MaxUnavailable.String()
	}
	return ""
}
