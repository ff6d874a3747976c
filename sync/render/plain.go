package render

import (
	"fmt"
	"path"
	"slices"
)

// plain reads every manifest below a directory, in the order of the paths.
func (t *tree) plain(dir string) ([]declaration, error) {
	w := &walk{tree: t}
	if err := w.directory(dir, 0); err != nil {
		return nil, err
	}
	if len(w.errs) > 0 {
		return nil, w.errs
	}
	if len(w.found) == 0 {
		return nil, t.selection.emptied(dir)
	}
	return w.found, nil
}

// walk collects what is wrong with single files, and stops at what makes the rest unknowable.
type walk struct {
	tree  *tree
	found []declaration
	errs  Errors
}

func (w *walk) directory(dir string, depth int) error {
	if depth > w.tree.limits.Depth {
		return exceeded(dir, "Depth", w.tree.limits.Depth, depth)
	}
	entries, err := w.tree.list(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := path.Join(dir, entry.Name())
		switch {
		case hidden(entry.Name()), w.tree.selection.skips(name, entry.IsDir()):
		case entry.IsDir():
			err = w.directory(name, depth+1)
		case !entry.Type().IsRegular():
			w.errs.add(w.tree.irregular(name, entry.Type()))
		case depth > 0 && slices.Contains(kustomizationNames(), entry.Name()):
			w.errs.add(&Error{Reason: BuildFailed, File: name, Message: fmt.Sprintf(
				"a kustomization below a plain directory is not built: name %s in the resources of a kustomization.yaml "+
					"at the path, or make it the path", path.Dir(name))})
		case manifest(name):
			err = w.file(name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) file(name string) error {
	data, err := w.tree.content(name)
	if err != nil {
		return err
	}
	docs, err := w.tree.manifests(name, data)
	if err != nil {
		w.errs.add(err)
		return nil
	}
	found, err := declarations(docs)
	w.errs.add(err)
	w.found = append(w.found, found...)
	if len(w.found) > w.tree.limits.Objects {
		return exceeded(name, "Objects", w.tree.limits.Objects, len(w.found))
	}
	return nil
}

func manifest(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(name))
}
