package render

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// LintIgnoreAnnotation on an object names the concerns that are not to be found about it, separated by commas.
const LintIgnoreAnnotation = "rollcall.dev/lint-ignore"

// Concern says what is doubtful. The set is closed and each value is fit for a metric label.
type Concern string

const (
	// SelectorLabels is a kustomization that writes labels into selectors, which can never be changed.
	SelectorLabels Concern = "SelectorLabels"
	// FloatingImage is an image whose tag is latest or missing: what runs is not what was proven.
	FloatingImage Concern = "FloatingImage"
	// NoRequests is a container that asks for no CPU or no memory.
	NoRequests Concern = "NoRequests"
	// NoReadinessProbe is a DaemonSet whose pods are Ready as soon as they run, which proves nothing.
	NoReadinessProbe Concern = "NoReadinessProbe"
	// UpdateStrategyReplaced is a field of the update strategy that rollcall puts its own in the place of.
	UpdateStrategyReplaced Concern = "UpdateStrategyReplaced"
	// HostPortSurge is a pod that wants a port of its node and that two of are to stand side by side.
	HostPortSurge Concern = "HostPortSurge"
	// DuplicateKey is a list with two elements of one key: the API server takes it once, and refuses every apply after.
	DuplicateKey Concern = "DuplicateKey"
)

// Finding is something doubtful in what is declared. It stops nothing.
type Finding struct {
	Concern Concern
	// File is relative to the root of the repository.
	File string
	// Object is "Kind namespace/name".
	Object string
	// Message says what it is and the way out.
	Message string
}

// selectorLabels are labels that a kustomization file writes into selectors, and the field that says so.
type selectorLabels struct {
	file, field string
	labels      map[string]string
}

// lint finds what is doubtful in objects that have been checked, sorted by object.
func lint(all []declaration, selectors []selectorLabels) []Finding {
	var out []Finding
	for _, d := range all {
		l := &linter{of: d, ignored: strings.Split(d.object.GetAnnotations()[LintIgnoreAnnotation], ",")}
		switch {
		case isDaemonSet(d.object):
			l.daemonSet(selectors)
		case d.object.GetKind() == "Service":
			ports, _, _ := unstructured.NestedSlice(d.object.Object, "spec", "ports")
			l.keys("spec.ports", ports, "port", "protocol")
		default:
			l.workload()
		}
		out = append(out, l.found...)
	}
	slices.SortStableFunc(out, func(a, b Finding) int { return cmp.Compare(a.Object, b.Object) })
	return out
}

// linter looks at one object.
type linter struct {
	of      declaration
	ignored []string
	found   []Finding
}

func (l *linter) find(c Concern, message string) {
	if slices.ContainsFunc(l.ignored, func(name string) bool { return strings.TrimSpace(name) == string(c) }) {
		return
	}
	l.found = append(l.found, Finding{Concern: c, File: l.of.source, Object: title(l.of.object.Object), Message: message})
}

func (l *linter) daemonSet(selectors []selectorLabels) {
	ds, errs := strictly[appsv1.DaemonSet](l.of)
	if len(errs) > 0 {
		return
	}
	l.selectors(ds, selectors)
	pod := ds.Spec.Template.Spec
	for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
		l.image(c)
		l.requests(c)
	}
	if !slices.ContainsFunc(pod.Containers, func(c corev1.Container) bool { return c.ReadinessProbe != nil }) {
		l.find(NoReadinessProbe, "no container has a readinessProbe, so that its pods are Ready once they run, and waves pass on that alone: add one that fails when the agent does not work")
	}
	l.strategy(ds)
}

func (l *linter) selectors(ds *appsv1.DaemonSet, selectors []selectorLabels) {
	for _, s := range selectors {
		for _, name := range slices.Sorted(maps.Keys(s.labels)) {
			if ds.Spec.Selector.MatchLabels[name] != s.labels[name] {
				continue
			}
			l.find(SelectorLabels, fmt.Sprintf("%s: %s writes %s into the selector, which cannot be changed while the DaemonSet exists: use labels with includeSelectors: false and includeTemplates: true", s.file, s.field, name))
			break
		}
	}
}

func (l *linter) image(c corev1.Container) {
	image, _, pinned := strings.Cut(c.Image, "@")
	name := image[strings.LastIndexByte(image, '/')+1:]
	_, tag, tagged := strings.Cut(name, ":")
	switch {
	case pinned || c.Image == "":
	case !tagged:
		l.find(FloatingImage, fmt.Sprintf("container %s: the image %s has no tag, which is latest, so that a node may run another one than was proven: name a version, or a digest", c.Name, c.Image))
	case tag == "latest":
		l.find(FloatingImage, fmt.Sprintf("container %s: the tag of %s moves, so that a node may run another image than was proven: name a version, or a digest", c.Name, c.Image))
	}
}

func (l *linter) requests(c corev1.Container) {
	var missing []string
	for _, resource := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		_, requested := c.Resources.Requests[resource]
		_, limited := c.Resources.Limits[resource] // a limit is the request, too
		if !requested && !limited {
			missing = append(missing, string(resource))
		}
	}
	if len(missing) > 0 {
		l.find(NoRequests, fmt.Sprintf("container %s requests no %s, so that its node may be too full for it and evicts it first: set resources.requests", c.Name, strings.Join(missing, " and no ")))
	}
}

// strategy is about a DaemonSet whose pods rollcall moves.
func (l *linter) strategy(ds *appsv1.DaemonSet) {
	if ds.Annotations["rollcall.dev/rollout"] == "native" || ds.Spec.UpdateStrategy.RollingUpdate == nil {
		return
	}
	surge := ds.Spec.UpdateStrategy.RollingUpdate.MaxSurge
	if surge == nil || surge.String() == "0" || surge.String() == "0%" {
		return
	}
	l.find(UpdateStrategyReplaced, "spec.updateStrategy.rollingUpdate.maxSurge is not used: the RolloutPolicy says how a pod is replaced (replace: surge); remove the field")
	for _, c := range ds.Spec.Template.Spec.Containers {
		for _, p := range c.Ports {
			if p.HostPort > 0 || ds.Spec.Template.Spec.HostNetwork {
				l.find(HostPortSurge, fmt.Sprintf("container %s has port %d of its node, which two pods cannot have at once: use replace: delete, and no maxSurge", c.Name, max(p.HostPort, p.ContainerPort)))
				return
			}
		}
	}
}

// workload looks at the lists of other objects that have pods. What is wrong with those of a DaemonSet is an error.
func (l *linter) workload() {
	for _, path := range [][]string{{"spec"}, {"spec", "template", "spec"}, {"spec", "jobTemplate", "spec", "template", "spec"}} {
		pod := child(l.of.object.Object, path...)
		for _, list := range []string{"initContainers", "containers"} {
			for _, c := range children(pod, list) {
				field := fmt.Sprintf("%s.%s[name=%v].", strings.Join(path, "."), list, c["name"])
				env, _ := c["env"].([]any)
				l.keys(field+"env", env, "name")
				ports, _ := c["ports"].([]any)
				l.keys(field+"ports", ports, "containerPort", "protocol")
			}
		}
	}
}

// keys finds two elements of a list that have the same key.
func (l *linter) keys(field string, list []any, names ...string) {
	key := twice(list, func(element any) string {
		object, _ := element.(map[string]any)
		var parts []string
		for _, name := range names {
			value := object[name]
			if value == nil && name == "protocol" {
				value = "TCP"
			}
			parts = append(parts, fmt.Sprintf("%s %v", name, value))
		}
		return strings.Join(parts, " and ")
	})
	if key != "" {
		l.find(DuplicateKey, fmt.Sprintf("%s: two elements have the %s, and the API server refuses every apply after the first: keep one of them", field, key))
	}
}
