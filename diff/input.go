package diff

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// Input is everything that a Plan follows from.
type Input struct {
	// Owner is the value of the label v1alpha1.LabelOwner that names the GitSync.
	Owner string
	// Objects are the declared objects but the DaemonSets, as they were observed.
	Objects []Object
	// DaemonSets are the declared DaemonSets. Their rollouts apply them, so that a Plan does not list them; but they
	// are declared, and so never pruned.
	DaemonSets []ID
	// Previous is the inventory of the last pass; nil before the first one.
	Previous *v1alpha1.Inventory
	// Former says what the cluster has of the objects that Previous lists and Git declares no more. One that is
	// missing here was not observed, and is kept.
	Former []Former
	// Heirs are the objects of Former that another GitSync declares: they are released to it. At most one of an ID.
	Heirs []Heir
	// Awaited are the GitSyncs of which it is not known yet whether they declare an object of Former at the commit that
	// this one has, sorted by owner. While there are any nothing is deleted: it may be on its way to one of them.
	Awaited []Awaited
	// Prune is whether anything may be deleted at all.
	Prune bool
	// PruneLimit is how much may be deleted by one commit that nobody has approved: a count, or a percentage; nil for all.
	PruneLimit *intstr.IntOrString
	// Approved is whether a person has approved this very commit.
	Approved bool
	// Retired is whether the GitSync itself is being deleted and takes along what it owns: then nothing is declared, and
	// that is no mistake.
	Retired bool
	// Unproven is whether some DaemonSet of this commit is not proven yet on every node. Until then nothing is deleted:
	// the way back needs it.
	Unproven bool
	// Clashes are the DaemonSets of Former that hold a host port which a declared one wants. At most one of an ID.
	Clashes []Clash
	// InUse is what a live pod, a proven template or a candidate reads, whoever declares it.
	InUse []Reference
	// Behind are the declared workloads with pods that do not run the current version yet, sorted by ID. While there
	// are any nothing is deleted: such a pod may need whatever came with its version.
	Behind []Behind
	// Leaving are the DaemonSets of Former that have not left all of their nodes. While there are any nothing else is
	// deleted but other DaemonSets: what still runs, and the way back, may need it. At most one of an ID.
	Leaving []Leaving
	// Frozen are the ConfigMaps and Secrets whose content must not change now: pods of a proven template read them by
	// their plain names, and the candidate reads pinned copies instead. A change would reach every node at once.
	Frozen []Reference
}

// Object is a declared object, as it was observed.
type Object struct {
	// Declared is the object as it would be applied: with its namespace and its owner label.
	Declared *unstructured.Unstructured
	// Source is the file it came from, relative to the root of the repository.
	Source string
	// Live is what the cluster has; nil when it has no such object.
	Live *unstructured.Unstructured
	// Merged is what an apply would make of it, by a dry-run; nil when the API server was not asked.
	Merged *unstructured.Unstructured
	// Sides are Live and Merged with the fields alone that count: those that this GitSync has, before or after; nil when
	// all of them do.
	Sides *Sides
	// Ignored are the fields that are left to others, and LetsGo those of them that this GitSync still has and would let
	// go of as they are.
	Ignored, LetsGo []Pointer
	// TakenFrom are the field managers whose fields an apply would take over, sorted.
	TakenFrom []string
	// Pending is why the API server cannot be asked before something else of the same commit is applied; empty when
	// nothing is in the way.
	Pending string
	// Waits is whether it is put right later, since somebody changes it back again and again.
	Waits bool
	// Orphan is the live owner label if the GitSync that it names does not exist, so that the object may be had by
	// whoever declares it; empty otherwise.
	Orphan string
	// Problem is why the object cannot be applied; nil when it can.
	Problem *Problem
}

// Sides are two states of an object.
type Sides struct {
	Live, Merged map[string]any
}

// Problem is why an object cannot be applied or read.
type Problem struct {
	// Reason is a constant.
	Reason string
	// Message says what is wrong and the way out. It holds no value of a Secret.
	Message string
}

// Former is an object that the inventory lists and Git declares no more, as it was observed.
type Former struct {
	ID ID
	// Live is what the cluster has; nil when it is gone.
	Live *unstructured.Unstructured
	// Problem is why it could not be read; nil when it could.
	Problem *Problem
}

// Heir is another GitSync that declares an object.
type Heir struct {
	ID ID
	// Owner is the value of its owner label.
	Owner string
}

// Awaited is another GitSync of the same repository and ref that has not read the commit.
type Awaited struct {
	// Owner is the value of its owner label.
	Owner string
	// Commit is the one that it has read last; empty for none.
	Commit string
}

// Clash is a host port that two DaemonSets want.
type Clash struct {
	// ID has it, and With wants it.
	ID, With ID
	Port     int32
}

// Behind is a workload with pods that do not run its current version yet.
type Behind struct {
	ID ID
	// Pods is how many, at least 1.
	Pods int
}

// Leaving is a DaemonSet that is taken from its nodes.
type Leaving struct {
	ID ID
	// Message says how far that is, and what releases it if it is held.
	Message string
}

// Reference names what a pod needs: a ConfigMap, a Secret or a ServiceAccount, or, without a namespace, a PriorityClass
// or a RuntimeClass. It has the fields of render.Reference, so that one converts to the other.
type Reference struct {
	Kind      string
	Namespace string
	Name      string
}
