package diff

import (
	"fmt"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// Calculate says what a pass does with each object. First match wins:
//
//	declared:  owner label names another GitSync ... Foreign
//	           a problem ........................... Conflict or Refused
//	           not live ............................ Create
//	           the API server cannot be asked yet .. Update
//	           its content is frozen and differs ... Keep
//	           merged differs, or fields to take ... Update
//	           otherwise ........................... Unchanged
//	listed by the inventory only: see former
func Calculate(in Input) Plan {
	var plan Plan
	for _, o := range in.Objects {
		plan.Changes = append(plan.Changes, declared(in, o))
	}
	plan.Changes = append(plan.Changes, pruned(in, plan.Blocked())...)
	sortChanges(plan.Changes)
	return plan
}

func declared(in Input, o Object) Change {
	c := Change{ID: IDOf(o.Declared), Version: o.Declared.GroupVersionKind().Version, Source: o.Source, Declared: true}
	other := ""
	if o.Live != nil {
		other = o.Live.GetLabels()[v1alpha1.LabelOwner]
	}
	switch {
	case other != "" && other != in.Owner:
		c.Operation, c.Reason, c.Message = Foreign, ReasonOwnedByAnother, ownedBy(other, in.Owner)
	case o.Problem != nil && o.Problem.Reason == ReasonConflict:
		c.Operation, c.Reason, c.Message = Conflict, o.Problem.Reason, o.Problem.Message
	case o.Problem != nil:
		c.Operation, c.Reason, c.Message = Refused, o.Problem.Reason, o.Problem.Message
	case o.Live == nil:
		c.Operation, c.Reason, c.Message = Create, ReasonAbsent, o.Pending
		c.Fields = fields(nil, o.Declared.Object)
	case o.Merged == nil:
		c.Operation, c.Reason, c.Message = Update, ReasonPending, o.Pending
	default:
		c.Fields = fields(o.Live.Object, o.Merged.Object)
		c.Operation, c.Reason, c.Message = compared(c.Fields, o.TakenFrom)
	}
	switch {
	case o.Pending != "" && c.Operation == Create:
		c.Reason = ReasonPending
	case c.Operation == Update && refers(in.Frozen, c.ID) && slices.ContainsFunc(c.Fields, isContent):
		c.Operation, c.Reason, c.Message = Keep, ReasonAwaitingProof, "pods of the proven version read it: it changes when the candidate is proven"
	}
	return c
}

func compared(changed []FieldChange, takenFrom []string) (operation Operation, reason, message string) {
	switch {
	case len(takenFrom) > 0:
		return Update, ReasonTakesOver, "takes over the fields of " + strings.Join(takenFrom, ", ")
	case len(changed) > 0:
		return Update, ReasonDiffers, ""
	default:
		return Unchanged, ReasonEqual, ""
	}
}

// isContent reports whether a field of a ConfigMap or Secret is one that pods read.
func isContent(f FieldChange) bool {
	key, _, _ := strings.Cut(f.Path, ".")
	key, _, _ = strings.Cut(key, "[")
	return key == "data" || key == "binaryData"
}

func refers(references []Reference, id ID) bool {
	return id.Group == "" && slices.Contains(references, Reference{Kind: id.Kind, Namespace: id.Namespace, Name: id.Name})
}

func ownedBy(other, owner string) string {
	return fmt.Sprintf("GitSync %s owns it, so %s leaves it alone: remove it from one of the two", other, owner)
}
