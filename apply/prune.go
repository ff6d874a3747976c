package apply

import (
	"context"
	"fmt"
	"strings"

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
// Each object is read again, and deleted only while it is the one that was read and its owner label names the owner. Its
// dependents go in the background.
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
	if other := live.GetLabels()[v1alpha1.LabelOwner]; other != owner {
		return resultOf(c, Withheld, diff.ReasonNotOwned, fmt.Sprintf("its label %s is %q now, not %s", v1alpha1.LabelOwner, other, owner)), nil
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

// afterDelete tells an object that is gone from one that finalizers hold: that one stays in the inventory until it goes.
func (a *Applier) afterDelete(ctx context.Context, c diff.Change, t target, old *unstructured.Unstructured) (Result, error) {
	live, err := a.get(ctx, t)
	if err != nil {
		return Result{}, err
	}
	if live == nil || live.GetUID() != old.GetUID() || len(live.GetFinalizers()) == 0 {
		return resultOf(c, Deleted, "", ""), nil
	}
	return resultOf(c, Withheld, diff.ReasonTerminating, "it is deleted and waits for its finalizers: "+strings.Join(live.GetFinalizers(), ", ")), nil
}

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
