package apply

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// templates are the pod templates that a rollout needs, by digest, each exactly
// as the API server has defaulted it: written back unchanged, it is the same
// controller revision again.
type templates map[string]corev1.PodTemplateSpec

// spelling is another form of a version's template: a newer API server adds
// defaults that an older one did not know (kubernetes#78633), and webhooks change
// what is written. Revisions in that form are the same version.
type spelling struct {
	Digest   string                 `json:"digest"`
	Template corev1.PodTemplateSpec `json:"template"`
}

// maxSpellings of one version are remembered, the newest.
const maxSpellings = 3

// book names the versions of templates.
type book struct {
	templates templates
	spellings []spelling
}

// newBook is what is recorded and declared, in the form that the API server was
// last seen to give it.
func newBook(rec recorded, want *declared, last spelling) book {
	out := book{templates: templates{}, spellings: rec.Spellings}
	for digest, t := range rec.Templates {
		out.templates[digest] = t
	}
	if want != nil {
		if _, known := out.templates[want.Digest]; !known {
			out.templates[want.Digest] = want.Template
		}
	}
	out.learn(last.Digest, last.Template)
	return out
}

// learn makes template the form of the version that is written from now on.
func (b *book) learn(digest string, template corev1.PodTemplateSpec) {
	old, known := b.templates[digest]
	if !known || equality.Semantic.DeepEqual(old, template) {
		return
	}
	b.templates[digest] = template
	b.spellings = append([]spelling{{digest, old}}, b.spellings...)
}

// alias gives a version all forms of another one.
func (b *book) alias(of, digest string) {
	b.templates[digest] = b.templates[of]
	for _, s := range b.spellings {
		if s.Digest == of {
			b.spellings = append(b.spellings, spelling{digest, s.Template})
		}
	}
}

// kept are the newest spellings of the versions whose templates are kept.
func (b *book) kept(of templates) []spelling {
	count := map[string]int{}
	var out []spelling
	for _, s := range b.spellings {
		if _, wanted := of[s.Digest]; wanted && count[s.Digest] < maxSpellings {
			count[s.Digest]++
			out = append(out, s)
		}
	}
	return out
}

// digestsOf are the versions that have this template, with or without rollcall's
// gate: two if a commit only spells out what the API server would add.
func (b *book) digestsOf(template *corev1.PodTemplateSpec) []string {
	plain := withoutGate(template)
	var out []string
	for _, digest := range sortedKeys(b.templates) {
		if known := b.templates[digest]; equality.Semantic.DeepEqual(&known, plain) {
			out = append(out, digest)
		}
	}
	for _, s := range b.spellings {
		if equality.Semantic.DeepEqual(&s.Template, plain) && !slices.Contains(out, s.Digest) {
			out = append(out, s.Digest)
		}
	}
	return out
}

// digestOf is one of them: first if it is among them, empty when there is none.
func (b *book) digestOf(template *corev1.PodTemplateSpec, first string) string {
	all := b.digestsOf(template)
	switch {
	case len(all) == 0:
		return b.movedDigest(template)
	case slices.Contains(all, first):
		return first
	default:
		return all[0]
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func hasGate(t *corev1.PodTemplateSpec) bool {
	return slices.ContainsFunc(t.Spec.SchedulingGates, isWaveGate)
}

func isWaveGate(g corev1.PodSchedulingGate) bool {
	return g.Name == v1alpha1.WaveGate
}

func withGate(t *corev1.PodTemplateSpec) *corev1.PodTemplateSpec {
	out := t.DeepCopy()
	if !hasGate(out) {
		out.Spec.SchedulingGates = append(out.Spec.SchedulingGates, corev1.PodSchedulingGate{Name: v1alpha1.WaveGate})
	}
	return out
}

func withoutGate(t *corev1.PodTemplateSpec) *corev1.PodTemplateSpec {
	out := t.DeepCopy()
	out.Spec.SchedulingGates = slices.DeleteFunc(out.Spec.SchedulingGates, isWaveGate)
	if len(out.Spec.SchedulingGates) == 0 {
		out.Spec.SchedulingGates = nil
	}
	return out
}

// adoptedDigest names a template that was found in the cluster and that no
// commit declares.
func adoptedDigest(t *corev1.PodTemplateSpec) (string, error) {
	raw, err := json.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("encode the live template: %w", err)
	}
	sum := sha256.Sum256(raw)
	return "adopted:" + hex.EncodeToString(sum[:]), nil
}

// revisionTemplate reads the template of a controller revision.
func revisionTemplate(r *appsv1.ControllerRevision) (*corev1.PodTemplateSpec, error) {
	var data struct {
		Spec struct {
			Template corev1.PodTemplateSpec `json:"template"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(r.Data.Raw, &data); err != nil {
		return nil, fmt.Errorf("decode controller revision %s/%s: %w", r.Namespace, r.Name, err)
	}
	return &data.Spec.Template, nil
}

// RevisionHashes are the controller-revision-hash labels of the pods that are of
// the revision: its own label, and the one that it was made with, which is the end
// of its name. Two revisions share one only if they are of the same version.
func RevisionHashes(r *appsv1.ControllerRevision) []string {
	label := r.Labels[appsv1.ControllerRevisionHashLabelKey]
	made := r.Name[strings.LastIndexByte(r.Name, '-')+1:]
	if made == label {
		return []string{label}
	}
	return []string{label, made}
}

// revisions relates the controller revisions of one DaemonSet to versions.
type revisions struct {
	// digests by controller-revision-hash.
	digests map[string]string
	// live is the hash of the live template's revision; empty if none is known.
	live     string
	liveName string
	liveUID  types.UID
	// names by digest, of the revision without rollcall's gate.
	names map[string]string
}

func newRevisions(owned []*appsv1.ControllerRevision, live *corev1.PodTemplateSpec, digestOf func(*corev1.PodTemplateSpec) string) (revisions, error) {
	out := revisions{digests: map[string]string{}, names: map[string]string{}}
	newest := int64(-1)
	for _, r := range owned {
		t, err := revisionTemplate(r)
		if err != nil {
			return revisions{}, err
		}
		digest := digestOf(t)
		for _, hash := range RevisionHashes(r) {
			out.digests[hash] = digest
		}
		if digest != "" && !hasGate(t) {
			out.names[digest] = r.Name
		}
		// Two revisions of one content exist for a moment when the DaemonSet
		// controller removes duplicates: the newest is the one it keeps.
		if equality.Semantic.DeepEqual(t, live) && r.Revision > newest {
			out.live, newest = r.Labels[appsv1.ControllerRevisionHashLabelKey], r.Revision
			out.liveName, out.liveUID = r.Name, r.UID
		}
	}
	return out, nil
}

// lack is whether one of the hashes is of a revision that is not among these.
func lack(owned []*appsv1.ControllerRevision, hashes []string) bool {
	return slices.ContainsFunc(hashes, func(hash string) bool {
		return !slices.ContainsFunc(owned, func(r *appsv1.ControllerRevision) bool { return slices.Contains(RevisionHashes(r), hash) })
	})
}

// grace is the longest termination grace period of these.
func (t templates) grace() time.Duration {
	var out time.Duration
	for _, template := range t {
		if g := template.Spec.TerminationGracePeriodSeconds; g != nil {
			out = max(out, time.Duration(*g)*time.Second)
		}
	}
	return out
}

// recoverProven finds the proven template among the DaemonSet's controller
// revisions when somebody deleted the ConfigMap that it was recorded in.
func (t templates) recoverProven(proven *v1alpha1.Version, owned []*appsv1.ControllerRevision) error {
	if proven == nil {
		return nil
	}
	if _, known := t[proven.Digest]; known {
		return nil
	}
	i := slices.IndexFunc(owned, func(r *appsv1.ControllerRevision) bool { return r.Name == proven.Revision })
	if i < 0 {
		return nil
	}
	found, err := revisionTemplate(owned[i])
	if err != nil {
		return err
	}
	t[proven.Digest] = *withoutGate(found)
	return nil
}
