package render

import (
	"maps"

	"sigs.k8s.io/kustomize/api/types"
)

// sourceAnnotation marks each object with the file that it comes from, on its way through kustomize, with generatedMark
// before it if a generator makes it there. kustomize's own originAnnotations say the same, and are written anew by every
// transformer: 500 objects took 735 ms of CPU with them, and 470 ms with this.
const (
	sourceAnnotation = "internal.rollcall.dev/source"
	generatedMark    = "generated "
)

// marked are the documents of a file, each object in them with the annotation.
func marked(docs []document) []document {
	out := make([]document, 0, len(docs))
	for _, doc := range docs {
		doc.Value = markedValue(doc.Value, doc.File)
		out = append(out, doc)
	}
	return out
}

func markedValue(value any, file string) any {
	object, ok := value.(map[string]any)
	if !ok {
		return value
	}
	object = maps.Clone(object)
	if list, isList := object["items"].([]any); isList && len(items(value)) > 0 {
		elements := make([]any, 0, len(list))
		for _, element := range list {
			elements = append(elements, markedValue(element, file))
		}
		object["items"] = elements
		return object
	}
	metadata, ok := object["metadata"].(map[string]any)
	if !ok {
		return value
	}
	metadata = maps.Clone(metadata)
	annotations, isMap := metadata["annotations"].(map[string]any)
	if metadata["annotations"] != nil && !isMap {
		return value
	}
	annotations = maps.Clone(annotations)
	if annotations == nil {
		annotations = map[string]any{}
	}
	annotations[sourceAnnotation] = file
	metadata["annotations"] = annotations
	object["metadata"] = metadata
	return object
}

// markGenerated has a generator mark what it makes.
func markGenerated(args *types.GeneratorArgs, file string) {
	if args.Options == nil {
		args.Options = &types.GeneratorOptions{}
	}
	annotations := maps.Clone(args.Options.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[sourceAnnotation] = generatedMark + file
	args.Options.Annotations = annotations
}
