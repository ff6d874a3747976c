package render

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
)

// scan follows a kustomization to every file that it reaches, before kustomize sees any of them. It refuses
// what would fetch or execute something (kustomize's HTTP client cannot be turned off, and an in-memory file
// system is no fence: 9 of 10 fields still made requests), bounds what the build can expand to, and collects
// the files in canonical form: kustomize then builds from these alone.
type scan struct {
	tree *tree
	root string
	// file is the kustomization file of the root.
	file  string
	files fileSet
	// docs are the YAML files that were parsed.
	docs map[string][]document
	// hidden are what no message may quote.
	hidden secretTexts
	// stack are the directories being visited, outermost first.
	stack []string

	kustomizations int
	objects        int
	empty          bool
	// plugins is whether there are generators of the field of that name, whose objects nothing here marks.
	plugins    bool
	keepOrigin bool
	errs       Errors
}

func newScan(t *tree, root string) *scan {
	return &scan{tree: t, root: root, files: fileSet{}, docs: map[string][]document{}, hidden: secretTexts{}}
}

func (s *scan) run() error {
	if err := s.directory(s.root); err != nil {
		s.errs.add(err)
	}
	return s.errs.orNil()
}

// directory visits one kustomization. A base that is used twice is visited twice, as kustomize builds it
// twice; the limits bound that. The error is one that makes the rest not worth looking at.
func (s *scan) directory(dir string) error {
	if slices.Contains(s.stack, dir) {
		return &Error{Reason: BuildFailed, File: s.file, Message: fmt.Sprintf(
			"the kustomizations refer to each other in a circle: %s", strings.Join(append(slices.Clone(s.stack), dir), " → "))}
	}
	if s.kustomizations++; s.kustomizations > s.tree.limits.Kustomizations {
		return exceeded(dir, "Kustomizations", s.tree.limits.Kustomizations, s.kustomizations)
	}
	file, err := s.kustomizationFile(dir)
	if err != nil {
		return err
	}
	k, err := s.decode(file)
	if err != nil {
		return err
	}
	if dir == s.root {
		s.file = file
		s.empty = k.CheckEmpty() != nil
		s.keepOrigin = slices.Contains(k.BuildMetadata, types.OriginAnnotations)
	}
	s.plugins = s.plugins || len(k.Generators) > 0
	s.stack = append(s.stack, dir)
	defer func() { s.stack = s.stack[:len(s.stack)-1] }()
	v := &visit{scan: s, dir: dir, file: file}
	if err := v.kustomization(k); err != nil {
		return err
	}
	return s.rewrite(dir, file, k)
}

// rewrite keeps a kustomization that was visited, as it is to be built.
func (s *scan) rewrite(dir, file string, k *types.Kustomization) error {
	if dir == s.root && s.plugins && !s.keepOrigin {
		k.BuildMetadata = append(k.BuildMetadata, types.OriginAnnotations)
	}
	if k.MetaData == nil && k.CheckEmpty() == nil {
		k.MetaData = &types.ObjectMeta{Name: "written-again"} // empty lists are lost on the way, and then it would be empty
	}
	k.FixKustomization()
	text, err := json.Marshal(k)
	if err != nil {
		return &Error{Reason: BuildFailed, File: file, Message: fmt.Sprintf("encode kustomization: %v", err), Err: err}
	}
	s.files[path.Join("/", file)] = text
	return nil
}

// kustomizationFile finds the one kustomization file of a directory.
func (s *scan) kustomizationFile(dir string) (string, error) {
	var found []string
	for _, name := range kustomizationNames() {
		file := path.Join(dir, name)
		_, ok, err := s.tree.fileType(file)
		if err != nil {
			return "", err
		}
		if ok {
			found = append(found, file)
		}
	}
	if len(found) != 1 {
		return "", &Error{Reason: BuildFailed, File: dir, Message: fmt.Sprintf(
			"a kustomization needs exactly one kustomization.yaml in its directory, and this one has %d", len(found))}
	}
	return found[0], nil
}

func (s *scan) decode(file string) (*types.Kustomization, error) {
	data, err := s.tree.content(file)
	if err != nil {
		return nil, err
	}
	docs, err := parse(file, data, s.tree.limits)
	if err != nil {
		return nil, err
	}
	k := &types.Kustomization{}
	switch len(docs) {
	case 0:
	case 1:
		text, err := canonical(docs)
		if err != nil {
			return nil, &Error{Reason: BuildFailed, File: file, Message: err.Error(), Err: err}
		}
		if err := k.Unmarshal(text); err != nil {
			return nil, &Error{Reason: BuildFailed, File: file, Message: err.Error(), Err: err}
		}
	default:
		return nil, &Error{Reason: BuildFailed, File: file, Line: docs[1].Line,
			Message: "a kustomization is one YAML document: remove the others"}
	}
	return k, nil
}

// parsed reads a YAML file once and keeps its canonical form for the build.
func (s *scan) parsed(name string) ([]document, error) {
	if docs, ok := s.docs[name]; ok {
		return docs, nil
	}
	data, err := s.tree.content(name)
	if err != nil {
		return nil, err
	}
	docs, err := s.tree.manifests(name, data)
	if err != nil {
		return nil, err
	}
	text, err := canonical(docs)
	if err != nil {
		return nil, &Error{Reason: BuildFailed, File: name, Message: err.Error(), Err: err}
	}
	s.docs[name] = docs
	s.hidden.secrets(docs)
	s.files[path.Join("/", name)] = text
	return docs, nil
}
