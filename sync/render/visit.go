package render

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"sigs.k8s.io/kustomize/api/types"

	"github.com/rollcall-dev/rollcall/sync/render/sops"
)

// rawSuffix names the verbatim copy of a file in the file set, beside the canonical form of the same file.
const rawSuffix = "#raw"

// visit is the look at one kustomization file: each field that can name a file, a directory, a URL or a
// program. It rewrites the fields that hold YAML as text, and those whose files are read verbatim.
type visit struct {
	*scan
	dir  string
	file string
	// direct are the objects that the resources field names as files, and the file of each.
	direct []declaration
}

// kustomization returns an error only when a limit is reached; all else is collected.
func (v *visit) kustomization(k *types.Kustomization) error {
	v.helm(k)
	v.selectors(k)
	steps := []func() error{
		func() error { return v.each("resources", k.Resources, v.resource) },
		func() error { return v.each("bases", k.Bases, v.base) }, //nolint:staticcheck // deprecated, and in people's kustomizations
		func() error { return v.each("components", k.Components, v.base) },
		func() error { return v.each("crds", k.Crds, v.yaml) },
		func() error { return v.each("configurations", k.Configurations, v.yaml) },
		func() error { return v.each("generators", k.Generators, v.plugin) },
		func() error { return v.each("transformers", k.Transformers, v.plugin) },
		func() error { return v.each("validators", k.Validators, v.plugin) },
		func() error { return v.openAPI(k.OpenAPI) },
		func() error { return v.patches(k) },
		func() error { return v.replacements(k.Replacements) },
		func() error { return v.configMaps(k.ConfigMapGenerator) },
		func() error { return v.secrets(k.SecretGenerator) },
	}
	for _, step := range steps {
		if err := v.collect(step()); err != nil {
			return err
		}
	}
	v.errs.add(unique(v.direct))
	return nil
}

// collect keeps an error, and returns it only when the build can afford nothing more.
func (v *visit) collect(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, LimitExceeded) {
		return err
	}
	v.errs.add(err)
	return nil
}

// each looks at the entries of one field and puts back what look made of them.
func (v *visit) each(field string, entries []string, look func(field, entry string) (string, error)) error {
	for i, entry := range entries {
		looked, err := look(fmt.Sprintf("%s[%d]", field, i), entry)
		if err := v.collect(err); err != nil {
			return err
		}
		entries[i] = looked
	}
	return nil
}

// selectors notes what is written into selectors.
func (v *visit) selectors(k *types.Kustomization) {
	if labels := k.CommonLabels; len(labels) > 0 { //nolint:staticcheck // deprecated, and in people's kustomizations
		v.tree.selectors = append(v.tree.selectors, selectorLabels{v.file, "commonLabels", labels})
	}
	for i, l := range k.Labels {
		if l.IncludeSelectors {
			v.tree.selectors = append(v.tree.selectors, selectorLabels{v.file, fmt.Sprintf("labels[%d]", i), l.Pairs})
		}
	}
}

func (v *visit) helm(k *types.Kustomization) {
	for _, f := range []struct {
		name string
		used bool
	}{
		{"helmCharts", len(k.HelmCharts) > 0},
		{"helmGlobals", k.HelmGlobals != nil},
		{"helmChartInflationGenerator", len(k.HelmChartInflationGenerator) > 0},
	} {
		if f.used {
			v.errs.add(v.remote(f.name, "Helm charts are fetched and rendered by a program, and nothing is executed here: "+
				"commit the output of helm template"))
		}
	}
}

// remote is the refusal of a field that would fetch or execute something.
func (v *visit) remote(field, message string) *Error {
	return &Error{Reason: RemoteResource, File: v.file, Field: field, Message: message}
}

// local resolves an entry that names a file or directory of the tree. It refuses more than kustomize would
// fetch: everything with a colon, a user@ or github.com at its start may be a URL to one of its parsers.
func (v *visit) local(field, entry string) (string, error) {
	lower := strings.ToLower(entry)
	user, _, hasUser := strings.Cut(lower, "@")
	switch {
	case strings.Contains(entry, ":"), strings.Contains(entry, "?"), strings.HasPrefix(lower, "github.com"),
		hasUser && !strings.Contains(user, "/"):
		return "", v.remote(field, fmt.Sprintf("%q is not in this repository, and a build fetches nothing: commit a copy of it", shown(entry)))
	case entry == "" || strings.ContainsAny(entry, "\n\\\x00"):
		return "", v.failed(field, fmt.Sprintf("%q is not the name of a file", shown(entry)))
	case path.IsAbs(entry):
		return "", v.failed(field, fmt.Sprintf("%q is absolute: name it relative to the kustomization file", entry))
	}
	name := path.Join(v.dir, entry)
	if name == ".." || strings.HasPrefix(name, "../") {
		return "", v.failed(field, fmt.Sprintf("%q lies outside the repository", entry))
	}
	return name, nil
}

func (v *visit) failed(field, message string) *Error {
	return &Error{Reason: BuildFailed, File: v.file, Field: field, Message: message}
}

// shown cuts the query from what may be a URL and bounds its length: either may hold a secret.
func shown(entry string) string {
	entry, _, _ = strings.Cut(entry, "?")
	if scheme, rest, ok := strings.Cut(entry, "://"); ok {
		if _, host, hasUser := strings.Cut(rest, "@"); hasUser {
			entry = scheme + "://" + host
		}
	}
	const longest = 200
	if len(entry) > longest {
		return entry[:longest] + "…"
	}
	return entry
}

// existing resolves an entry and says whether it is a directory.
func (v *visit) existing(field, entry string) (name string, isDir bool, err error) {
	if name, err = v.local(field, entry); err != nil {
		return "", false, err
	}
	mode, ok, err := v.tree.fileType(name)
	if err != nil {
		return "", false, err
	}
	if !ok {
		return "", false, v.failed(field, fmt.Sprintf("%s does not exist in this commit: correct the name, or add the file", name))
	}
	if mode != 0 && !mode.IsDir() {
		return "", false, v.tree.irregular(name, mode)
	}
	return name, mode.IsDir(), nil
}

// fileName resolves an entry that must be a file.
func (v *visit) fileName(field, entry string) (string, error) {
	name, isDir, err := v.existing(field, entry)
	if err == nil && isDir {
		err = v.failed(field, fmt.Sprintf("%s is a directory: name a file", name))
	}
	return name, err
}

// resource looks at an entry that is a file of objects or another kustomization.
func (v *visit) resource(field, entry string) (string, error) {
	name, isDir, err := v.existing(field, entry)
	if err != nil {
		return entry, err
	}
	if isDir {
		return entry, v.directory(name)
	}
	docs, err := v.parsed(name)
	if err != nil {
		return entry, err
	}
	text, err := canonical(marked(docs))
	if err != nil {
		return entry, v.failed(field, err.Error())
	}
	v.files[path.Join("/", name)] = text
	found, err := declarations(withoutLocalConfig(docs))
	v.direct = append(v.direct, found...)
	if v.objects += len(found); v.objects > v.tree.limits.Objects {
		return entry, exceeded(v.file, "Objects", v.tree.limits.Objects, v.objects)
	}
	return entry, err
}

// withoutLocalConfig leaves out the documents that kustomize reads for itself and never puts out.
func withoutLocalConfig(docs []document) []document {
	var kept []document
	for _, d := range docs {
		object, _ := d.Value.(map[string]any)
		if local, set := child(object, "metadata", "annotations")["config.kubernetes.io/local-config"]; !set || local == "false" {
			kept = append(kept, d)
		}
	}
	return kept
}

// base looks at an entry that is another kustomization.
func (v *visit) base(field, entry string) (string, error) {
	name, isDir, err := v.existing(field, entry)
	if err != nil {
		return entry, err
	}
	if !isDir {
		return entry, v.failed(field, fmt.Sprintf("%s is a file: name the directory of a kustomization", name))
	}
	return entry, v.directory(name)
}

// yaml looks at an entry that is a YAML file.
func (v *visit) yaml(field, entry string) (string, error) {
	name, err := v.fileName(field, entry)
	if err != nil {
		return entry, err
	}
	_, err = v.parsed(name)
	return entry, err
}

// raw looks at an entry that is a file to be taken as it is.
// Only what goes into a Secret is decrypted.
func (v *visit) raw(field, entry string) (string, []byte, error) {
	name, err := v.fileName(field, entry)
	if err != nil {
		return entry, nil, err
	}
	data, err := v.tree.content(name)
	if err != nil {
		return entry, nil, err
	}
	if sops.Encrypted(name, data) {
		if !strings.HasPrefix(field, "secretGenerator") {
			return entry, nil, v.failed(field, fmt.Sprintf("%s is encrypted with sops, and a ConfigMap hides nothing: use a secretGenerator", name))
		}
		if data, err = v.tree.decrypted(name, data); err != nil {
			return entry, nil, err
		}
	}
	if strings.HasPrefix(field, "secretGenerator") {
		v.hidden.lines(data)
	}
	v.files[path.Join("/", name)+rawSuffix] = data
	return entry + rawSuffix, data, nil
}
