package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/rollcall-dev/rollcall/diff"
)

// trial is what an apply would make of an object, as the API server says.
type trial struct {
	merged *unstructured.Unstructured
	// sides are what of it counts; nil for all of it.
	sides *diff.Sides
	// takenFrom are the managers whose fields it would take over, and letsGo the ignored fields that it would let go of.
	takenFrom []string
	letsGo    []diff.Pointer
	problem   *diff.Problem
}

// tryOut tries an apply. It writes nothing. Live is nil when there is no such object.
func (a *Applier) tryOut(ctx context.Context, t target, live *unstructured.Unstructured) (out trial, err error) {
	held, err := a.holds(t, live)
	if err != nil {
		return out, err
	}
	for _, h := range held {
		out.letsGo = append(out.letsGo, h.pointer)
	}
	probe := t
	probe.object = lent(t, held)
	applied, err := a.tryApply(ctx, probe, live, &out)
	if err != nil {
		return out, err
	}
	if out.merged = applied; len(a.taken(live)) > 0 {
		if out.merged, err = a.withoutTaken(ctx, t, live, applied); err != nil {
			return out, err
		}
	}
	if live != nil {
		if out.sides, err = (states{t.object, live, applied, out.merged}).sides(a.mine, paths(held)); err != nil {
			return out, err
		}
	}
	out.problem, err = a.undivided(t, applied)
	return out, err
}

// tryApply makes the dry-run, by force where all conflicts may be taken over.
func (a *Applier) tryApply(ctx context.Context, t target, live *unstructured.Unstructured, out *trial) (*unstructured.Unstructured, error) {
	if live == nil {
		applied, err := a.sendNew(ctx, t, true)
		if err == nil {
			applied.SetResourceVersion("") // of nothing that is stored
		}
		return applied, err
	}
	out.takenFrom = a.taken(live)
	// Without its version a controller's write in between would look like a change of ours.
	r := request{dryRun: true, resourceVersion: live.GetResourceVersion()}
	applied, err := a.send(ctx, t, r)
	if found := conflicts(err); len(found) > 0 && a.adoptable(found) {
		for _, c := range found {
			out.takenFrom = append(out.takenFrom, c.manager)
		}
		r.force = true
		applied, err = a.send(ctx, t, r)
	}
	slices.Sort(out.takenFrom)
	out.takenFrom = slices.Compact(out.takenFrom)
	return applied, err
}

// withoutTaken returns what an apply would make of an object after the takeover. A dry-run of the takeover cannot be
// followed by a dry-run of the apply, so this removes what would be left without an owner and has the API server say
// what it makes of that: it puts defaults back.
func (a *Applier) withoutTaken(ctx context.Context, t target, live, merged *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	owners, err := a.owners(merged)
	if err != nil {
		return nil, fmt.Errorf("read field managers of %s: %w", t, err)
	}
	want := merged.DeepCopy()
	if rest, ok := without(want.Object, owners).(map[string]any); ok {
		want.Object = rest
	}
	patch, err := json.Marshal(append(replacements(live, want),
		map[string]any{"op": "replace", "path": "/metadata/resourceVersion", "value": live.GetResourceVersion()}))
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", t, err)
	}
	return a.client(t).Patch(ctx, t.object.GetName(), types.JSONPatchType, patch, a.patchOptions(true))
}

// owners tells which fields only managers own from which rollcall takes over. Entries of another version than
// rollcall's are left alone, as csaupgrade leaves them: their fields may have other names.
func (a *Applier) owners(merged *unstructured.Unstructured) (ownership, error) {
	taken, kept := fieldpath.NewSet(), fieldpath.NewSet()
	for _, entry := range merged.GetManagedFields() {
		fields, err := fieldsOf(entry)
		if err != nil {
			return ownership{}, err
		}
		switch {
		case a.takes(entry) && entry.APIVersion == merged.GetAPIVersion():
			taken = taken.Union(fields)
		case !a.takes(entry) || entry.Operation != metav1.ManagedFieldsOperationUpdate:
			kept = kept.Union(fields)
		}
	}
	return ownership{lost: taken.Difference(kept), kept: kept}, nil
}

// replacements are the operations of a JSON patch that make live into want, whole top-level fields at a time.
func replacements(live, want *unstructured.Unstructured) []map[string]any {
	out := replaced("", live.Object, want.Object, []string{"apiVersion", "kind", "metadata", "status"})
	metadata := func(o *unstructured.Unstructured) map[string]any {
		m, _ := o.Object["metadata"].(map[string]any)
		return m
	}
	return append(out, replaced("/metadata", metadata(live), metadata(want), []string{
		"name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "managedFields", "selfLink",
	})...)
}

func replaced(path string, from, to map[string]any, but []string) []map[string]any {
	var out []map[string]any
	for _, key := range sortedKeys(from) {
		if _, stays := to[key]; !stays && !slices.Contains(but, key) {
			out = append(out, map[string]any{"op": "remove", "path": path + "/" + key})
		}
	}
	for _, key := range sortedKeys(to) {
		if !slices.Contains(but, key) && !equality.Semantic.DeepEqual(from[key], to[key]) {
			out = append(out, map[string]any{"op": "add", "path": path + "/" + key, "value": to[key]})
		}
	}
	return out
}
