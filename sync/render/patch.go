package render

import (
	"fmt"
	"path"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
)

func (v *visit) openAPI(fields map[string]string) error {
	entry, ok := fields["path"]
	if !ok {
		return nil
	}
	_, err := v.yaml("openapi.path", entry)
	return err
}

func (v *visit) patches(k *types.Kustomization) error {
	for i, entry := range k.PatchesStrategicMerge { //nolint:staticcheck // deprecated, and in people's kustomizations
		looked, err := v.patchOrFile(fmt.Sprintf("patchesStrategicMerge[%d]", i), string(entry))
		if err := v.collect(err); err != nil {
			return err
		}
		k.PatchesStrategicMerge[i] = types.PatchStrategicMerge(looked) //nolint:staticcheck // as above
	}
	for _, list := range []struct {
		name    string
		patches []types.Patch
	}{{"patches", k.Patches}, {"patchesJson6902", k.PatchesJson6902}} { //nolint:staticcheck // deprecated, and in people's kustomizations
		for i := range list.patches {
			if err := v.collect(v.patch(fmt.Sprintf("%s[%d]", list.name, i), &list.patches[i])); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *visit) patch(field string, p *types.Patch) error {
	if p.Path != "" {
		if _, err := v.yaml(field+".path", p.Path); err != nil {
			return err
		}
		v.hidden.patch(p.Target, v.docs[path.Join(v.dir, p.Path)])
	}
	if p.Patch == "" {
		return nil
	}
	docs, err := v.inline(field+".patch", p.Patch)
	if err != nil {
		return err
	}
	v.hidden.patch(p.Target, docs)
	text, err := canonical(docs)
	p.Patch = string(text)
	return err
}

// patchOrFile looks at an entry that is either a patch or the name of a file with one.
func (v *visit) patchOrFile(field, entry string) (string, error) {
	docs, isText, err := v.textOrFile(field, entry)
	if err != nil {
		return entry, err
	}
	if !isText {
		return v.yaml(field, entry)
	}
	v.hidden.secrets(docs)
	text, err := canonical(docs)
	return string(text), err
}

// textOrFile tells YAML that stands in a field from the name of a file with it, as kustomize does: by trying.
// A text with a line break is no name.
func (v *visit) textOrFile(field, entry string) (docs []document, isText bool, err error) {
	docs, err = v.inline(field, entry)
	if strings.Contains(entry, "\n") {
		return docs, true, err
	}
	if err != nil || len(docs) != 1 || !composite(docs[0].Value) {
		return nil, false, nil //nolint:nilerr // what is no patch is the name of a file
	}
	return docs, true, nil
}

func composite(value any) bool {
	switch value.(type) {
	case map[string]any, []any:
		return true
	default:
		return false
	}
}

// inline parses YAML that stands in a field.
func (v *visit) inline(field, text string) ([]document, error) {
	docs, err := parse(v.file, []byte(text), v.tree.limits)
	for _, e := range List(err) {
		e.Field = field
		if e.Line > 0 {
			e.Message = fmt.Sprintf("line %d of this text: %s", e.Line, e.Message)
			e.Line = 0
		}
	}
	return docs, err
}

func (v *visit) replacements(list []types.ReplacementField) error {
	for i, r := range list {
		if r.Path == "" {
			continue
		}
		if _, err := v.yaml(fmt.Sprintf("replacements[%d].path", i), r.Path); v.collect(err) != nil {
			return err
		}
	}
	return nil
}
