package apply

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// Prune deletes what a plan deletes, in the reverse order of stages, and returns what became of each object that the
// inventory lists and Git declares no more. Call it when all of Apply has succeeded.
//
// Each object is read again, and deleted only while it is the one that the plan is about, its owner label names the owner,
// and no annotation protects it. Its dependents go in the background.
func (a *Applier) Prune(ctx context.Context, owner string, plan diff.Plan) Results {
	var out Results
	for _, s := range stagesOfPrune() {
		for _, c := range inStage(plan.Of(diff.Delete, diff.Keep, diff.Foreign), s) {
			switch {
			case c.Declared:
			case c.Operation == diff.Delete:
				out = append(out, a.deleted(ctx, owner, c))
			default:
				out = append(out, resultOf(c, Withheld, c.Reason, c.Message))
			}
		}
	}
	return out
}

func (a *Applier) deleted(ctx context.Context, owner string, c diff.Change) Result {
	t, err := a.targetOf(c.ID, c.Version)
	if err != nil {
		p := a.problem("find kind", t, err)
		return resultOf(c, Failed, p.Reason, p.Message)
	}
	result, err := a.deleteOnce(ctx, owner, c, t)
	for range attempts - 1 {
		if !overtaken(err) {
			break
		}
		result, err = a.deleteOnce(ctx, owner, c, t)
	}
	switch {
	case overtaken(err):
		return resultOf(c, Failed, ReasonUnavailable, "somebody else keeps writing it; the next pass tries again")
	case err != nil:
		p := a.problem("delete", t, err)
		return resultOf(c, Failed, p.Reason, p.Message)
	default:
		return result
	}
}

func (a *Applier) deleteOnce(ctx context.Context, owner string, c diff.Change, t target) (Result, error) {
	live, err := a.get(ctx, t)
	if err != nil {
		return Result{}, err
	}
	if live == nil {
		return resultOf(c, Deleted, "", ""), nil
	}
	if reason, message := spared(owner, c, live); reason != "" {
		return resultOf(c, Withheld, reason, message), nil
	}
	err = a.client(t).Delete(ctx, t.object.GetName(), metav1.DeleteOptions{
		PropagationPolicy: ptr.To(metav1.DeletePropagationBackground),
		Preconditions:     &metav1.Preconditions{UID: ptr.To(live.GetUID()), ResourceVersion: ptr.To(live.GetResourceVersion())},
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return Result{}, err
	}
	a.logger().Info("delete", "object", c.ID.String(), "reason", c.Reason)
	return a.afterDelete(ctx, c, t, live)
}

// spared is why a live object is not deleted though the plan says so, for the plan may be old; the reason is empty when it
// is deleted.
func spared(owner string, c diff.Change, live *unstructured.Unstructured) (reason, message string) {
	other := live.GetLabels()[v1alpha1.LabelOwner]
	switch {
	case other != owner:
		return diff.ReasonNotOwned, fmt.Sprintf("its label %s is %q now, not %s", v1alpha1.LabelOwner, other, owner)
	case c.UID != "" && live.GetUID() != c.UID:
		return ReasonReplaced, "somebody deleted it and made it anew: the next pass looks whose it is"
	default:
		return diff.Protected(c.ID, live)
	}
}

// afterDelete tells an object that is gone from one that finalizers hold, or a Namespace that what is in it does: that one
// stays in the inventory until it goes.
func (a *Applier) afterDelete(ctx context.Context, c diff.Change, t target, old *unstructured.Unstructured) (Result, error) {
	live, err := a.get(ctx, t)
	if err != nil {
		return Result{}, err
	}
	if live == nil || live.GetUID() != old.GetUID() || len(live.GetFinalizers()) == 0 && !isNamespace(c.ID) {
		return resultOf(c, Deleted, "", ""), nil
	}
	return resultOf(c, Withheld, diff.ReasonTerminating, diff.Terminating(live)), nil
}

func isNamespace(id diff.ID) bool { return id == diff.ID{Name: id.Name, Kind: "Namespace"} }

// targetOf finds where the cluster keeps an object, in the version that it was applied with or else in any.
func (a *Applier) targetOf(id diff.ID, version string) (target, error) {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(schema.GroupVersionKind{Group: id.Group, Version: version, Kind: id.Kind})
	o.SetNamespace(id.Namespace)
	o.SetName(id.Name)
	t := target{object: o}
	mapping, err := a.kindOf(o.GroupVersionKind())
	if meta.IsNoMatchError(err) {
		mapping, err = a.Mapper.RESTMapping(id.GroupKind())
	}
	t.mapping = mapping
	return t, err
}
