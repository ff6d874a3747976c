package render

import (
	"fmt"
	"strconv"

	"sigs.k8s.io/kustomize/kyaml/openapi"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// convert makes numbers and booleans of texts that came from variables where the schema of a built-in kind wants them.
// Text stays text everywhere else: what a value looks like must not decide what it is.
func convert(places []place) error {
	if len(places) == 0 {
		return nil
	}
	oneBuild.Lock()
	defer oneBuild.Unlock()
	openapi.ResetOpenAPI()
	var errs Errors
	for _, p := range places {
		wanted := fieldType(p)
		value, err := typedAs(wanted, p.text)
		if err != nil {
			errs.add(&Error{Reason: SubstitutionFailed, File: p.of.source, Object: title(p.of.object.Object), Field: dotted(p.path),
				Message: fmt.Sprintf("the variables here make no %s: correct their values in spec.substitute", wanted)})
			continue
		}
		p.set(value)
	}
	return errs.orNil()
}

// intOrString is the format of fields that take either.
const intOrString = "int-or-string"

// fieldType is the type of a field by the schema of its kind; "string" where that is not known.
func fieldType(p place) string {
	schema := openapi.SchemaForResourceType(yaml.TypeMeta{APIVersion: p.of.object.GetAPIVersion(), Kind: p.of.object.GetKind()})
	for _, step := range p.path {
		if schema == nil || schema.Schema == nil {
			return "string"
		}
		if name, isName := step.(string); isName {
			schema = schema.Field(name)
		} else {
			schema = schema.Elements()
		}
	}
	switch {
	case schema == nil || schema.Schema == nil || len(schema.Schema.Type) != 1:
		return "string"
	case schema.Schema.Format == intOrString:
		return intOrString
	default:
		return schema.Schema.Type[0]
	}
}

func typedAs(wanted, text string) (any, error) {
	switch wanted {
	case "integer":
		return strconv.ParseInt(text, 10, 64)
	case "number":
		return strconv.ParseFloat(text, 64)
	case "boolean":
		return strconv.ParseBool(text)
	case intOrString:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n, nil
		}
	}
	return text, nil
}
