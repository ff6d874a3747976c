package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/csaupgrade"
)

// A takeover makes rollcall the owner of the fields that kubectl, Helm and their like own on an object, so that a field
// which Git does not declare goes away instead of staying for ever in nobody's care:
//
//	before    helm: a b c                       Git declares a b
//	managers  rollcall: a b c                   one patch of metadata.managedFields, see takeOver
//	apply     rollcall: a b     c is removed    a plain server-side apply
//
// A crash between the two leaves the object as it was, and the next apply removes c.

// taken returns the field managers of an object that may be taken over from, sorted. What they own by way of a
// subresource stays theirs.
func (a *Applier) taken(live *unstructured.Unstructured) []string {
	if live == nil {
		return nil
	}
	var out []string
	for _, entry := range live.GetManagedFields() {
		if a.takes(entry) {
			out = append(out, entry.Manager)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// takenFromOthers are those beside rollcall, which writes DaemonSets in other ways too than by an apply.
func (a *Applier) takenFromOthers(live *unstructured.Unstructured) []string {
	return slices.DeleteFunc(a.taken(live), func(manager string) bool { return manager == a.fieldManager() })
}

func (a *Applier) takes(entry metav1.ManagedFieldsEntry) bool {
	return entry.Subresource == "" && a.adopts(entry.Manager) && !a.own(entry)
}

// own reports whether an entry is that of rollcall's applies.
func (a *Applier) own(entry metav1.ManagedFieldsEntry) bool {
	return entry.Manager == a.fieldManager() && entry.Operation == metav1.ManagedFieldsOperationApply && entry.Subresource == ""
}

// takeOver hands the fields of the managers that may be taken over from to rollcall, lets go of what is ignored, and
// returns the object then; the same object when there is nothing to do. It changes nothing but metadata.managedFields, and fails when somebody
// writes the object meanwhile.
func (a *Applier) takeOver(ctx context.Context, t target, live *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	held, err := a.holds(t, live)
	if err != nil || len(a.taken(live)) == 0 && len(held) == 0 {
		return live, err
	}
	managers, err := a.united(live)
	if err == nil {
		managers, err = a.letGo(managers, held)
	}
	if err != nil {
		return nil, fmt.Errorf("take over the fields of %s: %w", t, err)
	}
	patch, err := json.Marshal([]map[string]any{
		{"op": "replace", "path": "/metadata/managedFields", "value": managers},
		{"op": "replace", "path": "/metadata/resourceVersion", "value": live.GetResourceVersion()},
	})
	if err != nil {
		return nil, fmt.Errorf("take over the fields of %s: %w", t, err)
	}
	return a.client(t).Patch(ctx, t.object.GetName(), types.JSONPatchType, patch, a.patchOptions(false))
}

// united returns the field managers of an object with those that are taken over united with rollcall. csaupgrade unites
// what was written by updates, so that applies, such as those of kubectl apply --server-side, are passed to it as updates
// under a name of their own.
func (a *Applier) united(live *unstructured.Unstructured) ([]metav1.ManagedFieldsEntry, error) {
	scratch := &unstructured.Unstructured{Object: map[string]any{}}
	entries := live.GetManagedFields()
	var names []string
	for i, entry := range entries {
		if !a.takes(entry) {
			continue
		}
		if entry.Operation == metav1.ManagedFieldsOperationApply {
			entries[i].Manager, entries[i].Operation = entry.Manager+" (apply)", metav1.ManagedFieldsOperationUpdate
		}
		names = append(names, entries[i].Manager)
	}
	scratch.SetManagedFields(entries)
	for _, name := range names {
		if err := csaupgrade.UpgradeManagedFields(scratch, sets.New(name), a.fieldManager()); err != nil {
			return nil, err
		}
	}
	return scratch.GetManagedFields(), nil
}
