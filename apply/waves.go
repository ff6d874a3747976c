package apply

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// wavesOf are the waves of a policy as Decide goes by them.
func wavesOf(spec v1alpha1.RolloutPolicySpec) []rollout.Wave {
	out := make([]rollout.Wave, 0, len(spec.Waves))
	for _, w := range spec.Waves {
		next := rollout.Wave{Name: w.Name, UpTo: w.UpTo, EachGroup: w.EachGroup, AllowEmpty: w.AllowEmpty, OneGroupAtATime: w.OneGroupAtATime, Approval: w.Approval, Soak: w.Soak.Duration}
		if w.Select != nil {
			next.Select = metav1.FormatLabelSelector(w.Select)
		}
		out = append(out, next)
	}
	return out
}

// specOf is the wave as a policy has it.
func specOf(w rollout.Wave) v1alpha1.Wave {
	out := v1alpha1.Wave{Name: w.Name, UpTo: w.UpTo, EachGroup: w.EachGroup, AllowEmpty: w.AllowEmpty, OneGroupAtATime: w.OneGroupAtATime, Approval: w.Approval, Soak: metav1.Duration{Duration: w.Soak}}
	if w.Select == "" {
		return out
	}
	s, err := metav1.ParseToLabelSelector(w.Select)
	if err != nil { // it stays one that selects nothing
		s = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: w.Select}}}
	}
	out.Select = s
	return out
}

// checkSelectors finds a selector that cannot be read. The error names the field.
func checkSelectors(spec v1alpha1.RolloutPolicySpec) error {
	for i, w := range spec.Waves {
		if _, err := metav1.LabelSelectorAsSelector(w.Select); err != nil {
			return fmt.Errorf("spec.waves[%d].select: %w", i, err)
		}
	}
	return nil
}
