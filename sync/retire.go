package sync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// A GitSync that is deleted is retired. With deletionPolicy orphan there is nothing
// to do, and so no finalizer. With prune a finalizer holds it until what it owns is
// gone:
//
//	suspended, or mode observe ....... nothing is deleted: let go
//	something can still go ........... prune once more, as often as it takes
//	only what is protected is left ... let go, and say what stays
//	its namespace goes too ........... let go after namespacePatience, and say what is left

const (
	// retireAgain is after how long to look again whether something can go; most
	// of what a retirement waits for is seen by no watch, such as the pods that read
	// a ConfigMap.
	retireAgain = 2 * time.Second
	// namespacePatience bounds how long a GitSync keeps its namespace from going.
	namespacePatience = time.Minute
)

// bind puts the finalizer on a GitSync whose deletion is to prune, and takes it off
// any other one.
func (c *Controller) bind(ctx context.Context, gs *v1alpha1.GitSync) error {
	bound := slices.Contains(gs.Finalizers, v1alpha1.FinalizerPrune)
	switch wanted := deletes(gs); {
	case wanted == bound:
		return nil
	case wanted:
		return c.setFinalizers(ctx, gs, append(slices.Clone(gs.Finalizers), v1alpha1.FinalizerPrune))
	default:
		return c.letGo(ctx, gs)
	}
}

// deletes is whether the deletion of a GitSync deletes what it owns.
func deletes(gs *v1alpha1.GitSync) bool {
	return gs.Spec.DeletionPolicy == v1alpha1.DeletionPrune && gs.Spec.Mode != v1alpha1.ModeObserve
}

func (c *Controller) letGo(ctx context.Context, gs *v1alpha1.GitSync) error {
	return c.setFinalizers(ctx, gs, slices.DeleteFunc(slices.Clone(gs.Finalizers), func(f string) bool { return f == v1alpha1.FinalizerPrune }))
}

// setFinalizers writes nothing when somebody else has written the GitSync since.
func (c *Controller) setFinalizers(ctx context.Context, gs *v1alpha1.GitSync, finalizers []string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": gs.ResourceVersion, "finalizers": finalizers}})
	if err != nil {
		return fmt.Errorf("encode finalizers of gitsync %s: %w", name(gs), err)
	}
	written, err := c.Kinds.GitSyncs(gs.Namespace).Patch(ctx, gs.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: v1alpha1.FieldManager})
	if err != nil {
		return fmt.Errorf("write finalizers of gitsync %s: %w", name(gs), err)
	}
	gs.ResourceVersion, gs.Finalizers = written.ResourceVersion, written.Finalizers
	return nil
}

// retire makes one step of the end of a GitSync. It returns after how long to make
// the next one.
func (c *Controller) retire(ctx context.Context, gs *v1alpha1.GitSync) (time.Duration, error) {
	c.passSoon(c.others.awaiting(name(gs))...)
	if !slices.Contains(gs.Finalizers, v1alpha1.FinalizerPrune) {
		return 0, nil
	}
	if why := keepsAll(gs); why != "" {
		c.sayLeft(gs, fmt.Sprintf("the GitSync is deleted, and nothing that it applied is: %s; %s", why, leftBehind(gs)))
		return 0, c.letGo(ctx, gs)
	}
	o := newOutcome(gs)
	if err := c.pruneAll(ctx, gs, o); err != nil {
		o.fail(err)
	}
	if ctx.Err() != nil {
		return 0, nil //nolint:nilerr // stopping: the next process goes on
	}
	going, err := c.namespaceGoes(ctx, gs)
	if err != nil {
		return 0, err
	}
	r := retirement{outcome: o, namespaceGoes: going}
	if r.over(time.Now()) {
		c.sayLeft(gs, r.conclusion())
		return 0, c.letGo(ctx, gs)
	}
	if r.failure != nil {
		return firstRetry, c.writeRetirement(ctx, gs, r)
	}
	return retireAgain, c.writeRetirement(ctx, gs, r)
}

// keepsAll says why nothing of a GitSync is pruned though a finalizer holds it; empty
// when it is.
func keepsAll(gs *v1alpha1.GitSync) string {
	switch {
	case gs.Spec.DeletionPolicy != v1alpha1.DeletionPrune:
		return "spec.deletionPolicy is orphan"
	case gs.Spec.Suspend:
		return "it is suspended"
	case gs.Spec.Mode == v1alpha1.ModeObserve:
		return "its mode is observe"
	default:
		return ""
	}
}

// pruneAll deletes what can go now of all that the inventory lists.
func (c *Controller) pruneAll(ctx context.Context, gs *v1alpha1.GitSync, o *outcome) error {
	s := observed{set: apply.NewSet(name(gs), &render.Declared{}, gs.Status.Inventory)}
	s.set.As = c.accountOf(gs)
	var err error
	if s.objects, err = c.as(gs); err != nil {
		return err
	}
	s.seen = s.objects.Observe(ctx, s.set)
	s.input = diff.Input{Owner: s.set.Owner, Previous: gs.Status.Inventory, Former: s.seen.Former, Retired: true}
	if len(s.input.Former) == 0 {
		o.inventory = nil
	}
	o.rollouts = nil // what else they were on is over
	return c.prune(ctx, gs, s, o)
}

// namespaceGoes is whether the namespace of a GitSync is being deleted.
func (c *Controller) namespaceGoes(ctx context.Context, gs *v1alpha1.GitSync) (bool, error) {
	ns, err := c.Kube.CoreV1().Namespaces().Get(ctx, gs.Namespace, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("get namespace %s: %w", gs.Namespace, err)
	default:
		return ns.DeletionTimestamp != nil, nil
	}
}

// retirement is how far the end of a GitSync has come.
type retirement struct {
	*outcome
	namespaceGoes bool
}

// waits are the objects that the retirement waits for: not for what is kept for good,
// nor for what goes with the namespace that the GitSync itself keeps.
func (r retirement) waits() []diff.Change {
	return slices.DeleteFunc(slices.Clone(r.withheld), func(c diff.Change) bool {
		inside := c.Namespace == r.gs.Namespace || c.ID == diff.ID{Name: r.gs.Namespace, Kind: "Namespace"}
		return c.Reason == diff.ReasonPruneProtected || c.Reason == diff.ReasonProtectedKind || r.namespaceGoes && inside
	})
}

// over is whether the GitSync may go.
func (r retirement) over(now time.Time) bool {
	if r.namespaceGoes && now.Sub(r.gs.DeletionTimestamp.Time) > namespacePatience {
		return true
	}
	return r.failure == nil && len(r.waits()) == 0
}

// conclusion says what is left of what the GitSync had applied.
func (r retirement) conclusion() string {
	left := "nothing is left of what it applied"
	switch {
	case r.failure != nil:
		left = fmt.Sprintf("its namespace goes and does not wait any longer; not everything is deleted that it applied: %s%s", r.failure.Message, r.kept())
	case len(r.withheld) > 0:
		left = fmt.Sprintf("%s of what it applied keep the label %s: %s%s", objects(len(r.withheld)), v1alpha1.LabelOwner, apply.Owner(name(r.gs)), r.kept())
	}
	return "the GitSync is deleted, and " + left
}

// condition says what the deletion waits for, and the way out.
func (r retirement) condition() apply.Condition {
	out := apply.Condition{Ready: metav1.ConditionFalse, Extra: "Reconciling", Reason: ReasonDeleting}
	what := "the objects that it applied are being deleted"
	if r.failure != nil {
		out.Reason, what = r.failure.Reason, "it is being deleted, and "+r.failure.Message
	}
	left := 0
	if r.inventory != nil {
		left = len(r.inventory.Entries)
	}
	out.Message = fmt.Sprintf("%s; %d objects are left%s; to leave them and be done set spec.deletionPolicy to orphan", what, left, r.kept())
	return out
}

func (c *Controller) writeRetirement(ctx context.Context, gs *v1alpha1.GitSync, r retirement) error {
	next := gs.DeepCopy()
	next.Status.ObservedGeneration, next.Status.Inventory, next.Status.Rollouts = gs.Generation, r.inventory, r.rollouts
	next.Status.Conditions = apply.Conditions(gs.Status.Conditions, r.condition(), gs.Generation, time.Now())
	if equality.Semantic.DeepEqual(next.Status, gs.Status) {
		return nil
	}
	if before := readyCondition(gs); before == nil || before.Reason != r.condition().Reason {
		c.Events.Event(gs, "Normal", r.condition().Reason, r.condition().Message)
	}
	_, err := c.Kinds.GitSyncs(gs.Namespace).UpdateStatus(ctx, next, metav1.UpdateOptions{FieldManager: v1alpha1.FieldManager})
	if err != nil {
		return fmt.Errorf("write status of gitsync %s: %w", name(gs), err)
	}
	return nil
}

// reasonDeleted and reasonOrphaned are those of the last event about a GitSync.
const (
	reasonDeleted  = "Deleted"
	reasonOrphaned = "Orphaned"
)

func (c *Controller) sayLeft(gs *v1alpha1.GitSync, message string) {
	c.Logger.Info("gitsync", "gitsync", name(gs).String(), "reason", reasonDeleted, "message", message)
	c.Events.Event(gs, "Normal", reasonDeleted, message)
}

// sayOrphaned says of a GitSync that is gone what it leaves.
func (c *Controller) sayOrphaned(gs *v1alpha1.GitSync) {
	if gs.Spec.DeletionPolicy == v1alpha1.DeletionPrune || gs.Status.Inventory == nil || len(gs.Status.Inventory.Entries) == 0 {
		return
	}
	message := "the GitSync is deleted, and nothing that it applied is: " + leftBehind(gs)
	c.Logger.Info("gitsync", "gitsync", name(gs).String(), "reason", reasonOrphaned, "message", message)
	c.Events.Event(gs, "Normal", reasonOrphaned, message)
}

// leftBehind says what stays of a GitSync whose objects are not pruned.
func leftBehind(gs *v1alpha1.GitSync) string {
	kinds, count := map[string]bool{}, 0
	if gs.Status.Inventory != nil {
		count = len(gs.Status.Inventory.Entries)
		for _, e := range gs.Status.Inventory.Entries {
			if id, err := diff.ParseID(e.ID); err == nil {
				kinds[id.Kind] = true
			}
		}
	}
	out := fmt.Sprintf("what stays as it is, with the label %[3]s: %[4]s, is %[1]s (%[2]s); the next GitSync that declares one takes it over",
		objects(count), strings.Join(slices.Sorted(maps.Keys(kinds)), ", "), v1alpha1.LabelOwner, apply.Owner(name(gs)))
	if kinds["DaemonSet"] {
		out += "; DaemonSets stay under updateStrategy OnDelete with their NodeRollouts, and rollouts under way go on"
	}
	return out
}

// leave ends the removal of DaemonSets whose GitSync is gone, and had not taken them
// along: nobody would delete them when they have left their nodes.
func (c *Controller) leave(ctx context.Context) error {
	var errs []error
	for _, o := range c.rollouts.List() {
		n := o.(*v1alpha1.NodeRollout)
		owner := n.Labels[v1alpha1.LabelOwner]
		if owner == "" || ownerIn(c.syncs, owner) != nil {
			continue
		}
		errs = append(errs, c.Rollouts.Stay(ctx, owner, types.NamespacedName{Namespace: n.Namespace, Name: n.Name}))
	}
	return errors.Join(errs...)
}
