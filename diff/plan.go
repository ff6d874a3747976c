package diff

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// Operation is what a pass does with one object. The set is closed.
type Operation string

const (
	// Create makes an object that the cluster does not have.
	Create Operation = "Create"
	// Update changes an object, or takes over fields of it from another manager.
	Update Operation = "Update"
	// Unchanged is an object that already is as declared; it is not written.
	Unchanged Operation = "Unchanged"
	// Conflict is a declared field that another field manager holds with another value.
	Conflict Operation = "Conflict"
	// Refused is a declared object that the API server does not take, for another reason than a conflict.
	Refused Operation = "Refused"
	// Foreign is an object that is not, or not any more, this GitSync's. It is left alone.
	Foreign Operation = "Foreign"
	// Release is an object that Git declares here no more and that another GitSync declares: it is handed over to that one.
	Release Operation = "Release"
	// Delete is an object that Git declares no more.
	Delete Operation = "Delete"
	// Keep is an object that Git declares no more and that is not deleted now, or a declared one that is not updated now.
	Keep Operation = "Keep"
)

// Operations are all of them, in the order in which a summary counts them.
func Operations() []Operation {
	return []Operation{Create, Update, Release, Delete, Unchanged, Conflict, Refused, Foreign, Keep}
}

// Reasons of a Change, besides those of a Problem, which are passed on.
const (
	// ReasonAbsent is a Create: the cluster does not have the object.
	ReasonAbsent = "Absent"
	// ReasonPending is a Create or an Update that could not be tried, since something else of this commit comes first.
	ReasonPending = "Pending"
	// ReasonDiffers is an Update of fields.
	ReasonDiffers = "Differs"
	// ReasonInherits is an Update of an object of a GitSync that does not exist, or that hands it over.
	ReasonInherits = "Inherits"
	// ReasonTakesOver is an Update that also takes fields from another field manager.
	ReasonTakesOver = "TakesOver"
	// ReasonLetsGo is an Update that lets go of fields which are ignored now.
	ReasonLetsGo = "LetsGo"
	// ReasonEqual is Unchanged.
	ReasonEqual = "Equal"
	// ReasonConflict is a Conflict.
	ReasonConflict = "Conflict"
	// ReasonOwnedByAnother is Foreign: its owner label names another GitSync.
	ReasonOwnedByAnother = "OwnedByAnother"
	// ReasonNotOwned is Foreign: somebody took the owner label away, and so released it.
	ReasonNotOwned = "NotOwned"
	// ReasonDeclaredByAnother is a Release.
	ReasonDeclaredByAnother = "DeclaredByAnother"
	// ReasonNotDeclared is a Delete.
	ReasonNotDeclared = "NotDeclared"

	// ReasonFought is a Keep of a declared object: somebody changes it back again and again, and it is put right later.
	ReasonFought = "Fought"

	// ReasonPruneDisabled is a Keep: the GitSync does not prune.
	ReasonPruneDisabled = "PruneDisabled"
	// ReasonProtectedKind is a Keep: a Namespace or a CustomResourceDefinition takes everything in it along, and nobody has
	// confirmed that.
	ReasonProtectedKind = "ProtectedKind"
	// ReasonPruneProtected is a Keep: the annotation v1alpha1.AnnotationPrune on the object says so.
	ReasonPruneProtected = "PruneProtected"
	// ReasonPruneLimitExceeded is a Keep: so much would go by this commit that a person has to approve it.
	ReasonPruneLimitExceeded = "PruneLimitExceeded"
	// ReasonEmptyRender is a Keep: Git declares nothing at all, which is more likely a mistake than a wish.
	ReasonEmptyRender = "EmptyRender"
	// ReasonAwaitingApply is a Keep: something that Git declares cannot be applied.
	ReasonAwaitingApply = "AwaitingApply"
	// ReasonHoldsPort is a Keep: a DaemonSet has a host port that one which is not proven yet wants.
	ReasonHoldsPort = "HoldsPort"
	// ReasonAwaitingOthers is a Keep: another GitSync of the repository has not read this commit, and may declare it.
	ReasonAwaitingOthers = "AwaitingOthers"
	// ReasonAwaitingProof is a Keep: a DaemonSet of this commit is not proven yet.
	ReasonAwaitingProof = "AwaitingProof"
	// ReasonAwaitingPods is a Keep: a pod of a declared workload still runs another version, and may need it.
	ReasonAwaitingPods = "AwaitingPods"
	// ReasonRemoving is a Keep: a DaemonSet leaves its nodes in waves before it is deleted.
	ReasonRemoving = "Removing"
	// ReasonAwaitingRemoval is a Keep: a DaemonSet that leaves its nodes may need it until it has.
	ReasonAwaitingRemoval = "AwaitingRemoval"
	// ReasonInUse is a Keep: a pod, a proven template or a candidate reads it.
	ReasonInUse = "InUse"
	// ReasonTerminating is a Keep: it is deleted already, and finalizers hold it.
	ReasonTerminating = "Terminating"
	// ReasonNotObserved is a Keep: nobody looked whether the cluster still has it.
	ReasonNotObserved = "NotObserved"
)

// Plan is what a pass will do, before it does it.
type Plan struct {
	// Changes are sorted by ID; there is one for each declared object but the DaemonSets, and one for each object of the
	// inventory that Git declares no more and the cluster still has.
	Changes []Change
}

// Change is what a pass will do with one object.
type Change struct {
	ID
	// Version of the group that the object is applied, or was applied, with.
	Version string
	// Source is the file that declares it; empty when Git does not.
	Source string
	// Declared is whether Git declares the object; otherwise the inventory alone lists it.
	Declared bool
	// UID is that of the live object that a Delete is about: one that was made anew since is another matter. It is empty
	// for every other operation.
	UID       types.UID
	Operation Operation
	// Reason is a constant.
	Reason string
	// Message says what the reason means here; empty when the operation says it all.
	Message string
	// Fields are the fields of a Create or an Update, sorted by path, with the values of Secrets masked.
	Fields []FieldChange
	// Before and After are what Fields were found in, masked as well: what counts of the object now, and then; nil for none.
	Before, After map[string]any
}

// Stays is whether an object that Git declares no more is kept for good, unless a person decides otherwise: it does not
// wait for anything.
func (c Change) Stays() bool {
	if c.Operation != Keep || c.Declared {
		return false
	}
	switch c.Reason {
	case ReasonPruneDisabled, ReasonPruneProtected, ReasonEmptyRender, ReasonPruneLimitExceeded:
		return true
	default:
		return false
	}
}

// FieldChange is one field that changes.
type FieldChange struct {
	// Path is such as spec.template.spec.containers[name=agent].image.
	Path string
	// From is the live value and To the one to come: text in double quotes, anything else as JSON, a value of a Secret
	// as ***. Empty when there is none.
	From, To string
}

// Of returns the changes with one of the operations, in the order of the plan.
func (p Plan) Of(operations ...Operation) []Change {
	var out []Change
	for _, c := range p.Changes {
		if slices.Contains(operations, c.Operation) {
			out = append(out, c)
		}
	}
	return out
}

// Blocked returns the declared objects that cannot be applied. While there is one, nothing of the plan is executed: half
// a commit is a state that nobody has reviewed.
func (p Plan) Blocked() []Change {
	return slices.DeleteFunc(p.Of(Conflict, Refused, Foreign), func(c Change) bool { return !c.Declared })
}

// Writes reports whether executing the plan would change the cluster.
func (p Plan) Writes() bool {
	return len(p.Of(Create, Update, Release, Delete)) > 0
}

func sortChanges(changes []Change) {
	slices.SortStableFunc(changes, func(a, b Change) int {
		return cmp.Or(a.Compare(b.ID), cmp.Compare(a.Source, b.Source))
	})
}
