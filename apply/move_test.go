package apply

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/health/watch"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func placedTemplate(change ...func(*corev1.PodTemplateSpec)) corev1.PodTemplateSpec {
	t := corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "agent", Image: "agent:v1"}}}}
	for _, c := range change {
		c(&t)
	}
	return t
}

func inZone(zone string) func(*corev1.PodTemplateSpec) {
	return func(t *corev1.PodTemplateSpec) { t.Spec.NodeSelector = map[string]string{"zone": zone} }
}

func tolerating(key string) func(*corev1.PodTemplateSpec) {
	return func(t *corev1.PodTemplateSpec) {
		t.Spec.Tolerations = append(t.Spec.Tolerations, corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists})
	}
}

func requiring(terms ...corev1.NodeSelectorTerm) func(*corev1.PodTemplateSpec) {
	return func(t *corev1.PodTemplateSpec) {
		t.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: terms}}}
	}
}

func arch(value string) corev1.NodeSelectorTerm {
	return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "arch", Operator: corev1.NodeSelectorOpIn, Values: []string{value}}}}
}

func nodeIn(name, zone, arch string, taints ...string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"zone": zone, "arch": arch}}}
	for _, key := range taints {
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Effect: corev1.TaintEffectNoSchedule})
	}
	return n
}

// A moved template runs where the proven version does and on the nodes won so far, and
// nowhere else, whatever the one on its way wants.
func TestAMovedTemplateRunsWhereTheProvenOneDoesAndOnNodesWon(t *testing.T) {
	t.Parallel()
	nodes := []*corev1.Node{nodeIn("a1", "a", "x"), nodeIn("a2", "a", "y"), nodeIn("a3", "a", "x", "gpu"), nodeIn("b1", "b", "x"), nodeIn("b2", "b", "y", "gpu"), nodeIn("c1", "c", "z")}
	for sentence, c := range map[string]struct {
		from, to corev1.PodTemplateSpec
	}{
		"a selector":                      {placedTemplate(inZone("a")), placedTemplate(inZone("b"))},
		"a selector that goes":            {placedTemplate(inZone("a")), placedTemplate()},
		"a selector that comes":           {placedTemplate(), placedTemplate(inZone("a"))},
		"a toleration that comes":         {placedTemplate(), placedTemplate(tolerating("gpu"))},
		"a toleration that goes":          {placedTemplate(tolerating("gpu")), placedTemplate()},
		"terms with a selector":           {placedTemplate(inZone("a"), requiring(arch("x"), arch("y"))), placedTemplate(requiring(arch("z")), tolerating("gpu"))},
		"a term that matches no node":     {placedTemplate(requiring(corev1.NodeSelectorTerm{}, arch("x"))), placedTemplate(inZone("b"), tolerating("gpu"))},
		"another toleration and selector": {placedTemplate(inZone("a"), tolerating("other")), placedTemplate(inZone("b"), tolerating("gpu"))},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			own, next := watch.NewPlacement(&c.from), watch.NewPlacement(&c.to)
			m := &move{digest: "sha256:to", from: &c.from, to: &c.to}
			for _, n := range nodes {
				if next.Eligible(n) && !own.Eligible(n) && len(m.won) < 1 {
					m.won = append(m.won, n.Name) // the first of them is in its wave
				}
			}
			wide := watch.NewPlacement(m.template(&c.from))
			for _, n := range nodes {
				if wide.Eligible(n) && !own.Eligible(n) && (len(m.won) == 0 || n.Name != m.won[0]) {
					m.except = append(m.except, n.Name)
				}
			}
			moved := m.template(&c.to)
			got := watch.NewPlacement(moved)
			for _, n := range nodes {
				want := own.Eligible(n) || len(m.won) > 0 && n.Name == m.won[0]
				if got.Eligible(n) != want {
					t.Errorf("on %s it runs: %t, want %t", n.Name, got.Eligible(n), want)
				}
			}
			b := book{templates: templates{"sha256:from": c.from, "sha256:to": c.to}}
			if digest := b.digestOf(withGate(moved), ""); digest != "sha256:to" {
				t.Errorf("it is of version %q, want sha256:to", digest)
			}
			if len(m.won) > 0 && wonIn(moved) != m.won[0] {
				t.Errorf("it takes in %q, want %s", wonIn(moved), m.won[0])
			}
		})
	}
}

func TestWhatSaysThatItIsMovedAndIsNot(t *testing.T) {
	t.Parallel()
	from, to := placedTemplate(inZone("a")), placedTemplate(inZone("b"))
	b := book{templates: templates{"from": from, "to": to}}
	marked := func(digest, image string) *corev1.PodTemplateSpec {
		m := &move{digest: digest, from: &from, to: &to}
		out := m.template(&to)
		out.Spec.Containers[0].Image = image
		return out
	}
	for sentence, c := range map[string]struct {
		template *corev1.PodTemplateSpec
		want     string
	}{
		"a moved one":                      {marked("to", "agent:v1"), "to"},
		"another image":                    {marked("to", "agent:evil"), ""},
		"a version that nobody knows":      {marked("other", "agent:v1"), ""},
		"a declared one is of its version": {&to, "to"},
	} {
		if got := b.digestOf(c.template, ""); got != c.want {
			t.Errorf("%s: version %q, want %q", sentence, got, c.want)
		}
	}
	forged := placedTemplate()
	forged.Annotations = map[string]string{v1alpha1.AnnotationMoved: "to"}
	if got := b.digestOf(&forged, ""); got != "" || wonIn(&forged) != "" {
		t.Errorf("a mark alone: version %q, nodes %q", got, wonIn(&forged))
	}
}
