package apply

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// prepared returns the object as it is applied: with the owner label, with a namespace if its kind has one, and without
// what only the API server writes. A Secret's stringData becomes data, for the API server does not track who owns a
// field that it never stores.
func prepared(o *unstructured.Unstructured, set Set, namespaced bool) *unstructured.Unstructured {
	out := o.DeepCopy()
	unstructured.RemoveNestedField(out.Object, "status")
	for _, field := range []string{"managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink"} {
		unstructured.RemoveNestedField(out.Object, "metadata", field)
	}
	if namespaced && out.GetNamespace() == "" {
		out.SetNamespace(set.Namespace)
	}
	labels := maps.Clone(out.GetLabels())
	if labels == nil {
		labels = map[string]string{}
	}
	labels[v1alpha1.LabelOwner] = set.Owner
	out.SetLabels(labels)
	if isSecret(out) {
		foldStringData(out)
	}
	return out
}

// secretProblem says what is wrong with a Secret, in part. The API server would find it too, but what it says of a Secret
// is not shown.
func secretProblem(o *unstructured.Unstructured) *diff.Problem {
	if !isSecret(o) {
		return nil
	}
	known := []string{"apiVersion", "kind", "metadata", "data", "stringData", "type", "immutable"}
	for _, key := range sortedKeys(o.Object) {
		if !slices.Contains(known, key) {
			return &diff.Problem{Reason: ReasonInvalid, Message: "it has a field that no Secret has: there are only " + strings.Join(known[3:], ", ")}
		}
	}
	for _, field := range []string{"data", "stringData"} {
		values, _, err := unstructured.NestedStringMap(o.Object, field)
		if err != nil {
			return &diff.Problem{Reason: ReasonInvalid, Message: field + " is no map of strings: put quotes around numbers and the like"}
		}
		for _, key := range sortedKeys(values) {
			if _, err := base64.StdEncoding.DecodeString(values[key]); err != nil && field == "data" {
				return &diff.Problem{Reason: ReasonInvalid, Message: fmt.Sprintf("data[%s] is not in base64: encode it, or move it to stringData", key)}
			}
		}
	}
	return nil
}

// reservedProblem refuses the ConfigMaps that rollcall keeps its own state in: a
// repository that writes them could call any version proven.
func reservedProblem(o *unstructured.Unstructured) *diff.Problem {
	own := strings.HasSuffix(o.GetName(), stateSuffix) || strings.HasSuffix(o.GetName(), declaredSuffix)
	if !own || o.GroupVersionKind().GroupKind() != (schema.GroupKind{Kind: "ConfigMap"}) {
		return nil
	}
	return &diff.Problem{Reason: ReasonInvalid, Message: fmt.Sprintf("rollcall keeps its own state in ConfigMaps named *%s and *%s: give it another name", stateSuffix, declaredSuffix)}
}

func isSecret(o *unstructured.Unstructured) bool {
	return o.GroupVersionKind().GroupKind() == schema.GroupKind{Kind: "Secret"}
}

// foldStringData writes stringData over data, as the API server does. What is no map of strings is left for the API
// server to refuse.
func foldStringData(secret *unstructured.Unstructured) {
	plain, found, err := unstructured.NestedStringMap(secret.Object, "stringData")
	if !found || err != nil {
		return
	}
	data, _, err := unstructured.NestedMap(secret.Object, "data")
	if err != nil {
		return
	}
	if data == nil {
		data = map[string]any{}
	}
	for key, value := range plain {
		data[key] = base64.StdEncoding.EncodeToString([]byte(value))
	}
	secret.Object["data"] = data
	delete(secret.Object, "stringData")
}

// located is a prepared object with where the cluster keeps it, or with why that is not known.
type located struct {
	target
	pending string
	problem *diff.Problem
}

// locate finds the kind of each object and prepares the object. Missing kinds are looked for once more in a fresh list,
// and then among the CustomResourceDefinitions of the set itself.
func (a *Applier) locate(set Set) []located {
	scopes := declaredScopes(set)
	fresh := false
	out := make([]located, 0, len(set.Objects))
	for _, o := range set.Objects {
		gvk := o.GroupVersionKind()
		mapping, err := a.kindOf(gvk)
		if meta.IsNoMatchError(err) && !fresh {
			fresh = true
			a.forgetKinds()
			mapping, err = a.kindOf(gvk)
		}
		l := located{target: target{source: o.Source, mapping: mapping}}
		namespaced, defined := scopes[gvk]
		switch {
		case err == nil:
			l.object = prepared(o.Unstructured, set, l.namespaced())
			l.problem = cmp.Or(l.misplaced(l.namespaced()), reservedProblem(l.object), secretProblem(l.object))
		case meta.IsNoMatchError(err) && defined:
			l.object = prepared(o.Unstructured, set, namespaced)
			l.problem = l.misplaced(namespaced)
			l.pending = "its CustomResourceDefinition comes first"
		default:
			l.object = prepared(o.Unstructured, set, false)
			l.problem = a.problem("find kind", l.target, err)
		}
		out = append(out, l.heeding(set.Ignore))
	}
	return withoutTwins(out)
}

// heeding is the object without what is ignored.
func (l located) heeding(rules []v1alpha1.IgnoreRule) located {
	l.ignored = diff.Ignored(rules, l.object)
	rest, problem := diff.Without(l.ignored, l.object)
	if rest != l.object {
		l.object, l.whole = rest, l.object
	}
	l.problem = cmp.Or(l.problem, problem)
	return l
}

// misplaced is the problem of a cluster-scoped object that names a namespace.
func (l located) misplaced(namespaced bool) *diff.Problem {
	if namespaced || l.object.GetNamespace() == "" {
		return nil
	}
	return &diff.Problem{Reason: ReasonInvalid, Message: fmt.Sprintf("metadata.namespace is %q, but a %s belongs to no namespace: remove the field",
		l.object.GetNamespace(), l.object.GetKind())}
}

// withoutTwins gives a problem to each object that became the same as another one when it got its namespace.
func withoutTwins(all []located) []located {
	first := map[diff.ID]string{}
	for i, l := range all {
		id := diff.IDOf(l.object)
		if source, twin := first[id]; twin && l.problem == nil {
			all[i].problem = &diff.Problem{Reason: ReasonInvalid, Message: "it is declared a second time, also in " + source}
		}
		first[id] = l.source
	}
	return all
}

// declaredScopes tells of each kind and version that the set defines whether it is namespaced.
func declaredScopes(set Set) map[schema.GroupVersionKind]bool {
	out := map[schema.GroupVersionKind]bool{}
	for _, o := range set.Objects {
		if !isDefinition(o.Unstructured) {
			continue
		}
		gk := definedKind(o.Unstructured)
		scope, _, _ := unstructured.NestedString(o.Object, "spec", "scope")
		versions, _, _ := unstructured.NestedSlice(o.Object, "spec", "versions")
		for _, v := range versions {
			version, _ := v.(map[string]any)
			name, _, _ := unstructured.NestedString(version, "name")
			out[gk.WithVersion(name)] = scope == "Namespaced"
		}
	}
	return out
}

func isDefinition(o *unstructured.Unstructured) bool {
	return o.GroupVersionKind().GroupKind() == schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}
}

// definedKind is the kind that a CustomResourceDefinition defines.
func definedKind(definition *unstructured.Unstructured) schema.GroupKind {
	group, _, _ := unstructured.NestedString(definition.Object, "spec", "group")
	kind, _, _ := unstructured.NestedString(definition.Object, "spec", "names", "kind")
	return schema.GroupKind{Group: group, Kind: kind}
}
