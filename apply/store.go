package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// The ConfigMaps beside a NodeRollout, named after it.
const (
	// stateSuffix: what the rollout has recorded; written by the rollout only.
	stateSuffix = ".rollcall-state"
	// declaredSuffix: what Git declares; written by the pass only.
	declaredSuffix = ".rollcall-declared"

	keyTemplates = "templates.json"
	keySpellings = "spellings.json"
	keyRecords   = "records.json"
	keyOwed      = "owed.json"
	keyPolicy    = "policy.json"
	keyCandidate = "candidate"
	keyDeclared  = "declared.json"
)

// declared is the version that Git asks for, kept in the cluster so that a
// rollout needs neither Git nor a render to go on.
type declared struct {
	Digest string `json:"digest"`
	Commit string `json:"commit"`
	Policy string `json:"policy,omitempty"`
	// Owner is the value of the owner label of the GitSync that asks.
	Owner    string                 `json:"owner"`
	Template corev1.PodTemplateSpec `json:"template"`
	// MaxUnavailable of the DaemonSet in Git; empty when it has none.
	MaxUnavailable string `json:"maxUnavailable,omitempty"`
	// Around is the DaemonSet in Git but for its template, so that it can be made
	// again without Git.
	Around map[string]any `json:"around,omitempty"`
}

// recorded is the fleet-sized part of a rollout's state.
type recorded struct {
	Templates templates
	Spellings []spelling
	Records   []rollout.Record
	Owed      []rollout.Owed
	// Policy is the one by which the rollout goes; nil while none is under way.
	Policy *chosen
	// Candidate is the digest that the records are about.
	Candidate string
}

// part is one key of the state ConfigMap, with what is encoded in it.
type part struct {
	key   string
	value any
}

func (r *recorded) parts() []part {
	return []part{{keyTemplates, &r.Templates}, {keySpellings, &r.Spellings}, {keyRecords, &r.Records}, {keyOwed, &r.Owed}, {keyPolicy, &r.Policy}}
}

// store reads and writes the ConfigMaps of one NodeRollout.
type store struct {
	client kubernetes.Interface
	key    types.NamespacedName
}

// declared returns what Git declares; nil when that is missing, which says nothing
// of what Git declares.
func (s store) declared(ctx context.Context) (*declared, error) {
	cm, err := s.get(ctx, declaredSuffix)
	if err != nil || cm == nil {
		return nil, err
	}
	var d declared
	if err := json.Unmarshal([]byte(cm.Data[keyDeclared]), &d); err != nil {
		return nil, fmt.Errorf("decode configmap %s/%s key %s: %w", cm.Namespace, cm.Name, keyDeclared, err)
	}
	return &d, nil
}

func (s store) writeDeclared(ctx context.Context, owner *v1alpha1.NodeRollout, d declared) error {
	raw, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode declaration of %s: %w", s.key, err)
	}
	old, err := s.get(ctx, declaredSuffix)
	if err != nil {
		return err
	}
	return s.write(ctx, owner, declaredSuffix, old, map[string]string{keyDeclared: string(raw)})
}

// recorded returns the state with the ConfigMap that it was read from, which
// guards the next write; the ConfigMap is nil when there is none yet.
func (s store) recorded(ctx context.Context) (recorded, *corev1.ConfigMap, error) {
	cm, err := s.get(ctx, stateSuffix)
	if err != nil || cm == nil {
		return recorded{Templates: templates{}}, nil, err
	}
	out := recorded{Templates: templates{}, Candidate: cm.Data[keyCandidate]}
	for _, p := range out.parts() {
		if _, known := cm.Data[p.key]; !known && p.key == keyPolicy {
			continue // written by a version that did not record it
		}
		if err := json.Unmarshal([]byte(cm.Data[p.key]), p.value); err != nil {
			return recorded{}, nil, fmt.Errorf("decode configmap %s/%s key %s: %w", cm.Namespace, cm.Name, p.key, err)
		}
	}
	return out, cm, nil
}

// writeRecorded writes the state if it differs from what old holds. It fails
// with a conflict when somebody else wrote since old was read.
func (s store) writeRecorded(ctx context.Context, owner *v1alpha1.NodeRollout, old *corev1.ConfigMap, r recorded) error {
	data := map[string]string{keyCandidate: r.Candidate}
	for _, p := range r.parts() {
		raw, err := json.Marshal(p.value)
		if err != nil {
			return fmt.Errorf("encode %s of %s: %w", p.key, s.key, err)
		}
		data[p.key] = string(raw)
	}
	return s.write(ctx, owner, stateSuffix, old, data)
}

func (s store) get(ctx context.Context, suffix string) (*corev1.ConfigMap, error) {
	cm, err := s.client.CoreV1().ConfigMaps(s.key.Namespace).Get(ctx, s.key.Name+suffix, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get configmap %s/%s: %w", s.key.Namespace, s.key.Name+suffix, err)
	}
	return cm, nil
}

func (s store) write(ctx context.Context, owner *v1alpha1.NodeRollout, suffix string, old *corev1.ConfigMap, data map[string]string) error {
	name := s.key.Name + suffix
	owners := []metav1.OwnerReference{{APIVersion: v1alpha1.GroupVersion().String(), Kind: "NodeRollout", Name: owner.Name, UID: owner.UID}}
	if old == nil {
		cm := &corev1.ConfigMap{Data: data, ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: s.key.Namespace, OwnerReferences: owners}}
		if _, err := s.client.CoreV1().ConfigMaps(s.key.Namespace).Create(ctx, cm, metav1.CreateOptions{FieldManager: v1alpha1.FieldManager}); err != nil {
			return fmt.Errorf("create configmap %s/%s: %w", s.key.Namespace, name, err)
		}
		return nil
	}
	if maps.Equal(old.Data, data) && slices.Equal(old.OwnerReferences, owners) {
		return nil
	}
	cm := old.DeepCopy()
	cm.Data = data
	cm.OwnerReferences = owners // those of an earlier NodeRollout would have it collected
	_, err := s.client.CoreV1().ConfigMaps(s.key.Namespace).Update(ctx, cm, metav1.UpdateOptions{FieldManager: v1alpha1.FieldManager})
	if apierrors.IsNotFound(err) {
		return s.write(ctx, owner, suffix, nil, data) // it went with the NodeRollout that it belonged to
	}
	if err != nil {
		return fmt.Errorf("update configmap %s/%s: %w", s.key.Namespace, name, err)
	}
	return nil
}
