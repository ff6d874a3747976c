package apply

import (
	"cmp"
	"slices"

	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// daemonSetVersion is the only version of apps that has DaemonSets.
const daemonSetVersion = "v1"

// Inventory returns the inventory that a plan leads to, sorted by ID. It is written down twice in a pass: before Apply,
// without results, so that what is created is listed even if nobody lives to see it; and after Prune, with its results.
//
//	declared, and to be applied or as it should be ... listed
//	declared, and refused ............................ listed if it was
//	declared, and another GitSync's .................. not listed
//	a declared DaemonSet ............................. listed
//	not declared, and kept ........................... listed
//	not declared, and to be deleted .................. listed until Prune says that it is gone
//	not declared, and to be released ................. listed until the cluster says that it is another GitSync's
//	not declared, and released or gone ............... not listed
func Inventory(set Set, plan diff.Plan, pruned Results) *v1alpha1.Inventory {
	was, gone := map[string]bool{}, map[diff.ID]bool{}
	if set.Previous != nil {
		for _, entry := range set.Previous.Entries {
			was[entry.ID] = true
		}
	}
	for _, result := range pruned {
		if result.Done == Deleted || result.Reason == diff.ReasonNotOwned {
			gone[result.ID] = true
		}
	}
	out := &v1alpha1.Inventory{Entries: []v1alpha1.InventoryEntry{}}
	for _, c := range plan.Changes {
		if !gone[c.ID] && listed(c, was[c.Entry()]) {
			out.Entries = append(out.Entries, v1alpha1.InventoryEntry{ID: c.Entry(), Version: c.Version})
		}
	}
	for _, id := range set.DaemonSets {
		out.Entries = append(out.Entries, v1alpha1.InventoryEntry{ID: id.Entry(), Version: daemonSetVersion})
	}
	slices.SortFunc(out.Entries, func(a, b v1alpha1.InventoryEntry) int { return cmp.Compare(a.ID, b.ID) })
	out.Entries = slices.CompactFunc(out.Entries, func(a, b v1alpha1.InventoryEntry) bool { return a.ID == b.ID })
	return out
}

func listed(c diff.Change, was bool) bool {
	switch c.Operation {
	case diff.Create, diff.Update, diff.Unchanged, diff.Release, diff.Delete, diff.Keep:
		return true
	case diff.Conflict, diff.Refused:
		return was
	case diff.Foreign:
		return false
	default:
		return was
	}
}

// formerID is an object of the inventory with the version that it was applied with.
type formerID struct {
	diff.ID
	version string
}

// formerIDs are the objects that the inventory lists and the set does not declare, in the order of the inventory.
// Namespaces are compared as they will be, so that an object whose kind is unknown now does not count as taken out.
func formerIDs(set Set) []formerID {
	if set.Previous == nil {
		return nil
	}
	declared := map[diff.ID]bool{}
	for _, id := range set.DaemonSets {
		declared[id] = true
	}
	for _, o := range set.Objects {
		id := diff.IDOf(o.Unstructured)
		declared[id] = true
		id.Namespace = cmp.Or(id.Namespace, set.Namespace)
		declared[id] = true
	}
	var out []formerID
	for _, entry := range set.Previous.Entries {
		id, err := diff.ParseID(entry.ID)
		if err == nil && !declared[id] {
			out = append(out, formerID{ID: id, version: entry.Version})
		}
	}
	return out
}
