package apply

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// templates are the pod templates that a rollout needs, by digest, each exactly
// as the API server has defaulted it: written back unchanged, it is the same
// controller revision again.
type templates map[string]corev1.PodTemplateSpec

// digestOf names the version of a template, with or without rollcall's gate;
// empty when it is none of these.
func (t templates) digestOf(template *corev1.PodTemplateSpec) string {
	plain := withoutGate(template)
	for _, digest := range sortedKeys(t) {
		if known := t[digest]; equality.Semantic.DeepEqual(&known, plain) {
			return digest
		}
	}
	return ""
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

// revisions relates the controller revisions of one DaemonSet to versions.
type revisions struct {
	// digests by controller-revision-hash.
	digests map[string]string
	// live is the hash of the live template's revision; empty if none is known.
	live string
	// names by digest, of the revision without rollcall's gate.
	names map[string]string
}

func newRevisions(owned []*appsv1.ControllerRevision, live *corev1.PodTemplateSpec, known templates) (revisions, error) {
	out := revisions{digests: map[string]string{}, names: map[string]string{}}
	newest := int64(-1)
	for _, r := range owned {
		t, err := revisionTemplate(r)
		if err != nil {
			return revisions{}, err
		}
		hash := r.Labels[appsv1.ControllerRevisionHashLabelKey]
		digest := known.digestOf(t)
		out.digests[hash] = digest
		if digest != "" && !hasGate(t) {
			out.names[digest] = r.Name
		}
		// Two revisions of one content exist for a moment when the DaemonSet
		// controller removes duplicates: the newest is the one it keeps.
		if equality.Semantic.DeepEqual(t, live) && r.Revision > newest {
			out.live, newest = hash, r.Revision
		}
	}
	return out, nil
}
