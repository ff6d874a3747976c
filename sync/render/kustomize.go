package render

import (
	"fmt"
	"path"
	"strings"
	"sync"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/openapi"
)

const originAnnotation = "config.kubernetes.io/origin"

// oneBuild lets one kustomize build run at a time. kustomize keeps one OpenAPI schema for the whole process
// and swaps it during a build (kustomize#4824, #5805), so the lock has to be as global as what it protects.
var oneBuild sync.Mutex //nolint:gochecknoglobals // it protects kustomize's own global

func kustomizationNames() []string {
	return []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}
}

// kustomization builds a directory with kustomize, from nothing but the files that the scan has reached,
// checked and rewritten.
func (t *tree) kustomization(dir string) ([]declaration, error) {
	s := newScan(t, dir)
	if err := s.run(); err != nil {
		return nil, err
	}
	if s.empty {
		return nil, nil
	}
	resources, err := kustomize(s.files, dir)
	if err != nil {
		return nil, s.explain(err)
	}
	var all []declaration
	var errs Errors
	for _, r := range resources.Resources() {
		found, err := t.output(r, s)
		errs.add(err)
		all = append(all, found...)
	}
	if len(all) > t.limits.Objects {
		return nil, exceeded(s.file, "Objects", t.limits.Objects, len(all))
	}
	return all, errs.orNil()
}

// kustomize runs one build. Whatever it does wrong comes back as an error.
func kustomize(files fileSet, dir string) (resources resmap.ResMap, err error) {
	oneBuild.Lock()
	defer oneBuild.Unlock()
	// A schema that one repository brought must not reach the next build.
	openapi.ResetOpenAPI()
	defer openapi.ResetOpenAPI()
	defer func() {
		if p := recover(); p != nil {
			resources, err = nil, fmt.Errorf("kustomize panicked: %v", p)
		}
	}()
	options := &krusty.Options{
		Reorder:          krusty.ReorderOptionNone,
		LoadRestrictions: types.LoadRestrictionsNone, // the file set is the fence, and bases lie in ../base
		PluginConfig:     types.DisabledPluginConfig(),
	}
	return krusty.MakeKustomizer(options).Run(files, path.Join("/", dir))
}

// output turns what kustomize built into a declaration.
func (t *tree) output(r *resource.Resource, s *scan) ([]declaration, error) {
	source, generated := s.origin(r)
	if err := (&guard{file: source, limits: t.limits}).check(r.YNode(), 0); err != nil {
		return nil, err
	}
	value, err := (&resolver{file: source, explicit: true}).value(r.YNode())
	if err != nil {
		return nil, err
	}
	found, err := declarations([]document{{File: source, Value: value}})
	for i := range found {
		found[i].generated = generated && hashed(found[i].object.GetName())
		if !s.keepOrigin {
			dropAnnotation(found[i], originAnnotation)
		}
		dropAnnotation(found[i], sourceAnnotation)
	}
	return found, err
}

// origin returns the file that an object came from, and whether a generator of kustomize made it. An object that lost its
// mark, to a patch that replaced all annotations, comes from the kustomization that was built.
func (s *scan) origin(r *resource.Resource) (file string, generated bool) {
	if !s.plugins {
		mark := r.GetAnnotations()[sourceAnnotation]
		if file, generated = strings.CutPrefix(mark, generatedMark); mark != "" {
			return file, generated
		}
		return s.file, false
	}
	o, err := r.GetOrigin()
	if err != nil || o == nil {
		return s.root, false
	}
	if o.ConfiguredIn != "" {
		kind := o.ConfiguredBy.Kind
		return path.Join(s.root, o.ConfiguredIn), kind == "ConfigMapGenerator" || kind == "SecretGenerator"
	}
	return path.Join(s.root, o.Path), false
}

func dropAnnotation(d declaration, name string) {
	annotations := d.object.GetAnnotations()
	if _, has := annotations[name]; !has {
		return
	}
	delete(annotations, name)
	if len(annotations) == 0 {
		annotations = nil
	}
	d.object.SetAnnotations(annotations)
}

// longestMessage is how much of an error of kustomize is shown, which may hold whole patches.
const longestMessage = 1000

// explain turns an error of kustomize into ours.
func (s *scan) explain(err error) *Error {
	message := strings.TrimSpace(err.Error())
	if len(message) > longestMessage {
		message = message[:longestMessage] + "…"
	}
	reason := BuildFailed
	if strings.Contains(message, "already registered id") {
		reason = DuplicateObject
	}
	if s.hidden.betrayed(message) {
		message = "it fails, and what it says quotes a Secret, so it is not shown here: run kustomize build"
	}
	return &Error{Reason: reason, File: s.file, Message: "kustomize: " + message}
}
