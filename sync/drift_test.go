package sync

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func TestDrift(t *testing.T) {
	t.Parallel()
	configMap := func(name string) diff.ID { return diff.ID{Namespace: "a", Name: name, Kind: "ConfigMap"} }
	plan := diff.Plan{Changes: []diff.Change{
		{ID: configMap("deleted"), Declared: true, Operation: diff.Create},
		{ID: configMap("dropped"), Operation: diff.Delete},
		{ID: configMap("edited"), Declared: true, Operation: diff.Update},
		{ID: configMap("held"), Declared: true, Operation: diff.Conflict},
		{ID: configMap("kept"), Declared: true, Operation: diff.Keep},
		{ID: configMap("mounted"), Declared: true, Operation: diff.Update},
		{ID: configMap("same"), Declared: true, Operation: diff.Unchanged},
	}}
	for name, c := range map[string]struct {
		change func(*v1alpha1.GitSync)
		late   []diff.ID
		want   []diff.ID
	}{
		"what is not as the applied commit says": {func(*v1alpha1.GitSync) {}, nil, []diff.ID{configMap("deleted"), configMap("edited"), configMap("held"), configMap("mounted")}},
		"but what was kept from it on purpose":   {func(*v1alpha1.GitSync) {}, []diff.ID{configMap("mounted")}, []diff.ID{configMap("deleted"), configMap("edited"), configMap("held")}},
		"a new commit is no drift":               {func(gs *v1alpha1.GitSync) { gs.Status.Applied = oldCommit }, nil, nil},
		"nor is a new spec":                      {func(gs *v1alpha1.GitSync) { gs.Generation++ }, nil, nil},
		"nor is the first commit":                {func(gs *v1alpha1.GitSync) { gs.Status = v1alpha1.GitSyncStatus{} }, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gs := &v1alpha1.GitSync{}
			gs.Generation = 3
			gs.Status = v1alpha1.GitSyncStatus{ObservedGeneration: 3, Applied: newCommit}
			c.change(gs)
			if d := cmp.Diff(c.want, drifted(gs, newCommit, c.late, plan)); d != "" {
				t.Errorf("drift (-want +got):\n%s", d)
			}
		})
	}
	late := stillLate([]diff.ID{configMap("mounted"), configMap("same"), configMap("gone")}, plan)
	if d := cmp.Diff([]diff.ID{configMap("kept"), configMap("mounted")}, late); d != "" {
		t.Errorf("late (-want +got):\n%s", d)
	}
	drift := []diff.ID{configMap("deleted"), configMap("edited"), configMap("held")}
	results := apply.Results{
		{ID: configMap("deleted"), Done: apply.Created}, {ID: configMap("edited"), Done: apply.Configured},
		{ID: configMap("held"), Done: apply.Failed}, {ID: configMap("new"), Done: apply.Created}, {ID: configMap("same"), Done: apply.Unchanged},
	}
	if got := corrected(drift, results); got != 2 {
		t.Errorf("%d corrected, want the two that were written and had drifted", got)
	}
}
