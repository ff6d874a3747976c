package sync

import (
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/sync/render"
)

// inOrder has each DaemonSet behind those that it comes after: the rollout of one
// that is declared first must find what Git declares of them. Those of a cycle
// stay as they are; their rollouts say what is wrong.
func inOrder(all []render.DaemonSet) []render.DaemonSet {
	out := make([]render.DaemonSet, 0, len(all))
	visited := make([]bool, len(all))
	var visit func(i int)
	visit = func(i int) {
		if visited[i] {
			return
		}
		visited[i] = true
		for _, before := range comesAfter(all[i]) {
			if j := slices.IndexFunc(all, func(ds render.DaemonSet) bool { return keyOf(ds) == before }); j >= 0 {
				visit(j)
			}
		}
		out = append(out, all[i])
	}
	for i := range all {
		visit(i)
	}
	return out
}

func keyOf(ds render.DaemonSet) types.NamespacedName {
	return types.NamespacedName{Namespace: ds.GetNamespace(), Name: ds.GetName()}
}

func comesAfter(ds render.DaemonSet) []types.NamespacedName {
	return apply.After(ds.GetAnnotations(), ds.GetNamespace())
}

// declareInOrder declares one DaemonSet after the other, and none that comes after
// one that could not be declared: it would take that for what Git declares now.
func declareInOrder(all []render.DaemonSet, declare func(ds render.DaemonSet) error) error {
	var errs []error
	failed := map[types.NamespacedName]bool{}
	for _, ds := range inOrder(all) {
		var err error
		if i := slices.IndexFunc(comesAfter(ds), func(key types.NamespacedName) bool { return failed[key] }); i >= 0 {
			err = fmt.Errorf("DaemonSet %s waits: it comes after DaemonSet %s, which could not be declared", keyOf(ds), comesAfter(ds)[i])
		} else {
			err = declare(ds)
		}
		failed[keyOf(ds)] = err != nil
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
