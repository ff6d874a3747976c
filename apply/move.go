package apply

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/health/watch"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// The DaemonSet controller acts on the placement of a template on all nodes at once,
// under every update strategy. So while a version with another placement is on its
// way no template is written with that:
//
//	the candidate in a pulse ... where the proven version runs, and on the nodes won so far
//	the proven one at rest ..... its own, and on the nodes won so far
//	the candidate when proven .. its own
//
// A node that is won is named, a node that is lost keeps a pod behind rollcall's gate
// until the end. What nodeSelector and affinity say together is said by the terms of
// an affinity then, which the controller replaces in each pod by the name of its node.

// move is where a template is to run that is not written with its own placement.
type move struct {
	digest string
	// from is the proven version's template, and to that of the one on its way.
	from, to *corev1.PodTemplateSpec
	// won are the names of the nodes that are taken in, sorted; except are those that
	// it would come to besides, since it has the tolerations of both.
	won, except []string
}

// everywhere is a term that every node matches: one without requirements matches
// none.
func everywhere() corev1.NodeSelectorRequirement {
	return corev1.NodeSelectorRequirement{Key: v1alpha1.Group + "/nowhere", Operator: corev1.NodeSelectorOpDoesNotExist}
}

// template is t with the placement of the move. It says which version it is of, for
// its placement tells no more.
func (m *move) template(t *corev1.PodTemplateSpec) *corev1.PodTemplateSpec {
	out := t.DeepCopy()
	if out.Annotations == nil {
		out.Annotations = map[string]string{}
	}
	out.Annotations[v1alpha1.AnnotationMoved] = m.digest
	out.Spec.NodeSelector = nil
	if out.Spec.Affinity == nil {
		out.Spec.Affinity = &corev1.Affinity{}
	}
	if out.Spec.Affinity.NodeAffinity == nil {
		out.Spec.Affinity.NodeAffinity = &corev1.NodeAffinity{}
	}
	out.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{NodeSelectorTerms: m.terms()}
	for _, other := range []*corev1.PodTemplateSpec{m.from, m.to} {
		for _, tol := range other.Spec.Tolerations {
			if !slices.ContainsFunc(out.Spec.Tolerations, func(o corev1.Toleration) bool { return equality.Semantic.DeepEqual(o, tol) }) {
				out.Spec.Tolerations = append(out.Spec.Tolerations, tol)
			}
		}
	}
	return out
}

// terms are those of the proven version, without the exceptions, and one for each node
// that is won: the API server takes one name a term.
func (m *move) terms() []corev1.NodeSelectorTerm {
	terms := termsOf(m.from)
	for i := range terms {
		for _, name := range m.except {
			terms[i].MatchFields = append(terms[i].MatchFields, named(corev1.NodeSelectorOpNotIn, name))
		}
	}
	for _, name := range m.won {
		terms = append(terms, corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{named(corev1.NodeSelectorOpIn, name)}})
	}
	return terms
}

func named(op corev1.NodeSelectorOperator, name string) corev1.NodeSelectorRequirement {
	return corev1.NodeSelectorRequirement{Key: metav1.ObjectNameField, Operator: op, Values: []string{name}}
}

// termsOf is what the template's node selector and required affinity say together.
func termsOf(t *corev1.PodTemplateSpec) []corev1.NodeSelectorTerm {
	var selected []corev1.NodeSelectorRequirement
	for _, key := range slices.Sorted(maps.Keys(t.Spec.NodeSelector)) {
		selected = append(selected, corev1.NodeSelectorRequirement{Key: key, Operator: corev1.NodeSelectorOpIn, Values: []string{t.Spec.NodeSelector[key]}})
	}
	a := t.Spec.Affinity
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		if len(selected) == 0 {
			selected = append(selected, everywhere())
		}
		return []corev1.NodeSelectorTerm{{MatchExpressions: selected}}
	}
	var out []corev1.NodeSelectorTerm
	for _, term := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		if len(term.MatchExpressions)+len(term.MatchFields) == 0 {
			continue // it matches no node
		}
		next := *term.DeepCopy()
		next.MatchExpressions = append(next.MatchExpressions, selected...)
		out = append(out, next)
	}
	return out
}

// wonIn are the names of the nodes that a moved template takes in, joined by commas;
// empty for a template with a placement of its own.
func wonIn(t *corev1.PodTemplateSpec) string {
	if t.Annotations[v1alpha1.AnnotationMoved] == "" || !validMove(t) {
		return ""
	}
	var names []string
	for _, term := range t.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		if len(term.MatchExpressions) == 0 && len(term.MatchFields) == 1 && term.MatchFields[0].Operator == corev1.NodeSelectorOpIn {
			names = append(names, term.MatchFields[0].Values...)
		}
	}
	return strings.Join(names, ",")
}

// unplaced is the template without what a move changes.
func unplaced(t *corev1.PodTemplateSpec) *corev1.PodTemplateSpec {
	out := withoutGate(t)
	delete(out.Annotations, v1alpha1.AnnotationMoved)
	if len(out.Annotations) == 0 {
		out.Annotations = nil
	}
	out.Spec.NodeSelector, out.Spec.Tolerations = nil, nil
	if a := out.Spec.Affinity; a != nil && a.NodeAffinity != nil {
		a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = nil
		if len(a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution) == 0 {
			a.NodeAffinity = nil
		}
	}
	if a := out.Spec.Affinity; a != nil && *a == (corev1.Affinity{}) {
		out.Spec.Affinity = nil
	}
	return out
}

// movedDigest is the version that a moved template is of; empty if it is of none that
// is known, or somebody has changed more of it than its placement.
func (b *book) movedDigest(t *corev1.PodTemplateSpec) string {
	digest := t.Annotations[v1alpha1.AnnotationMoved]
	if digest == "" || !validMove(t) {
		return ""
	}
	plain := unplaced(t)
	same := func(known *corev1.PodTemplateSpec) bool { return equality.Semantic.DeepEqual(unplaced(known), plain) }
	if known, is := b.templates[digest]; is && same(&known) {
		return digest
	}
	if slices.ContainsFunc(b.spellings, func(s spelling) bool { return s.Digest == digest && same(&s.Template) }) {
		return digest
	}
	return ""
}

// validMove is whether the template has an affinity to read.
func validMove(t *corev1.PodTemplateSpec) bool {
	a := t.Spec.Affinity
	return a != nil && a.NodeAffinity != nil && a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution != nil
}

// move is how the version is to be written while these nodes, by name and joined by
// commas, are taken in; nil if that is as it declares itself.
func (v *view) move(fleet *watch.Fleet, digest, won string) *move {
	proven, next := v.rollout.Status.Proven, v.next()
	if proven == nil || next == nil {
		return nil
	}
	from, known := v.book.templates[proven.Digest]
	if !known {
		return nil
	}
	m := &move{digest: digest, from: &from, to: next}
	if won != "" {
		m.won = strings.Split(won, ",")
	}
	own := watch.NewPlacement(&from)
	for _, name := range fleet.Beyond(own, watch.NewPlacement(m.template(&from))) {
		if _, in := slices.BinarySearch(m.won, name); !in {
			m.except = append(m.except, name)
		}
	}
	return m
}

// next is the template on its way: what Git declares, or what it declared last if that
// is not known; nil when it is the proven one.
func (v *view) next() *corev1.PodTemplateSpec {
	digest := ""
	switch c := v.rollout.Status.Candidate; {
	case v.foreign:
	case v.want != nil && !v.handedOver:
		digest = v.want.Digest
	case c != nil:
		digest = c.Digest
	}
	t, known := v.book.templates[digest]
	if p := v.rollout.Status.Proven; !known || p != nil && p.Digest == digest {
		return nil
	}
	return &t
}

// liveWon are the nodes that the live template takes in beside those of its version.
func (v *view) liveWon() string {
	if len(v.book.digestsOf(&v.live.Spec.Template)) > 0 {
		return ""
	}
	return wonIn(&v.live.Spec.Template)
}

// placedLike is the template of the version where another moved one runs.
func placedLike(t *corev1.PodTemplateSpec, digest string, moved *corev1.PodTemplateSpec) corev1.PodTemplateSpec {
	m := &move{digest: digest, from: moved, to: moved}
	return *m.template(t)
}

// placement is where the version at rest runs, and where the one on its way would.
func (v *view) placement() watch.Placement {
	rest, proven := v.live.Spec.Template, v.rollout.Status.Proven
	if proven != nil && !v.foreign {
		rest = v.book.templates[proven.Digest]
	}
	out := watch.NewPlacement(&rest)
	if next := v.next(); next != nil && proven != nil {
		return out.Towards(watch.NewPlacement(next))
	}
	return out
}
