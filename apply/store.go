package apply

import (
	"context"
	"encoding/json"
	"fmt"
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
	keyBare      = "bare.json"
	keyPolicy    = "policy.json"
	keyCarried   = "carried.json"
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
	// MaxSurge of it; empty unless that says that no node may be without an agent.
	MaxSurge string `json:"maxSurge,omitempty"`
	// As names the ServiceAccount, in the owner's namespace, that the owner acts as;
	// empty where it acts as rollcall itself.
	As string `json:"as,omitempty"`
	// Around is the DaemonSet in Git but for its template, so that it can be made
	// again without Git.
	Around map[string]any `json:"around,omitempty"`
	// foreign is whether another tool has written it to the DaemonSet; that is not
	// recorded.
	foreign bool
}

// recorded is the fleet-sized part of a rollout's state.
type recorded struct {
	Templates templates
	Spellings []spelling
	Records   []rollout.Record
	Owed      []rollout.Owed
	Bare      []rollout.Owed
	// Carried are the versions of these templates by the controller-revision-hash that
	// pods carry for them.
	Carried carried
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
	return []part{{keyTemplates, &r.Templates}, {keySpellings, &r.Spellings}, {keyRecords, &r.Records}, {keyOwed, &r.Owed}, {keyBare, &r.Bare}, {keyPolicy, &r.Policy}, {keyCarried, &r.Carried}}
}

// store reads and writes the ConfigMaps of one NodeRollout.
type store struct {
	client kubernetes.Interface
	key    types.NamespacedName
}

// declared returns what Git declares; nil when that is missing or somebody has made
// it unreadable, which says nothing of what Git declares. The next pass writes it
// again.
func (s store) declared(ctx context.Context) (*declared, error) {
	cm, err := s.get(ctx, declaredSuffix)
	if err != nil || cm == nil {
		return nil, err
	}
	var d declared
	if err := json.Unmarshal([]byte(cm.Data[keyDeclared]), &d); err != nil || d.Digest == "" {
		return nil, nil //nolint:nilerr // not to know is no error
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
	return s.write(ctx, owner, declaredSuffix, old, content{text: map[string]string{keyDeclared: string(raw)}})
}

// recorded returns the state with the ConfigMap that it was read from, which
// guards the next write; the ConfigMap is nil when there is none yet. One that
// somebody has made unreadable is as good as lost, and is written over.
func (s store) recorded(ctx context.Context) (recorded, *corev1.ConfigMap, error) {
	cm, err := s.get(ctx, stateSuffix)
	if err != nil || cm == nil {
		return recorded{Templates: templates{}}, nil, err
	}
	out, err := readRecorded(cm)
	if err != nil {
		cm.Data, cm.BinaryData = nil, nil
		return recorded{Templates: templates{}}, cm, nil //nolint:nilerr // what cannot be read is not known
	}
	return out, cm, nil
}

func readRecorded(cm *corev1.ConfigMap) (recorded, error) {
	out := recorded{Templates: templates{}, Candidate: cm.Data[keyCandidate]}
	for _, p := range out.parts() {
		known, err := partOf(cm, p.key, p.value)
		if !known && (p.key == keyPolicy || p.key == keyCarried || p.key == keyBare) {
			continue // written by a version that did not record it
		}
		if err != nil {
			return recorded{}, fmt.Errorf("key %s: %w", p.key, err)
		}
	}
	return out, nil
}

// change is a state with what it was decided on.
type change struct {
	// from is nil when there was none.
	from   *corev1.ConfigMap
	before recorded
	after  recorded
	// begins is whether a wave begins with it.
	begins bool
}

// writeRecorded writes the state if it differs from what it was read from. It
// fails with a conflict when somebody else wrote since, and before the API server
// would when there is no room for it.
func (s store) writeRecorded(ctx context.Context, owner *v1alpha1.NodeRollout, c change) error {
	out, err := c.content()
	if err != nil {
		return fmt.Errorf("record the state in configmap %s/%s%s: %w", s.key.Namespace, s.key.Name, stateSuffix, err)
	}
	return s.write(ctx, owner, stateSuffix, c.from, out)
}

// content is what to write.
func (c *change) content() (content, error) {
	out := content{text: map[string]string{keyCandidate: c.after.Candidate}, packed: map[string][]byte{}}
	same := c.same()
	for _, p := range c.after.parts() {
		if same[p.key] && out.keep(p.key, c.from) {
			continue
		}
		if err := out.add(p.key, p.value); err != nil {
			return content{}, fmt.Errorf("encode %s: %w", p.key, err)
		}
	}
	return out, out.room(len(c.after.Records), len(c.after.Templates), c.begins)
}

// same are the keys of fleet-sized parts that are as they were read: they need
// not be encoded again.
func (c *change) same() map[string]bool {
	if c.from == nil {
		return nil
	}
	return map[string]bool{keyRecords: slices.Equal(c.before.Records, c.after.Records), keyOwed: slices.Equal(c.before.Owed, c.after.Owed)}
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

func (s store) write(ctx context.Context, owner *v1alpha1.NodeRollout, suffix string, old *corev1.ConfigMap, next content) error {
	name := s.key.Name + suffix
	owners := []metav1.OwnerReference{{APIVersion: v1alpha1.GroupVersion().String(), Kind: "NodeRollout", Name: owner.Name, UID: owner.UID}}
	if old == nil {
		cm := &corev1.ConfigMap{Data: next.text, BinaryData: next.packed, ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: s.key.Namespace, OwnerReferences: owners}}
		if _, err := s.client.CoreV1().ConfigMaps(s.key.Namespace).Create(ctx, cm, metav1.CreateOptions{FieldManager: v1alpha1.FieldManager}); err != nil {
			return fmt.Errorf("create configmap %s/%s: %w", s.key.Namespace, name, err)
		}
		return nil
	}
	if next.equal(old) && slices.Equal(old.OwnerReferences, owners) {
		return nil
	}
	cm := old.DeepCopy()
	cm.Data, cm.BinaryData = next.text, next.packed
	cm.OwnerReferences = owners // those of an earlier NodeRollout would have it collected
	_, err := s.client.CoreV1().ConfigMaps(s.key.Namespace).Update(ctx, cm, metav1.UpdateOptions{FieldManager: v1alpha1.FieldManager})
	if apierrors.IsNotFound(err) {
		return s.write(ctx, owner, suffix, nil, next) // it went with the NodeRollout that it belonged to
	}
	if err != nil {
		return fmt.Errorf("update configmap %s/%s: %w", s.key.Namespace, name, err)
	}
	return nil
}
