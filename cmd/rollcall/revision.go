package main

import (
	"encoding/json"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// digestsOf tells which version the pods of a controller-revision-hash run: the
// proven digest, the candidate's, or an empty string for neither. Revisions are
// compared by content, since one version has several names: the revision with
// rollcall's scheduling gate, and the one without.
func digestsOf(n *v1alpha1.NodeRollout, revisions []*appsv1.ControllerRevision) (func(hash string) string, error) {
	contents, err := contentsOf(revisions)
	if err != nil {
		return nil, err
	}
	proven := ""
	if v := n.Status.Proven; v != nil {
		proven = contents[v.Revision]
	}
	return func(hash string) string {
		switch {
		case proven != "" && contents[hash] == proven:
			return n.Status.Proven.Digest
		case n.Status.Candidate != nil:
			return n.Status.Candidate.Digest
		case proven == "" && n.Status.Phase == v1alpha1.PhaseProven && n.Status.Proven != nil:
			return n.Status.Proven.Digest
		default:
			return ""
		}
	}, nil
}

// contentsOf are the templates of revisions, by the names of the revisions and by
// the hashes that their pods carry.
func contentsOf(revisions []*appsv1.ControllerRevision) (map[string]string, error) {
	out := map[string]string{}
	for _, r := range revisions {
		content, err := contentOf(r)
		if err != nil {
			return nil, err
		}
		for _, name := range append(apply.RevisionHashes(r), r.Name) {
			out[name] = content
		}
	}
	return out, nil
}

// contentOf is the template of the revision, in a form that can be compared.
func contentOf(r *appsv1.ControllerRevision) (string, error) {
	t, err := templateOf(r)
	if err != nil {
		return "", err
	}
	raw, err := json.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("encode template of controllerrevision %s/%s: %w", r.Namespace, r.Name, err)
	}
	return string(raw), nil
}

// templateOf is the template of the revision without rollcall's scheduling gate.
func templateOf(r *appsv1.ControllerRevision) (*corev1.PodTemplateSpec, error) {
	var data struct {
		Spec struct {
			Template corev1.PodTemplateSpec `json:"template"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(r.Data.Raw, &data); err != nil {
		return nil, fmt.Errorf("decode controllerrevision %s/%s: %w", r.Namespace, r.Name, err)
	}
	return ungated(&data.Spec.Template), nil
}

// ungated takes rollcall's scheduling gate off the template.
func ungated(t *corev1.PodTemplateSpec) *corev1.PodTemplateSpec {
	t.Spec.SchedulingGates = slices.DeleteFunc(t.Spec.SchedulingGates, func(g corev1.PodSchedulingGate) bool { return g.Name == v1alpha1.WaveGate })
	if len(t.Spec.SchedulingGates) == 0 {
		t.Spec.SchedulingGates = nil
	}
	return t
}
