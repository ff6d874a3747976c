package sync

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// dependencies are the GitSyncs that come before one, in its order.
func dependencies(gs *v1alpha1.GitSync) []types.NamespacedName {
	var out []types.NamespacedName
	for _, d := range gs.Spec.DependsOn {
		out = append(out, types.NamespacedName{Namespace: cmp.Or(d.Namespace, gs.Namespace), Name: d.Name})
	}
	return out
}

// unfulfillable says what no waiting helps against: a circle, or a dependency that
// does not exist; nil when there is neither.
func unfulfillable(gs *v1alpha1.GitSync, find func(types.NamespacedName) *v1alpha1.GitSync) *hold {
	if circle := cycle(gs, find); circle != nil {
		return &hold{reason: ReasonDependencyCycle, stalled: true,
			message: fmt.Sprintf("spec.dependsOn goes in a circle, so that no new commit of any of these is applied: %s: take one of them out", arrows(circle))}
	}
	for _, key := range dependencies(gs) {
		if find(key) == nil {
			return &hold{reason: ReasonDependencyNotFound, stalled: true,
				message: fmt.Sprintf("GitSync %s, which spec.dependsOn names, does not exist, so that no new commit is applied: create it, or correct spec.dependsOn", key)}
		}
	}
	return nil
}

// cycle is the way along dependencies from a GitSync back to itself, with it at
// both ends; nil when there is none.
func cycle(gs *v1alpha1.GitSync, find func(types.NamespacedName) *v1alpha1.GitSync) []types.NamespacedName {
	start, visited := name(gs), map[types.NamespacedName]bool{}
	var back func(at *v1alpha1.GitSync) []types.NamespacedName
	back = func(at *v1alpha1.GitSync) []types.NamespacedName {
		for _, key := range dependencies(at) {
			if key == start {
				return []types.NamespacedName{key}
			}
			if visited[key] {
				continue
			}
			visited[key] = true
			if next := find(key); next != nil {
				if way := back(next); way != nil {
					return slices.Insert(way, 0, key)
				}
			}
		}
		return nil
	}
	if way := back(gs); way != nil {
		return slices.Insert(way, 0, start)
	}
	return nil
}

func arrows(way []types.NamespacedName) string {
	names := make([]string, len(way))
	for i, key := range way {
		names[i] = key.String()
	}
	return strings.Join(names, " → ")
}

// unfulfilled says which dependency a commit waits for, and why; nil when it waits
// for none.
func unfulfilled(gs *v1alpha1.GitSync, commit string, find func(types.NamespacedName) *v1alpha1.GitSync) *hold {
	for i, key := range dependencies(gs) {
		dependency := find(key)
		why, unread := unready(dependency, gs, commit)
		if why == "" {
			continue
		}
		h := &hold{reason: ReasonDependencyNotReady, message: fmt.Sprintf("commit %s waits for GitSync %s, which %s (%d of %d dependencies)", short(commit), key, why, i+1, len(gs.Spec.DependsOn))}
		if unread && !dependency.Spec.Suspend {
			h.asks = key
		}
		return h
	}
	return nil
}

// unready is why a dependency does not let a commit go on, and whether that is
// because it has not read that commit; empty when it does.
func unready(dependency, gs *v1alpha1.GitSync, commit string) (why string, unread bool) {
	s, ready := dependency.Status, readyCondition(dependency)
	because := ""
	if ready != nil {
		because = fmt.Sprintf(" (%s)", ready.Reason)
	}
	switch {
	case dependency.DeletionTimestamp != nil:
		return "is being deleted", false
	case s.ObservedGeneration != dependency.Generation:
		return "has not been looked at since it was changed", false
	case s.Fetched == nil:
		return "has read no commit yet" + because, false
	case sameRef(placeOf(gs), placeOf(dependency)) && s.Fetched.Commit != commit:
		return fmt.Sprintf("follows the same repository and ref and has not read this commit (but %s)%s", short(s.Fetched.Commit), because), true
	case s.Proven != s.Fetched.Commit:
		return fmt.Sprintf("has not proven commit %s%s", short(s.Fetched.Commit), because), false
	case ready == nil || ready.Status != metav1.ConditionTrue:
		return "is not Ready" + because, false
	default:
		return "", false
	}
}

// dependents are the GitSyncs that name one in their dependsOn.
func (c *Controller) dependents(of *v1alpha1.GitSync) []types.NamespacedName {
	var out []types.NamespacedName
	for _, o := range c.syncs.List() {
		if gs := o.(*v1alpha1.GitSync); slices.Contains(dependencies(gs), name(of)) {
			out = append(out, name(gs))
		}
	}
	slices.SortFunc(out, compareNames)
	return out
}

// lets is what of a GitSync those that depend on it go by.
type lets struct {
	generation, observed    int64
	deleted                 bool
	fetched, proven, reason string
	ready                   metav1.ConditionStatus
}

func letsOf(gs *v1alpha1.GitSync) lets {
	out := lets{generation: gs.Generation, observed: gs.Status.ObservedGeneration, deleted: gs.DeletionTimestamp != nil, proven: gs.Status.Proven}
	if f := gs.Status.Fetched; f != nil {
		out.fetched = f.Commit
	}
	if ready := readyCondition(gs); ready != nil {
		out.reason, out.ready = ready.Reason, ready.Status
	}
	return out
}
