package render

import (
	"bufio"
	"bytes"
	"fmt"
	"path"
	"strings"
	"unicode/utf8"

	"sigs.k8s.io/kustomize/api/types"
)

func (v *visit) configMaps(list []types.ConfigMapArgs) error {
	for i := range list {
		if err := v.generator(fmt.Sprintf("configMapGenerator[%d]", i), &list[i].GeneratorArgs); err != nil {
			return err
		}
	}
	return nil
}

func (v *visit) secrets(list []types.SecretArgs) error {
	for i := range list {
		if err := v.generator(fmt.Sprintf("secretGenerator[%d]", i), &list[i].GeneratorArgs); err != nil {
			return err
		}
	}
	return nil
}

// generator looks at the sources of one generated object. The literals and the lines of env files are checked
// here because kustomize puts what it cannot read into its error, and it may be a secret.
func (v *visit) generator(field string, args *types.GeneratorArgs) error {
	if v.objects++; v.objects > v.tree.limits.Objects {
		return exceeded(v.file, "Objects", v.tree.limits.Objects, v.objects)
	}
	markGenerated(args, v.file)
	for i, literal := range args.LiteralSources {
		if strings.HasPrefix(field, "secretGenerator") {
			v.hidden.lines([]byte(literal))
		}
		if k, _, ok := strings.Cut(literal, "="); !ok || k == "" {
			v.errs.add(v.failed(fmt.Sprintf("%s.literals[%d]", field, i), "a literal is written key=value"))
		}
	}
	if err := v.each(field+".files", args.FileSources, v.fileSource); err != nil {
		return err
	}
	if err := v.each(field+".envs", args.EnvSources, v.envSource); err != nil {
		return err
	}
	if args.EnvSource == "" {
		return nil
	}
	looked, err := v.envSource(field+".env", args.EnvSource)
	args.EnvSource = looked
	return v.collect(err)
}

func (v *visit) fileSource(field, entry string) (string, error) {
	name, file, hasKey := strings.Cut(entry, "=")
	if !hasKey {
		name, file = path.Base(entry), entry
	}
	looked, _, err := v.raw(field, file)
	return name + "=" + looked, err
}

func (v *visit) envSource(field, entry string) (string, error) {
	looked, data, err := v.raw(field, entry)
	if err != nil {
		return entry, err
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, bufio.MaxScanTokenSize) // the limit that kustomize has
	for n := 1; lines.Scan(); n++ {
		if !utf8.Valid(lines.Bytes()) {
			return looked, &Error{Reason: BuildFailed, File: path.Join(v.dir, entry), Line: n, Message: "this line is not UTF-8"}
		}
	}
	if lines.Err() != nil {
		return looked, &Error{Reason: BuildFailed, File: path.Join(v.dir, entry), Message: "a line of an env file is limited to 64 KiB"}
	}
	return looked, nil
}
