package sync

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// keySuffix ends the names of the entries of spec.decryption.secretRef that are keys, as it does for Flux.
const keySuffix = ".agekey"

// Inputs are what a GitSync's files are rendered with beside what is in them: where, and the variables and the keys that
// its spec names. The variables are read by values, which acts as the GitSync, since they come to stand in what it
// declares; the keys, which do not, by keys, as the credentials of its repository are.
func Inputs(ctx context.Context, values dynamic.Interface, keys kubernetes.Interface, gs *v1alpha1.GitSync) (render.Options, error) {
	o := optionsOf(gs)
	if s := gs.Spec.Substitute; s != nil {
		o.Substitute, o.Variables, o.SecretVariables = true, map[string]string{}, map[string]string{}
		for _, source := range s.From {
			if err := variablesOf(ctx, values, gs.Namespace, source, &o); err != nil {
				return o, err
			}
		}
		if err := named(s.Values, &o); err != nil {
			return o, err
		}
	}
	if d := gs.Spec.Decryption; d != nil {
		var err error
		if o.AgeKeys, err = ageKeys(ctx, keys, gs.Namespace, d.SecretRef.Name); err != nil {
			return o, err
		}
	}
	return o, nil
}

// named adds the variables that stand in the GitSync itself.
func named(values map[string]string, o *render.Options) error {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !isVariable(name) {
			return &Failure{Reason: ReasonSubstituteInvalid, Message: fmt.Sprintf("spec.substitute.values: %q is no name of a variable: use letters, digits and _, and no digit first", name)}
		}
		o.Variables[name] = values[name]
		delete(o.SecretVariables, name)
	}
	return nil
}

func isVariable(name string) bool {
	return regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`).MatchString(name)
}

// variablesOf adds the entries of one object. An entry whose name no expression can have, such as that of a file, is none.
func variablesOf(ctx context.Context, values dynamic.Interface, namespace string, source v1alpha1.SubstituteSource, o *render.Options) error {
	resource := corev1.SchemeGroupVersion.WithResource("configmaps")
	if source.Kind == "Secret" {
		resource.Resource = "secrets"
	}
	found, err := values.Resource(resource).Namespace(namespace).Get(ctx, source.Name, metav1.GetOptions{})
	what := fmt.Sprintf("%s %s/%s", source.Kind, namespace, source.Name)
	switch {
	case apierrors.IsNotFound(err) && source.Optional:
		return nil
	case apierrors.IsNotFound(err):
		return &Failure{Reason: ReasonSubstituteInvalid, Err: err, Message: what + ", which spec.substitute.from names, does not exist: create it, or set optional: true"}
	case err != nil:
		return &Failure{Reason: ReasonSubstituteInvalid, Err: err, Message: fmt.Sprintf("read %s, which spec.substitute.from names: %v", what, err)}
	}
	entries, err := entriesOf(found)
	if err != nil {
		return &Failure{Reason: ReasonSubstituteInvalid, Message: what + ", which spec.substitute.from names, cannot be read"}
	}
	into, outOf := o.Variables, o.SecretVariables
	if source.Kind == "Secret" {
		into, outOf = outOf, into
	}
	for name, value := range entries {
		if isVariable(name) {
			into[name] = value
			delete(outOf, name)
		}
	}
	return nil
}

// entriesOf are the entries of a ConfigMap or a Secret.
func entriesOf(o *unstructured.Unstructured) (map[string]string, error) {
	if o.GetKind() == "ConfigMap" {
		entries, _, err := unstructured.NestedStringMap(o.Object, "data")
		return entries, err
	}
	var secret corev1.Secret
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &secret); err != nil {
		return nil, err
	}
	entries := make(map[string]string, len(secret.Data))
	for name, value := range secret.Data {
		entries[name] = string(value)
	}
	return entries, nil
}

func ageKeys(ctx context.Context, kube kubernetes.Interface, namespace, name string) ([]string, error) {
	secret, err := kube.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, &Failure{Reason: ReasonSecretNotFound, Err: err, Message: fmt.Sprintf("Secret %s/%s does not exist: create it, or correct spec.decryption.secretRef", namespace, name)}
	case err != nil:
		return nil, &Failure{Reason: ReasonSecretNotFound, Err: err, Message: fmt.Sprintf("read Secret %s/%s: %v", namespace, name, err)}
	}
	var keys []string
	for _, entry := range slices.Sorted(maps.Keys(secret.Data)) {
		if strings.HasSuffix(entry, keySuffix) {
			keys = append(keys, string(secret.Data[entry]))
		}
	}
	if len(keys) == 0 {
		return nil, &Failure{Reason: ReasonSecretInvalid, Message: fmt.Sprintf("Secret %s/%s, which spec.decryption names, has no entry whose name ends in %s: add an age key file (kubectl create secret generic %s -n %s --from-file=key%s)", namespace, name, keySuffix, name, namespace, keySuffix)}
	}
	return keys, nil
}

// inputsPrint names the variables and keys that something was rendered with; empty when there is nothing of that.
func inputsPrint(o render.Options) (string, error) {
	if !o.Substitute && len(o.AgeKeys) == 0 {
		return "", nil
	}
	out, err := fingerprint(o.Substitute, o.Variables, o.SecretVariables, o.AgeKeys)
	if err != nil {
		return "", fmt.Errorf("name what is rendered with: %w", err)
	}
	return out, nil
}

// warnings are the findings that a status has room for.
func warnings(findings []render.Finding) []v1alpha1.Warning {
	var out []v1alpha1.Warning
	for _, f := range findings[:min(len(findings), v1alpha1.MaxWarnings)] {
		out = append(out, v1alpha1.Warning{Reason: string(f.Concern), File: f.File, Object: f.Object, Message: cut(f.Message, maxMessage)})
	}
	return out
}

// anew is whether the commit that was applied whole is another version now, by its variables or keys.
func (m *memory) anew() bool {
	return m.whole != (rendered{}) && m.whole.inputs != m.from.inputs
}

// inputs are those of a GitSync as they are now.
func (c *Controller) inputs(ctx context.Context, gs *v1alpha1.GitSync) (o render.Options, print string, err error) {
	if gs.Spec.Substitute == nil && gs.Spec.Decryption == nil {
		return optionsOf(gs), "", nil
	}
	as, err := c.as(gs)
	if err != nil {
		return o, "", err
	}
	if o, err = Inputs(ctx, as.Dynamic, c.Kube, gs); err != nil {
		return o, "", err
	}
	print, err = inputsPrint(o)
	return o, print, err
}
