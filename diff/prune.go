package diff

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// pruned says what becomes of the objects that the inventory lists and Git declares no more. Those that are gone
// already are left out, and so are those that Git declares under another group: Kubernetes serves one object under two
// groups while a kind moves, and deleting the old name would delete the object.
func pruned(in Input, blocked []Change) []Change {
	listed := formerly(in)
	rules := prunes{Input: in, blocked: blocked, exceeded: exceeded(in, listed)}
	var out []Change
	for _, f := range listed {
		c := Change{ID: f.ID, Version: f.version}
		c.Operation, c.Reason, c.Message = rules.former(f.Former)
		if c.Operation == Delete {
			c.UID = f.Live.GetUID()
		}
		out = append(out, c)
	}
	return out
}

// listed is an object of the inventory with the version that it was applied with.
type listed struct {
	Former
	version string
}

// formerly are the objects that the inventory lists and Git declares no more, in the order of the inventory.
func formerly(in Input) []listed {
	if in.Previous == nil {
		return nil
	}
	known, moved := declaredIDs(in), liveUIDs(in.Objects)
	observed := map[ID]Former{}
	for _, f := range in.Former {
		observed[f.ID] = f
	}
	var out []listed
	for _, entry := range in.Previous.Entries {
		id, err := ParseID(entry.ID)
		if err != nil || known[id] {
			continue
		}
		f, looked := observed[id]
		if !looked {
			f = Former{ID: id, Problem: &Problem{Reason: ReasonNotObserved, Message: "nobody looked whether it is still there"}}
		}
		if f.Problem == nil && (f.Live == nil || moved[f.Live.GetUID()]) {
			continue
		}
		out = append(out, listed{Former: f, version: entry.Version})
	}
	return out
}

// prunes are the rules by which one input is pruned.
type prunes struct {
	Input
	// blocked are the declared objects that cannot be applied.
	blocked []Change
	// exceeded says by how much Input.PruneLimit is exceeded; empty when it is not.
	exceeded string
}

// former says what becomes of one of them. First match wins, and Delete is what is left over:
//
//	could not be read ............................. Keep, with the reason
//	the live owner label names another, or nobody . Foreign
//	deleted already ............................... Keep Terminating
//	another GitSync declares it ................... Release
//	its annotation says so ........................ Keep PruneProtected
//	Namespace, CustomResourceDefinition ........... Keep ProtectedKind, unless its annotation confirms it
//	the GitSync does not prune .................... Keep PruneDisabled
//	Git declares nothing .......................... Keep EmptyRender
//	something declared cannot be applied .......... Keep AwaitingApply
//	more would go than nobody need approve ........ Keep PruneLimitExceeded, unless something may go to another GitSync
//	a DaemonSet is not proven ..................... Keep AwaitingProof, or HoldsPort if that one waits for it
//	another GitSync has not read this commit ...... Keep AwaitingOthers
//	a pod still runs another version .............. Keep AwaitingPods
//	something reads it ............................ Keep InUse
//	a DaemonSet that is on its nodes still ........ Keep Removing
//	such a DaemonSet may need it .................. Keep AwaitingRemoval
//
// A release comes before all that holds a deletion: nothing goes by it, and what two GitSyncs swap would wait for ever
// for the one that waits for it.
func (p prunes) former(f Former) (operation Operation, reason, message string) {
	if operation, reason, message = p.unowned(f); operation != "" {
		return operation, reason, message
	}
	if f.Live.GetDeletionTimestamp() != nil {
		return Keep, ReasonTerminating, Terminating(f.Live)
	}
	if i := slices.IndexFunc(p.Heirs, func(h Heir) bool { return h.ID == f.ID }); i >= 0 {
		return Release, ReasonDeclaredByAnother, fmt.Sprintf("GitSync %s declares it now", p.Heirs[i].Owner)
	}
	if reason, message := Protected(f.ID, f.Live); reason != "" {
		return Keep, reason, message
	}
	if reason, message := p.withheld(f.ID); reason != "" {
		return Keep, reason, message
	}
	return Delete, ReasonNotDeclared, ""
}

// unowned is what becomes of an object that could not be read, or that is not this GitSync's; the operation is empty for
// any other.
func (p prunes) unowned(f Former) (operation Operation, reason, message string) {
	if f.Problem != nil {
		return Keep, f.Problem.Reason, f.Problem.Message
	}
	switch owner := f.Live.GetLabels()[v1alpha1.LabelOwner]; owner {
	case p.Owner:
		return "", "", ""
	case "":
		return Foreign, ReasonNotOwned, fmt.Sprintf("its label %s was taken away, so %s leaves it alone", v1alpha1.LabelOwner, p.Owner)
	default:
		return Foreign, ReasonOwnedByAnother, fmt.Sprintf("GitSync %s owns it now", owner)
	}
}

// Terminating says what an object that is deleted waits for.
func Terminating(live *unstructured.Unstructured) string {
	holds := slices.Clone(live.GetFinalizers())
	if live.GetKind() == "Namespace" {
		inside, _, _ := unstructured.NestedStringSlice(live.Object, "spec", "finalizers")
		holds = append(holds, inside...)
	}
	return "it is deleted and waits for its finalizers: " + strings.Join(holds, ", ")
}

// withheld is what keeps an object that its GitSync would delete; the reason is empty when nothing does.
func (p prunes) withheld(id ID) (reason, message string) {
	if reason, message = p.unwanted(); reason != "" {
		return reason, message
	}
	switch {
	case p.Unproven:
		return awaitingProof(p.Clashes, id)
	case len(p.Awaited) > 0:
		return ReasonAwaitingOthers, awaitingOthers(p.Awaited)
	case len(p.Behind) > 0:
		return ReasonAwaitingPods, awaitingPods(p.Behind)
	case refers(p.InUse, id):
		return ReasonInUse, "a pod or the way back reads it, whichever GitSync declares that: it goes when nothing does"
	default:
		return awaitingRemoval(p.Leaving, id)
	}
}

// awaitingRemoval keeps what a DaemonSet may need that leaves its nodes: whatever came with it, but for other DaemonSets.
func awaitingRemoval(leaving []Leaving, id ID) (reason, message string) {
	i := slices.IndexFunc(leaving, func(l Leaving) bool { return l.ID == id })
	switch {
	case i >= 0:
		return ReasonRemoving, leaving[i].Message
	case len(leaving) > 0 && (id.Group != "apps" || id.Kind != "DaemonSet"):
		return ReasonAwaitingRemoval, fmt.Sprintf("%s leaves its nodes in waves, and may need it until it has: see its NodeRollout", leaving[0].ID)
	default:
		return "", ""
	}
}

// unwanted is why nothing at all is to be deleted by this commit; the reason is empty when something may be. Of a GitSync
// that is itself deleted all is.
func (p prunes) unwanted() (reason, message string) {
	switch {
	case p.Retired:
		return "", ""
	case !p.Prune:
		return ReasonPruneDisabled, "the GitSync does not prune: delete it by hand, or set spec.prune"
	case len(p.Objects) == 0 && len(p.DaemonSets) == 0:
		return ReasonEmptyRender, "Git declares no object at all, and that prunes nothing: set spec.deletionPolicy to prune and delete the GitSync if that is wanted"
	case len(p.blocked) > 0:
		return ReasonAwaitingApply, fmt.Sprintf("%d of the declared objects cannot be applied", len(p.blocked))
	case p.exceeded != "" && len(p.Awaited) == 0:
		return ReasonPruneLimitExceeded, p.exceeded
	default:
		return "", ""
	}
}

// awaitingProof tells a deletion that waits for a proof from one for which the proof waits in turn.
func awaitingProof(clashes []Clash, id ID) (reason, message string) {
	i := slices.IndexFunc(clashes, func(c Clash) bool { return c.ID == id })
	if i < 0 {
		return ReasonAwaitingProof, "a DaemonSet of this commit is not proven yet on every eligible node"
	}
	return ReasonHoldsPort, fmt.Sprintf("%[1]s has host port %[2]d, which %[3]s wants: on a node of both that one cannot start before this one goes, and this one is not deleted before that one is proven. "+
		"Keep the name %[4]s in Git; or give %[3]s another host port, and this one once %[4]s is pruned", id, clashes[i].Port, clashes[i].With, id.Name)
}

// awaitingOthers names the first GitSync that is awaited and says what releases the hold.
func awaitingOthers(awaited []Awaited) string {
	has, more := "none yet", ""
	if c := awaited[0].Commit; c != "" {
		has = "commit " + c[:min(len(c), 8)]
	}
	if n := len(awaited) - 1; n > 0 {
		more = fmt.Sprintf(", nor have %d more", n)
	}
	return fmt.Sprintf("it may have moved to GitSync %s, which follows the same repository and ref and has not read and rendered this commit (but %s)%s: "+
		"when it has, what it declares goes over to it and the rest is deleted; fix, suspend or delete that GitSync if it cannot", awaited[0].Owner, has, more)
}

// awaitingPods counts the pods that are behind and says what releases the hold.
func awaitingPods(behind []Behind) string {
	pods, whose := 0, behind[0].ID.String()
	for _, b := range behind {
		pods += b.Pods
	}
	if len(behind) > 1 {
		whose = fmt.Sprintf("%d workloads (first %s)", len(behind), whose)
	}
	return fmt.Sprintf("%d pods of %s do not run the current version yet: it goes when they are replaced or gone; "+
		"a node that is held out or out of reach keeps its pod until it comes back or leaves", pods, whose)
}

func declaredIDs(in Input) map[ID]bool {
	out := map[ID]bool{}
	for _, o := range in.Objects {
		out[IDOf(o.Declared)] = true
	}
	for _, id := range in.DaemonSets {
		out[id] = true
	}
	return out
}

func liveUIDs(objects []Object) map[types.UID]bool {
	out := map[types.UID]bool{}
	for _, o := range objects {
		if o.Live != nil && o.Live.GetUID() != "" {
			out[o.Live.GetUID()] = true
		}
	}
	return out
}
