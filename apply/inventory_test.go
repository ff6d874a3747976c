package apply

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func TestInventory(t *testing.T) {
	t.Parallel()
	id := diff.ID{Namespace: "agents", Name: "x", Kind: "ConfigMap"}
	entry := v1alpha1.InventoryEntry{ID: "agents_x__ConfigMap", Version: "v1"}
	cases := map[string]struct {
		was       bool
		declared  bool
		operation diff.Operation
		done      Done
		reason    string
		want      bool
	}{
		"what will be created is listed before it is": {declared: true, operation: diff.Create, want: true},
		"what is as it should be stays listed":        {was: true, declared: true, operation: diff.Unchanged, want: true},
		"what is adopted comes into the list":         {declared: true, operation: diff.Update, want: true},
		"what is refused does not come into the list": {declared: true, operation: diff.Refused},
		"nor leave it":                                         {was: true, declared: true, operation: diff.Refused, want: true},
		"what is in conflict stays as it was":                  {was: true, declared: true, operation: diff.Conflict, want: true},
		"what another GitSync owns is not listed":              {was: true, declared: true, operation: diff.Foreign},
		"what is kept stays":                                   {was: true, operation: diff.Keep, want: true},
		"what is withheld stays":                               {was: true, operation: diff.Keep, done: Withheld, reason: diff.ReasonInUse, want: true},
		"what will be deleted stays until it is":               {was: true, operation: diff.Delete, want: true},
		"what is deleted goes":                                 {was: true, operation: diff.Delete, done: Deleted},
		"what could not be deleted stays":                      {was: true, operation: diff.Delete, done: Failed, reason: ReasonForbidden, want: true},
		"what waits for finalizers stays":                      {was: true, operation: diff.Delete, done: Withheld, reason: diff.ReasonTerminating, want: true},
		"what turned out to be somebody else's goes":           {was: true, operation: diff.Delete, done: Withheld, reason: diff.ReasonNotOwned},
		"what was released goes":                               {was: true, operation: diff.Foreign, done: Withheld, reason: diff.ReasonNotOwned},
		"what is gone is in no plan, and goes":                 {was: true},
		"an operation that nobody knows changes nothing":       {was: true, operation: "Odd", want: true},
		"an operation that nobody knows does not add anything": {operation: "Odd"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := Set{DaemonSets: []diff.ID{{Namespace: "agents", Name: "agent", Group: "apps", Kind: "DaemonSet"}}}
			if c.was {
				set.Previous = &v1alpha1.Inventory{Entries: []v1alpha1.InventoryEntry{entry}}
			}
			var plan diff.Plan
			if c.operation != "" {
				plan.Changes = append(plan.Changes, diff.Change{ID: id, Version: "v1", Declared: c.declared, Operation: c.operation})
			}
			var pruned Results
			if c.done != "" {
				pruned = append(pruned, Result{ID: id, Done: c.done, Reason: c.reason})
			}
			want := []v1alpha1.InventoryEntry{{ID: "agents_agent_apps_DaemonSet", Version: "v1"}}
			if c.want {
				want = append(want, entry)
			}
			if d := cmp.Diff(want, Inventory(set, plan, pruned).Entries); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestFormer(t *testing.T) {
	t.Parallel()
	declared := &render.Declared{
		Objects: []render.Object{
			{Unstructured: manifest(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: here}}")},
			{Unstructured: manifest(t, "{apiVersion: example.com/v2, kind: Tuning, metadata: {name: here, namespace: other}}")},
		},
		DaemonSets: []render.DaemonSet{
			{Object: render.Object{Unstructured: manifest(t, "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: agent}}")}},
			{Object: render.Object{Unstructured: manifest(t, "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: native, annotations: {rollcall.dev/rollout: native}}}")}},
		},
	}
	previous := &v1alpha1.Inventory{}
	for _, id := range []string{
		"agents_here__ConfigMap", "agents_gone__ConfigMap", "other_here__ConfigMap", "other_here_example.com_Tuning",
		"agents_agent_apps_DaemonSet", "agents_native_apps_DaemonSet", "agents_old_apps_DaemonSet", "nonsense",
	} {
		previous.Entries = append(previous.Entries, v1alpha1.InventoryEntry{ID: id, Version: "v1"})
	}
	set := NewSet(types.NamespacedName{Namespace: "agents", Name: "logging"}, declared, previous)
	var got []string
	for _, f := range formerIDs(set) {
		got = append(got, f.Entry())
	}
	want := []string{"agents_gone__ConfigMap", "other_here__ConfigMap", "agents_old_apps_DaemonSet"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if len(set.Objects) != 3 || len(declared.Objects) != 2 || len(set.DaemonSets) != 1 {
		t.Errorf("the native DaemonSet is no object: %d objects, %d rolled", len(set.Objects), len(set.DaemonSets))
	}
}
