package render

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"
)

const (
	// PinConfigAnnotation set to "false" on a DaemonSet keeps its template as declared; on a ConfigMap or
	// Secret it keeps that object from being pinned for anyone.
	PinConfigAnnotation = "rollcall.dev/pin-config"
	// PinnedFromLabel is on each pinned copy and holds the name of the original, or the start of the hex
	// SHA-256 sum of that name when a label cannot hold it.
	PinnedFromLabel = "rollcall.dev/pinned-from"

	// pinHashLength is the length of the hash in the name of a copy, in hex digits.
	pinHashLength = 10
)

// pinner makes the immutable copies of the configuration that DaemonSets read. DaemonSets that read one
// object share its copy.
type pinner struct {
	config map[Reference]declaration
	made   map[Reference]Reference
	copies []declaration
}

func newPinner(all []declaration) *pinner {
	p := &pinner{config: map[Reference]declaration{}, made: map[Reference]Reference{}}
	for _, d := range all {
		if isConfig(d.object) {
			p.config[Reference{d.object.GetKind(), d.object.GetNamespace(), d.object.GetName()}] = d
		}
	}
	return p
}

// daemonSet returns the DaemonSet with its configuration pinned.
func (p *pinner) daemonSet(d declaration) (DaemonSet, error) {
	ds := DaemonSet{Object: Object{d.object, d.source}, Pinned: d.object.DeepCopy()}
	off := optedOut(d.object)
	var err error
	references(ds.Pinned.Object, func(kind, name string) string {
		plain := Reference{kind, d.object.GetNamespace(), name}
		source, declared := p.config[plain]
		if !declared {
			return name
		}
		ds.Config = append(ds.Config, plain)
		if off || !pinnable(source) {
			return name
		}
		pin, pinErr := p.pin(plain, source)
		if pinErr != nil {
			err = pinErr
			return name
		}
		ds.Pins = append(ds.Pins, pin)
		return pin.Name
	})
	if err != nil {
		return DaemonSet{}, err
	}
	ds.Config, ds.Pins = sortedUnique(ds.Config), sortedUnique(ds.Pins)
	template, _, _ := unstructured.NestedMap(ds.Pinned.Object, "spec", "template")
	if ds.Digest, err = Digest(template); err != nil {
		return DaemonSet{}, d.invalid("spec.template", err.Error())
	}
	return ds, nil
}

func optedOut(o *unstructured.Unstructured) bool {
	return o.GetAnnotations()[PinConfigAnnotation] == "false"
}

// pinnable reports whether a change of the object could otherwise reach a running pod under the same name.
// Immutable objects cannot change, and the name of a generated one changes with its content.
func pinnable(d declaration) bool {
	immutable, _, _ := unstructured.NestedBool(d.object.Object, "immutable")
	return !immutable && !d.generated && !optedOut(d.object)
}

func (p *pinner) pin(plain Reference, d declaration) (Reference, error) {
	if pin, ok := p.made[plain]; ok {
		return pin, nil
	}
	sum, err := contentSum(d.object)
	if err != nil {
		return Reference{}, d.invalid("", err.Error())
	}
	pin := Reference{plain.Kind, plain.Namespace, pinName(plain.Name, sum)}
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1",
		"kind":       plain.Kind,
		"metadata":   map[string]any{"name": pin.Name},
		"immutable":  true,
	}}
	original := d.object.DeepCopy()
	for _, field := range []string{"data", "binaryData", "stringData", "type"} {
		if v, ok := original.Object[field]; ok {
			object.Object[field] = v
		}
	}
	if plain.Namespace != "" {
		object.SetNamespace(plain.Namespace)
	}
	copied := maps.Clone(original.GetLabels())
	if copied == nil {
		copied = map[string]string{}
	}
	copied[PinnedFromLabel] = pinnedFrom(plain.Name)
	object.SetLabels(copied)
	p.made[plain] = pin
	p.copies = append(p.copies, declaration{object: object, source: d.source})
	return pin, nil
}

// pinName appends the hash and keeps the name a valid one of at most 253 characters.
func pinName(name, sum string) string {
	if room := validation.DNS1123SubdomainMaxLength - pinHashLength - 1; len(name) > room {
		name = strings.TrimRight(name[:room], ".-")
	}
	return name + "-" + sum[:pinHashLength]
}

func pinnedFrom(name string) string {
	if len(validation.IsValidLabelValue(name)) == 0 {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])[:40]
}

// contentSum is the hex SHA-256 sum of what a pod can read of a ConfigMap or Secret. A Secret's stringData
// counts as the data that the API server makes of it.
func contentSum(o *unstructured.Unstructured) (string, error) {
	data, _, err := unstructured.NestedStringMap(o.Object, "data")
	if err != nil {
		return "", fmt.Errorf("read data: %w", err)
	}
	plain, _, err := unstructured.NestedStringMap(o.Object, "stringData")
	if err != nil {
		return "", fmt.Errorf("read stringData: %w", err)
	}
	binary, _, err := unstructured.NestedStringMap(o.Object, "binaryData")
	if err != nil {
		return "", fmt.Errorf("read binaryData: %w", err)
	}
	if data == nil {
		data = map[string]string{}
	}
	if binary == nil {
		binary = map[string]string{}
	}
	for k, v := range plain {
		data[k] = base64.StdEncoding.EncodeToString([]byte(v))
	}
	kindOfSecret, _, _ := unstructured.NestedString(o.Object, "type")
	text, err := json.Marshal([]any{o.GetKind(), kindOfSecret, data, binary})
	if err != nil {
		return "", fmt.Errorf("encode content: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// hashed matches the names that kustomize gives to what it generates: its hash is ten characters of this
// alphabet.
func hashed(name string) bool {
	return regexp.MustCompile(`-[2456789bcdfghkmt]{10}$`).MatchString(name)
}

func sortedUnique(refs []Reference) []Reference {
	slices.SortFunc(refs, Reference.Compare)
	return slices.Compact(refs)
}
