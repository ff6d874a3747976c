package apply

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply/account"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// Set is what one commit declares for one GitSync, and what the GitSync applied before.
type Set struct {
	// Namespace is given to namespaced objects that name none: the GitSync's.
	Namespace string
	// Owner is the value of the owner label.
	Owner string
	// Objects are the declared objects but the DaemonSets that rollouts move.
	Objects []render.Object
	// DaemonSets are the declared DaemonSets that rollouts move.
	DaemonSets []diff.ID
	// Previous is the inventory of the last pass; nil before the first one.
	Previous *v1alpha1.Inventory
	// As is the GitSync's account.
	As account.Account
	// Ignore are the fields that are left to others.
	Ignore []v1alpha1.IgnoreRule
	// Settled are the objects that were as declared when somebody last looked; nil to ask about each.
	Settled Settled
	// Waiting names what is declared of objects that are not to be put right yet: while that is so, nobody is asked what an
	// apply would make of them.
	Waiting map[diff.ID]string
}

// NewSet returns the Set of a GitSync. DaemonSets that are left to Kubernetes are objects like others; their
// configuration is not pinned, for the pins would restart them.
func NewSet(gitsync types.NamespacedName, declared *render.Declared, previous *v1alpha1.Inventory) Set {
	set := Set{
		Namespace: gitsync.Namespace,
		Owner:     Owner(gitsync),
		Objects:   slices.Clone(declared.Objects),
		Previous:  previous,
	}
	for _, ds := range declared.DaemonSets {
		if ds.GetAnnotations()[v1alpha1.AnnotationRollout] == v1alpha1.RolloutNative {
			set.Objects = append(set.Objects, ds.Object)
			continue
		}
		id := diff.IDOf(ds.Unstructured)
		if id.Namespace == "" {
			id.Namespace = gitsync.Namespace
		}
		set.DaemonSets = append(set.DaemonSets, id)
	}
	slices.SortFunc(set.DaemonSets, diff.ID.Compare)
	return set
}

// Observation is what the cluster has of a Set, and what it would make of it. With what else a pass knows it becomes a
// diff.Input.
type Observation struct {
	// Objects are those of the Set, in its order.
	Objects []diff.Object
	// Former are the objects that the inventory lists and the Set does not, in the order of the inventory.
	Former []diff.Former
	// marks are what was declared and seen of each object, and former what was seen of each of Former that is there.
	marks, former Settled
}

// Errors are all reasons why something cannot be applied, in the order of the objects; empty when everything can.
func (o Observation) Errors() []*Error {
	var out []*Error
	for _, object := range o.Objects {
		if p := object.Problem; p != nil {
			out = append(out, &Error{Reason: p.Reason, Object: describe(object.Declared, object.Source), Message: p.Message})
		}
	}
	return out
}

func describe(o *unstructured.Unstructured, source string) string {
	if source == "" {
		return diff.IDOf(o).String()
	}
	return fmt.Sprintf("%s (%s)", diff.IDOf(o), source)
}
