package apply

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func selecting(expressions ...metav1.LabelSelectorRequirement) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: expressions}
}

// A rollout keeps the waves that it started with: what is recorded of them says
// the same.
func TestWavesAreKeptAsTheyAre(t *testing.T) {
	all := v1alpha1.RolloutPolicySpec{Waves: []v1alpha1.Wave{
		{Name: "canary", UpTo: intstr.FromInt32(1), Select: &metav1.LabelSelector{MatchLabels: map[string]string{"pool": "canary", "arch": "arm64"}}, AllowEmpty: true, Soak: metav1.Duration{Duration: time.Minute}},
		{Name: "some", UpTo: intstr.FromString("10%"), EachGroup: true, Select: selecting(
			metav1.LabelSelectorRequirement{Key: "zone", Operator: metav1.LabelSelectorOpIn, Values: []string{"b", "a"}},
			metav1.LabelSelectorRequirement{Key: "zone", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"c"}},
			metav1.LabelSelectorRequirement{Key: "gpu", Operator: metav1.LabelSelectorOpExists},
			metav1.LabelSelectorRequirement{Key: "old", Operator: metav1.LabelSelectorOpDoesNotExist},
		)},
		{Name: "rest", UpTo: intstr.FromString("100%")},
	}}
	waves := wavesOf(all)
	kept := chosen{Spec: all}.keep(waves)
	if d := cmp.Diff(waves, kept.waves()); d != "" {
		t.Errorf("other waves (-before +kept):\n%s", d)
	}
	if d := cmp.Diff("gpu,!old,zone in (a,b),zone notin (c)", waves[1].Select); d != "" {
		t.Errorf("the selector (-want +got):\n%s", d)
	}
	s, err := metav1.LabelSelectorAsSelector(kept.Spec.Waves[1].Select)
	if err != nil || !s.Matches(labels.Set{"zone": "a", "gpu": "yes"}) || s.Matches(labels.Set{"zone": "a", "gpu": "yes", "old": "yes"}) || s.Matches(labels.Set{"zone": "c", "gpu": "yes"}) {
		t.Errorf("kept selector %v, %v", s, err)
	}
}

func TestASelectorThatCannotBeReadHolds(t *testing.T) {
	for sentence, c := range map[string]struct {
		selector *metav1.LabelSelector
		want     string
	}{
		"an operator that there is not": {selecting(metav1.LabelSelectorRequirement{Key: "zone", Operator: "Like", Values: []string{"a"}}), "spec.waves[0].select"},
		"a list without values":         {selecting(metav1.LabelSelectorRequirement{Key: "zone", Operator: metav1.LabelSelectorOpIn}), "spec.waves[0].select"},
		"a key that is none":            {&metav1.LabelSelector{MatchLabels: map[string]string{"a b": "c"}}, "spec.waves[0].select"},
		"one that can be read":          {&metav1.LabelSelector{MatchLabels: map[string]string{"a": "c"}}, ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			spec := v1alpha1.RolloutPolicySpec{Waves: []v1alpha1.Wave{{Name: "canary", UpTo: intstr.FromInt32(1), Select: c.selector}, {Name: "rest", UpTo: intstr.FromString("100%")}}}
			p, block := chosen{"cautious", spec}.read(nil)
			switch {
			case c.want == "" && block != nil:
				t.Errorf("held for %s: %s", block.Reason, block.Message)
			case c.want != "" && (block == nil || block.Reason != ReasonPolicyInvalid || !strings.Contains(block.Message, c.want)):
				t.Errorf("block is %+v, want %s with %q", block, ReasonPolicyInvalid, c.want)
			case len(p.Waves) != 2:
				t.Errorf("%d waves", len(p.Waves))
			}
		})
	}
}
