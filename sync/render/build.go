package render

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
)

// Build reads the path of the tree and returns what it declares, with the configuration of its DaemonSets
// pinned. A path with a kustomization file is built by kustomize; any other is read as a plain directory:
// every *.yaml, *.yml and *.json below it that is not hidden.
//
// The error holds all that is wrong, as far as it can be told apart; List returns it piece by piece. A tree
// that declares no object is no error.
func Build(files fs.FS, o Options) (*Declared, error) {
	dir, err := cleanPath(o.Path)
	if err != nil {
		return nil, err
	}
	t := newTree(files, o.Limits.orDefaults())
	if t.selection, err = newSelection(o); err != nil {
		return nil, err
	}
	if t.keys, err = parseKeys(o.AgeKeys); err != nil {
		return nil, err
	}
	if err := t.directory(dir); err != nil {
		return nil, err
	}
	all, err := t.declarations(dir)
	if err != nil {
		return nil, err
	}
	if o.Substitute {
		if err := substitute(all, o, t.limits.TotalBytes); err != nil {
			return nil, err
		}
	}
	inNamespace(all, o.Namespace)
	if err := check(all); err != nil {
		return nil, err
	}
	declared, err := assemble(all)
	if err == nil {
		declared.Findings = lint(all, t.selectors)
	}
	return declared, err
}

// cleanPath accepts what can only name a directory inside the tree.
func cleanPath(p string) (string, error) {
	clean := path.Clean(p)
	if p == "" {
		clean = "."
	}
	if !fs.ValidPath(clean) {
		return "", &Error{Reason: PathNotFound, Message: fmt.Sprintf(
			"path %q is not inside the repository: write it relative to its root, without leading / or ..", p)}
	}
	return clean, nil
}

func (t *tree) declarations(dir string) ([]declaration, error) {
	for _, name := range kustomizationNames() {
		_, ok, err := t.fileType(path.Join(dir, name))
		if err != nil {
			return nil, err
		}
		if ok {
			return t.kustomization(dir)
		}
	}
	return t.plain(dir)
}

// assemble pins and sorts what has been checked.
func assemble(all []declaration) (*Declared, error) {
	p := newPinner(all)
	declared := &Declared{}
	for _, d := range all {
		if !isDaemonSet(d.object) {
			continue
		}
		ds, err := p.daemonSet(d)
		if err != nil {
			return nil, err
		}
		declared.DaemonSets = append(declared.DaemonSets, ds)
	}
	all = append(slices.Clone(all), p.copies...)
	if err := unique(all); err != nil {
		return nil, err
	}
	slices.SortFunc(all, compare)
	for _, d := range all {
		if !isDaemonSet(d.object) {
			declared.Objects = append(declared.Objects, Object{d.object, d.source})
		}
	}
	slices.SortFunc(declared.DaemonSets, func(a, b DaemonSet) int {
		return compare(declaration{object: a.Unstructured}, declaration{object: b.Unstructured})
	})
	return declared, nil
}
