package render

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// declaration is an object on its way into Declared.
type declaration struct {
	object *unstructured.Unstructured
	source string
	// document is its place in the source; 0 when the source is not one file that holds it.
	document int
	// generated is true of what a kustomize generator made under a name that holds a hash of the content:
	// references to it change with the content already.
	generated bool
}

// key identifies an object in a cluster. The version is no part of it.
type key struct {
	schema.GroupKind
	namespace, name string
}

func (d declaration) key() key {
	return key{d.object.GroupVersionKind().GroupKind(), d.object.GetNamespace(), d.object.GetName()}
}

// place names the source and, where it matters, the document in it.
func (d declaration) place() string {
	if d.document == 0 {
		return d.source
	}
	return fmt.Sprintf("%s (document %d)", d.source, d.document)
}

// invalid is an error about a field of the object.
func (d declaration) invalid(field, message string) *Error {
	return &Error{Reason: InvalidObject, File: d.source, Object: title(d.object.Object), Field: field, Message: message}
}

// declarations turns documents into objects, lists into their items, and names all that is wrong with them.
func declarations(docs []document) ([]declaration, error) {
	var all []declaration
	var errs Errors
	for _, doc := range docs {
		for _, value := range items(doc.Value) {
			problems := identify(doc, value)
			if len(problems) > 0 {
				errs = append(errs, problems...)
				continue
			}
			all = append(all, declaration{
				object:   &unstructured.Unstructured{Object: value.(map[string]any)},
				source:   doc.File,
				document: doc.Index,
			})
		}
	}
	return all, errs.orNil()
}

// items flattens a list object; any other value is its own only item.
func items(value any) []any {
	list, isMap := value.(map[string]any)
	if !isMap {
		return []any{value}
	}
	kind, _ := list["kind"].(string)
	elements, hasItems := list["items"].([]any)
	if !strings.HasSuffix(kind, "List") || !hasItems {
		return []any{value}
	}
	var flat []any
	for _, element := range elements {
		flat = append(flat, items(element)...)
	}
	return flat
}

// identify checks that a value is an object that can be declared: it says what it is, it has a name, and it
// carries nothing that only the API server may write.
func identify(doc document, value any) Errors {
	var errs Errors
	report := func(field, message string) {
		errs = append(errs, &Error{Reason: InvalidObject, File: doc.File, Line: doc.Line, Object: title(value),
			Field: field, Message: message})
	}
	object, ok := value.(map[string]any)
	if !ok {
		report("", fmt.Sprintf("%sthis is %s, not a Kubernetes object", doc.name(), typeName(value)))
		return errs
	}
	metadata, _ := object["metadata"].(map[string]any)
	for _, required := range []struct {
		field string
		value any
	}{{"apiVersion", object["apiVersion"]}, {"kind", object["kind"]}, {"metadata.name", metadata["name"]}} {
		if message := missing(doc, required.value, metadata["generateName"] != nil); message != "" {
			report(required.field, message)
		}
	}
	if ns := metadata["namespace"]; ns != nil && !isText(ns) {
		report("metadata.namespace", misread(ns))
	}
	if child(object, "sops")["mac"] != nil {
		report("sops", "sops has encrypted this and it was not decrypted: only whole files are, of Secrets and of secretGenerators")
	}
	for _, field := range []string{"managedFields", "resourceVersion", "uid"} {
		if metadata[field] != nil {
			report("metadata."+field, "only the API server writes this field; the object was probably exported from a cluster: remove it")
		}
	}
	return append(errs, identifyTexts(doc, value, metadata)...)
}

// identifyTexts checks that labels and annotations are mappings of names to texts.
func identifyTexts(doc document, value any, metadata map[string]any) Errors {
	var errs Errors
	report := func(field, message string) {
		errs = append(errs, &Error{Reason: InvalidObject, File: doc.File, Line: doc.Line, Object: title(value),
			Field: field, Message: message})
	}
	for _, field := range []string{"labels", "annotations"} {
		if _, isMap := metadata[field].(map[string]any); metadata[field] != nil && !isMap {
			report("metadata."+field, "this is "+typeName(metadata[field])+" and should be a mapping of names to texts")
		}
		for _, name := range notText(metadata[field]) {
			report("metadata."+field+"."+name, "this value must be text: quote it")
		}
	}
	return errs
}

// missing says what is wrong with a required field; nothing when it is text.
func missing(doc document, value any, generateName bool) string {
	switch {
	case value == nil && generateName:
		return "generateName makes a new object on each apply: give it a name"
	case value == nil || value == "":
		way := "add it, or keep files that are no Kubernetes objects out of the path"
		return withHint(fmt.Sprintf("%sthis field is missing: %s", doc.name(), way), doc.Hint)
	case !isText(value):
		return misread(value)
	default:
		return ""
	}
}

func misread(value any) string {
	return fmt.Sprintf("YAML reads this value as %s (also an unquoted y, n, yes, no, on or off): quote it", typeName(value))
}

func isText(value any) bool {
	_, ok := value.(string)
	return ok
}

// notText returns the keys of a mapping whose values are no text, sorted.
func notText(mapping any) []string {
	values, _ := mapping.(map[string]any)
	var names []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !isText(values[name]) {
			names = append(names, name)
		}
	}
	return names
}

// title names an object in a message, as far as it can be named.
func title(value any) string {
	object, _ := value.(map[string]any)
	metadata, _ := object["metadata"].(map[string]any)
	kind, _ := object["kind"].(string)
	name, _ := metadata["name"].(string)
	if namespace, _ := metadata["namespace"].(string); namespace != "" {
		name = namespace + "/" + name
	}
	return strings.TrimSpace(kind + " " + name)
}

// unique refuses two declarations of one object.
func unique(all []declaration) error {
	first := make(map[key]declaration, len(all))
	var errs Errors
	for _, d := range all {
		k := d.key()
		if other, twice := first[k]; twice {
			errs = append(errs, &Error{Reason: DuplicateObject, File: d.source, Object: title(d.object.Object), Message: fmt.Sprintf(
				"declared twice, in %s and in %s: keep one of them", other.place(), d.place())})
			continue
		}
		first[k] = d
	}
	return errs.orNil()
}

// compare orders declarations by kind, namespace and name.
func compare(a, b declaration) int {
	ka, kb := a.key(), b.key()
	return cmp.Or(
		cmp.Compare(rank(ka.GroupKind), rank(kb.GroupKind)),
		cmp.Compare(ka.Group, kb.Group),
		cmp.Compare(ka.Kind, kb.Kind),
		cmp.Compare(ka.namespace, kb.namespace),
		cmp.Compare(ka.name, kb.name),
	)
}
