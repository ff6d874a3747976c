package render

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	kjson "sigs.k8s.io/json"
)

// check refuses what the API server would refuse of the kinds that rollcall rolls out, and names the field.
// All other kinds are for the API server's dry-run to judge.
func check(all []declaration) error {
	var errs Errors
	for _, d := range all {
		switch {
		case d.object.GetKind() == "DaemonSet" && !isDaemonSet(d.object):
			errs.add(d.invalid("apiVersion", fmt.Sprintf("no DaemonSet of Kubernetes is %q: write apps/v1", d.object.GetAPIVersion())))
		case isDaemonSet(d.object):
			errs.add(checkDaemonSet(d))
		case isConfig(d.object):
			errs.add(checkConfig(d))
		}
	}
	errs.add(unique(all))
	return errs.orNil()
}

func isDaemonSet(o *unstructured.Unstructured) bool {
	return o.GetKind() == "DaemonSet" && o.GetAPIVersion() == "apps/v1"
}

// isConfig reports whether a pod can read the object as configuration.
func isConfig(o *unstructured.Unstructured) bool {
	return o.GetAPIVersion() == "v1" && (o.GetKind() == "ConfigMap" || o.GetKind() == "Secret")
}

func checkDaemonSet(d declaration) error {
	ds, errs := strictly[appsv1.DaemonSet](d)
	if len(errs) > 0 {
		return errs
	}
	if len(ds.Spec.Template.Spec.Containers) == 0 {
		errs.add(d.invalid("spec.template.spec.containers", "the template has no container: add one"))
	}
	errs.add(checkSelector(d, ds.Spec))
	errs.add(checkKeys(d, ds.Spec.Template.Spec))
	return errs.orNil()
}

// checkKeys refuses two elements of one key in lists that are merged by it: the API server takes them when it makes the
// DaemonSet, and no apply afterwards.
func checkKeys(d declaration, pod corev1.PodSpec) error {
	var errs Errors
	pull := twice(pod.ImagePullSecrets, func(r corev1.LocalObjectReference) string { return "name " + r.Name })
	errs.add(d.repeated("spec.template.spec.imagePullSecrets", pull))
	errs.add(d.repeated("spec.template.spec.hostAliases", twice(pod.HostAliases, func(a corev1.HostAlias) string { return "ip " + a.IP })))
	for list, containers := range map[string][]corev1.Container{"containers": pod.Containers, "initContainers": pod.InitContainers} {
		for _, c := range containers {
			field := fmt.Sprintf("spec.template.spec.%s[name=%s].", list, c.Name)
			errs.add(d.repeated(field+"env", twice(c.Env, func(e corev1.EnvVar) string { return "name " + e.Name })))
			errs.add(d.repeated(field+"ports", twice(c.Ports, func(p corev1.ContainerPort) string {
				return fmt.Sprintf("containerPort %d and protocol %s", p.ContainerPort, cmp.Or(p.Protocol, corev1.ProtocolTCP))
			})))
		}
	}
	slices.SortStableFunc(errs, func(a, b *Error) int { return cmp.Compare(a.Field, b.Field) })
	return errs.orNil()
}

// twice returns the key of the first element that has one of an element before it; empty for none.
func twice[T any](list []T, key func(T) string) string {
	seen := map[string]bool{}
	for _, element := range list {
		k := key(element)
		if seen[k] {
			return k
		}
		seen[k] = true
	}
	return ""
}

func (d declaration) repeated(field, key string) error {
	if key == "" {
		return nil
	}
	return d.invalid(field, fmt.Sprintf("two elements have the %s: keep one of them", key))
}

func checkSelector(d declaration, spec appsv1.DaemonSetSpec) error {
	const field = "spec.selector"
	if spec.Selector == nil || len(spec.Selector.MatchLabels)+len(spec.Selector.MatchExpressions) == 0 {
		return d.invalid(field, "the selector is empty: select the labels of the template")
	}
	selector, err := metav1.LabelSelectorAsSelector(spec.Selector)
	if err != nil {
		return d.invalid(field, err.Error())
	}
	if !selector.Matches(labels.Set(spec.Template.Labels)) {
		return d.invalid(field, fmt.Sprintf(
			"the selector %q does not match the labels of the template %q: give the template these labels",
			selector, labels.Set(spec.Template.Labels)))
	}
	return nil
}

func checkConfig(d declaration) error {
	if d.object.GetKind() == "Secret" {
		secret, errs := strictly[corev1.Secret](d)
		if len(errs) == 0 {
			errs.add(checkCiphertext(d, secret))
		}
		return errs.orNil()
	}
	_, errs := strictly[corev1.ConfigMap](d)
	return errs.orNil()
}

// checkCiphertext refuses values that sops encrypted in a file that says no more how.
func checkCiphertext(d declaration, secret *corev1.Secret) error {
	var errs Errors
	const sealed = "ENC[AES256_GCM,data:"
	for _, name := range slices.Sorted(maps.Keys(secret.Data)) {
		if bytes.HasPrefix(secret.Data[name], []byte(sealed)) {
			errs.add(d.invalid("data."+name, "this is ciphertext of sops, without its field sops: encrypt the file again"))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(secret.StringData)) {
		if strings.HasPrefix(secret.StringData[name], sealed) {
			errs.add(d.invalid("stringData."+name, "this is ciphertext of sops, without its field sops: encrypt the file again"))
		}
	}
	return errs.orNil()
}

// strictly decodes the object into its Go type and returns what does not fit: unknown fields all at once,
// else the first value of a wrong type. No message about a Secret holds a value.
func strictly[T any](d declaration) (*T, Errors) {
	object, unknown, err := decode[T](d.object.Object)
	if err != nil {
		field := locate(d.object.DeepCopy().Object, func(without map[string]any) bool {
			_, _, err := decode[T](without)
			return err == nil
		})
		return nil, Errors{d.misfit(field, err)}
	}
	var errs Errors
	for _, u := range unknown {
		field, message := "", u.Error()
		if f, ok := errors.AsType[kjson.FieldError](u); ok {
			field, message = f.FieldPath(), "there is no such field: look for a typing error or a wrong indentation"
		}
		errs = append(errs, d.invalid(field, message))
	}
	return object, errs
}

func decode[T any](object map[string]any) (typed *T, unknown []error, err error) {
	data, err := json.Marshal(object)
	if err != nil {
		return nil, nil, fmt.Errorf("encode object: %w", err)
	}
	typed = new(T)
	unknown, err = kjson.UnmarshalStrict(data, typed)
	return typed, unknown, err
}

// misfit says what is wrong with a value that has the wrong type.
func (d declaration) misfit(field string, err error) *Error {
	if m := regexp.MustCompile(`cannot unmarshal (\w+).* of type ([^ ]+)$`).FindStringSubmatch(err.Error()); m != nil {
		return d.invalid(field, fmt.Sprintf("this value is of type %s and should be %s%s", m[1], plainType(m[2]), quoteHint(m[1], m[2])))
	}
	if d.object.GetKind() == "Secret" {
		return d.invalid(field, "this value does not fit; the values of data are base64, those of stringData are plain text")
	}
	return d.invalid(field, fmt.Sprintf("this value does not fit: %v", err))
}

func plainType(goType string) string {
	switch {
	case strings.HasPrefix(goType, "[]"):
		return "a list"
	case strings.HasPrefix(goType, "map["), strings.Contains(goType, "."):
		return "a mapping"
	default:
		return goType
	}
}

func quoteHint(have, want string) string {
	if want == "string" && (have == "bool" || have == "number") {
		return ": quote it (YAML also reads an unquoted y, n, yes, no, on or off as a boolean)"
	}
	return ""
}

// locate returns the path of the deepest field without which the object fits, because the errors of types that
// decode themselves, such as quantities, do not say where they are. It is empty when there are two such places.
func locate(object map[string]any, fits func(map[string]any) bool) string {
	var path string
	var node any = object
	for {
		child, name, ok := culprit(node, func() bool { return fits(object) })
		if !ok {
			return strings.TrimPrefix(path, ".")
		}
		path, node = path+name, child
	}
}

// culprit finds the one child of a node whose absence makes the object fit.
func culprit(node any, fits func() bool) (child any, name string, ok bool) {
	switch n := node.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(n)) {
			v := n[k]
			delete(n, k)
			good := fits()
			n[k] = v
			if good {
				return v, "." + k, true
			}
		}
	case []any:
		for i, v := range n {
			n[i] = nil
			good := fits()
			n[i] = v
			if good {
				return v, fmt.Sprintf("[%d]", i), true
			}
		}
	}
	return nil, "", false
}
