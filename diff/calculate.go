package diff

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// Calculate says what a pass does with each object. First match wins:
//
//	declared:  owner label names another GitSync ... Foreign, unless that one does not exist
//	           a problem ........................... Conflict or Refused
//	           fought over ......................... Keep
//	           not live ............................ Create
//	           the API server cannot be asked yet .. Update
//	           its content is frozen and differs ... Keep
//	           merged differs in what counts, or
//	           fields to take or to let go of ...... Update
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
	c.Operation, c.Reason, c.Message = refused(in.Owner, o)
	switch {
	case c.Operation != "":
	case o.Waits:
		c.Operation, c.Reason, c.Message = Keep, ReasonFought, "somebody changes it back again and again: it is put right later"
	case o.Live == nil:
		c.Operation, c.Reason, c.Message = Create, ReasonAbsent, o.Pending
		if o.Pending != "" {
			c.Reason = ReasonPending
		}
		c.Fields, c.Before, c.After = fields(nil, o.Declared.Object)
	case o.Merged == nil:
		c.Operation, c.Reason, c.Message = Update, ReasonPending, o.Pending
	default:
		c.Fields, c.Before, c.After = fields(o.sides())
		c.Operation, c.Reason, c.Message = compared(in, c, o)
	}
	return c
}

// refused returns what keeps an object from being applied; the operation is empty when nothing does.
func refused(owner string, o Object) (operation Operation, reason, message string) {
	if foreign := ForeignTo(owner, o.Orphan, o.Live); foreign != nil {
		return Foreign, foreign.Reason, foreign.Message
	}
	switch {
	case o.Problem == nil:
		return "", "", ""
	case o.Problem.Reason == ReasonConflict:
		return Conflict, o.Problem.Reason, o.Problem.Message
	default:
		return Refused, o.Problem.Reason, o.Problem.Message
	}
}

// sides are what is compared.
func (o Object) sides() (live, merged map[string]any) {
	if o.Sides != nil {
		return o.Sides.Live, o.Sides.Merged
	}
	return o.Live.Object, o.Merged.Object
}

func compared(in Input, c Change, o Object) (operation Operation, reason, message string) {
	switch {
	case refers(in.Frozen, c.ID) && slices.ContainsFunc(c.Fields, isContent):
		return Keep, ReasonAwaitingProof, "pods of the proven version read it: it changes when the candidate is proven"
	case o.Orphan != "":
		return Update, ReasonInherits, "goes over from GitSync " + o.Orphan + ", which has it no more"
	case len(o.TakenFrom) > 0:
		return Update, ReasonTakesOver, "takes over the fields of " + strings.Join(o.TakenFrom, ", ")
	case len(o.LetsGo) > 0:
		return Update, ReasonLetsGo, "leaves " + joined(o.LetsGo) + " to others, as it is"
	case len(c.Fields) > 0:
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
	reference, ok := ReferenceTo(id)
	return ok && slices.Contains(references, reference)
}

// ReferenceTo is how pods refer to an object; false when they do not.
func ReferenceTo(id ID) (Reference, bool) {
	group := map[string]string{"ConfigMap": "", "Secret": "", "ServiceAccount": "", "PriorityClass": "scheduling.k8s.io", "RuntimeClass": "node.k8s.io"}
	want, known := group[id.Kind]
	return Reference{Kind: id.Kind, Namespace: id.Namespace, Name: id.Name}, known && id.Group == want
}

// ForeignTo is the problem of a live object that another GitSync owns; nil when none does. Orphan is an owner label that
// counts as none, because its GitSync does not exist; empty for no such label. Live may be nil.
func ForeignTo(owner, orphan string, live *unstructured.Unstructured) *Problem {
	if live == nil {
		return nil
	}
	other := live.GetLabels()[v1alpha1.LabelOwner]
	if other == "" || other == owner || other == orphan {
		return nil
	}
	return &Problem{Reason: ReasonOwnedByAnother, Message: fmt.Sprintf("GitSync %s owns it, so %s leaves it alone until that one declares it no more: remove it from one of the two", other, owner)}
}

func joined(pointers []Pointer) string {
	words := make([]string, 0, len(pointers))
	for _, p := range pointers {
		words = append(words, p.String())
	}
	return strings.Join(words, ", ")
}
