package render

import (
	"fmt"
	"slices"
	"strings"
)

// plugin looks at an entry of generators, transformers or validators: the configuration of a plugin, or the
// name of a file with it. A directory is refused: what a kustomization would make of the configuration
// cannot be checked before the build.
func (v *visit) plugin(field, entry string) (string, error) {
	docs, isText, err := v.textOrFile(field, entry)
	if err != nil {
		return entry, err
	}
	if isText {
		text, err := canonical(docs)
		if err != nil {
			return entry, err
		}
		return string(text), v.pluginConfig(field, docs)
	}
	name, err := v.fileName(field, entry)
	if err != nil {
		return entry, err
	}
	if docs, err = v.parsed(name); err != nil {
		return entry, err
	}
	return entry, v.pluginConfig(field+" ("+name+")", docs)
}

// pluginConfig allows the built-in plugins that read no files. Keys are compared without case, as kustomize
// reads them.
func (v *visit) pluginConfig(field string, docs []document) error {
	for _, d := range docs {
		v.hidden.values(d.Value)
	}
	var errs Errors
	for _, d := range docs {
		for _, value := range items(d.Value) {
			config, _ := value.(map[string]any)
			kind, _ := config["kind"].(string)
			switch {
			case config["apiVersion"] != "builtin" || kind == "HelmChartInflationGenerator":
				errs.add(v.remote(field, fmt.Sprintf("%s %s is a plugin that is fetched or executed: commit what it makes", config["apiVersion"], kind)))
			case readsFiles(config):
				errs.add(v.remote(field, fmt.Sprintf(
					"this %s reads files: use the field of the kustomization that does the same, such as patches or configMapGenerator", kind)))
			}
		}
	}
	return errs.orNil()
}

// readsFiles reports whether a plugin's configuration has a field that names files.
func readsFiles(config map[string]any) bool {
	for name, value := range config {
		for _, field := range []string{"path", "paths", "files", "envs", "env", "targetFilePath", "argsFromFile"} {
			if strings.EqualFold(name, field) {
				return true
			}
		}
		list, _ := value.([]any)
		if strings.EqualFold(name, "replacements") && slices.ContainsFunc(list, func(r any) bool {
			replacement, _ := r.(map[string]any)
			return readsFiles(replacement)
		}) {
			return true
		}
	}
	return false
}
