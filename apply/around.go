package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/health/watch"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// Check asks the API server whether it would take the DaemonSet as declared. It
// writes nothing. A namespace that is missing may be one that the same commit
// brings: that is for the caller to tell.
func (r *Rollouts) Check(ctx context.Context, d Declaration) error {
	d, err := d.heeding()
	if err != nil {
		return err
	}
	_, err = r.examine(ctx, d)
	return err
}

// Foresee says what Declare would do with the DaemonSet, and the rollout then. It
// writes nothing. A DaemonSet that is nobody's yet would be adopted, which is an
// update even if it runs as declared.
func (r *Rollouts) Foresee(ctx context.Context, d Declaration) (diff.Operation, error) {
	e, err := r.examine(ctx, d)
	switch {
	case err != nil:
		return diff.Refused, err
	case e.live == nil:
		return diff.Create, nil
	case e.rollout == nil || e.owner() != d.Owner || e.differs != nil:
		return diff.Update, nil
	case e.rollout.Status.Proven == nil || e.rollout.Status.Proven.Digest != e.want.Digest:
		return diff.Update, nil
	case e.asked != "" && e.asked != e.want.Digest: // another version is on its way, or its removal
		return diff.Update, nil
	default:
		return diff.Unchanged, nil
	}
}

// examined is a declaration that may be carried out.
type examined struct {
	claimed
	want *declared
	// asked is the digest that was declared before; empty when that is not known.
	asked string
	// differs is what there is to apply beside the template; nil when there is nothing.
	differs *Revert
	// recreates is whether the DaemonSet has to be made again for that.
	recreates bool
}

// examine reads and tries everything that can speak against a declaration.
func (r *Rollouts) examine(ctx context.Context, d Declaration) (out examined, err error) {
	if out.claimed, err = r.look(ctx, d); err != nil {
		return out, err
	}
	if err = seen(d); err != nil {
		return out, err
	}
	if err = r.fitsProven(ctx, d, out.claimed); err != nil {
		return out, err
	}
	if out.recreates, err = r.recreates(ctx, d, out.claimed); err != nil {
		return out, err
	}
	tried := out.live
	if out.recreates {
		tried = nil // as what it is made anew
	}
	if out.want, out.asked, err = r.declaredVersion(ctx, d, tried); err != nil || out.recreates {
		return out, err
	}
	out.differs, err = r.differsAround(ctx, d, out.live, out.want)
	return out, err
}

// seen refuses a template whose pods would not be watched.
func seen(d Declaration) error {
	ds, err := d.typed()
	if err != nil {
		return err
	}
	if label := watch.Unseen(ds.Spec.Template.Labels); label != "" {
		return &Error{Reason: ReasonInvalid, Object: d.reference(),
			Message: fmt.Sprintf("spec.template.metadata.labels[%s]: that label marks pods of Deployments, Jobs and StatefulSets, which rollcall does not watch: take it out", label)}
	}
	return nil
}

// fitsProven refuses a selector that the proven version's pods do not match, while
// there is no DaemonSet for the API server to refuse it by: whoever deleted that
// would have it made again with a template that is not the selector's.
func (r *Rollouts) fitsProven(ctx context.Context, d Declaration, c claimed) error {
	if c.live != nil || c.rollout == nil || c.rollout.Status.Proven == nil {
		return nil
	}
	rec, _, err := (store{r.Kube, d.key()}).recorded(ctx)
	if err != nil {
		return err
	}
	proven, known := rec.Templates[c.rollout.Status.Proven.Digest]
	if !known {
		return nil
	}
	ds, err := d.typed()
	if err != nil {
		return err
	}
	selector, err := metav1.LabelSelectorAsSelector(ds.Spec.Selector)
	if err != nil || selector.Matches(labels.Set(proven.Labels)) {
		return nil //nolint:nilerr // what is wrong with the selector itself, the API server says better
	}
	return &Error{Reason: ReasonImmutable, Object: d.reference(),
		Message: "spec.selector: the pods of the proven version do not match it, so that they could not come back: revert the change in Git, or give the DaemonSet another name"}
}

// differsAround is what there is to apply beside the template, by a
// dry-run of the whole. Of what the API server refuses, and of fields that
// somebody else manages, the rollout never learns. A DaemonSet that rollcall has
// never applied differs even if it looks the same: what Git drops later would
// stay.
func (r *Rollouts) differsAround(ctx context.Context, d Declaration, live *appsv1.DaemonSet, want *declared) (*Revert, error) {
	if live == nil {
		return nil, nil
	}
	merged, sides, lets, err := r.tryAround(ctx, d, live, &want.Template)
	if err != nil {
		return nil, err
	}
	objects, err := r.applier(d)
	if err != nil {
		return nil, err
	}
	object, err := toUnstructured(live)
	if err != nil {
		return nil, err
	}
	after, err := toUnstructured(merged)
	if err != nil {
		return nil, err
	}
	same := len(lets) == 0 && equality.Semantic.DeepEqual(sides.Live, sides.Merged)
	if same && len(objects.takenFromOthers(object)) == 0 && slices.ContainsFunc(live.ManagedFields, objects.own) {
		return nil, nil
	}
	return &Revert{ID: diff.IDOf(object), Field: fieldAround(d.DaemonSet.Unstructured, sides), Manager: writer(object, after)}, nil
}

// Around is what an apply would make of a live DaemonSet beside its template, in the fields that count, and what it lets go
// of. It writes nothing; what the API server refuses is an *Error.
func (r *Rollouts) Around(ctx context.Context, d Declaration, live *appsv1.DaemonSet) (*diff.Sides, []diff.Pointer, error) {
	d, err := d.heeding()
	if err != nil {
		return nil, nil, err
	}
	_, sides, lets, err := r.tryAround(ctx, d, live, &live.Spec.Template)
	return sides, lets, err
}

func (r *Rollouts) tryAround(ctx context.Context, d Declaration, live *appsv1.DaemonSet, template *corev1.PodTemplateSpec) (merged *appsv1.DaemonSet, sides *diff.Sides, lets []diff.Pointer, err error) {
	payload, err := d.payload(template)
	if err == nil {
		err = keepSurge(payload, live)
	}
	if err != nil {
		return nil, nil, nil, err
	}
	merged, err = r.applyPolitely(ctx, d, payload, live, true)
	if err != nil {
		return nil, nil, nil, err
	}
	sides, lets, err = r.around(d, live, merged)
	return merged, sides, lets, err
}

// fieldAround is the first field beside the template in which the two sides differ.
func fieldAround(declared *unstructured.Unstructured, sides *diff.Sides) string {
	live, merged := &unstructured.Unstructured{Object: sides.Live}, &unstructured.Unstructured{Object: sides.Merged}
	plan := diff.Calculate(diff.Input{Owner: live.GetLabels()[v1alpha1.LabelOwner], Objects: []diff.Object{{Declared: declared, Live: live, Merged: merged, Sides: sides}}})
	for _, f := range plan.Changes[0].Fields {
		if !strings.HasPrefix(f.Path, "spec.updateStrategy") {
			return f.Path
		}
	}
	return fieldManagers
}

// applier is the Applier of the declaration's owner.
func (r *Rollouts) applier(d Declaration) (*Applier, error) {
	out, err := r.Objects.As(d.As)
	if err != nil {
		return nil, err
	}
	return out.Adopting(d.AdoptFrom), nil
}

// applyAround applies what Git declares beside the template and leaves the live
// template as it is. The resourceVersion in the payload refuses a write that
// would race with a pulse.
func (r *Rollouts) applyAround(ctx context.Context, d Declaration, live *appsv1.DaemonSet) (*appsv1.DaemonSet, error) {
	live, err := r.unite(ctx, d, live)
	if err != nil {
		return nil, err
	}
	payload, err := d.payload(&live.Spec.Template)
	if err == nil {
		err = keepSurge(payload, live)
	}
	if err != nil {
		return nil, err
	}
	r.Logger.Info("apply", "daemonset", d.key().String(), "commit", d.Commit)
	return r.applyPolitely(ctx, d, payload, live, false)
}

// applyPolitely applies to the live DaemonSet, unless somebody writes it
// meanwhile. It takes over what rollcall always owns, and the fields of managers
// that may be taken over from; any other is a conflict.
func (r *Rollouts) applyPolitely(ctx context.Context, d Declaration, payload *unstructured.Unstructured, live *appsv1.DaemonSet, dryRun bool) (*appsv1.DaemonSet, error) {
	if !dryRun {
		payload.SetResourceVersion(live.ResourceVersion)
	}
	out, err := r.applyDaemonSet(ctx, d, payload, dryRun, false)
	found := conflicts(err)
	if len(found) == 0 {
		return out, err
	}
	objects, err := r.applier(d)
	if err != nil {
		return nil, err
	}
	if found = slices.DeleteFunc(found, rolled); !objects.adoptable(found) {
		p := objects.conflictProblem(found)
		return nil, &Error{Reason: p.Reason, Object: d.reference(), Message: p.Message}
	}
	return r.applyDaemonSet(ctx, d, payload, dryRun, true)
}

// rolled is whether a field is one that only the rollout writes: what anybody
// else puts there is written over.
func rolled(c conflict) bool {
	return strings.HasPrefix(c.field, "spec.template.") || strings.HasPrefix(c.field, "spec.updateStrategy")
}

// applyDaemonSet makes a server-side apply, or tries one.
func (r *Rollouts) applyDaemonSet(ctx context.Context, d Declaration, payload *unstructured.Unstructured, dryRun, force bool) (*appsv1.DaemonSet, error) {
	raw, err := json.Marshal(payload)
	if err != nil {
		return nil, fmt.Errorf("encode daemonset %s: %w", d.key(), err)
	}
	o := metav1.PatchOptions{Force: &force}
	verb := "apply"
	if dryRun {
		o.DryRun, verb = []string{metav1.DryRunAll}, "dry-run"
	}
	out, err := r.daemonSets(d.As, d.key().Namespace).patch(ctx, d.key().Name, types.ApplyPatchType, raw, o)
	if err != nil {
		return nil, classify(verb, d.reference(), err)
	}
	return out, nil
}

// unite makes what rollcall wrote in another way than by an apply, as a claim, a
// creation or a pulse, its applies', and what those wrote whom the declaration takes
// over from: a field that Git drops, or does not declare, would stay in nobody's
// care otherwise. Of the template nothing goes: what is applied has all of it.
func (r *Rollouts) unite(ctx context.Context, d Declaration, live *appsv1.DaemonSet) (*appsv1.DaemonSet, error) {
	t, err := r.target(d)
	if err != nil {
		return nil, err
	}
	object, err := toUnstructured(live)
	if err != nil {
		return nil, err
	}
	objects, err := r.applier(d)
	if err != nil {
		return nil, err
	}
	united, err := objects.takeOver(ctx, t, object)
	if err != nil {
		return nil, classify("unite field managers", d.reference(), err)
	}
	return fromUnstructured(united)
}

// own is an Applier that takes over nothing of others.
func (r *Rollouts) own() *Applier {
	own := *r.Objects
	own.AdoptFrom = []string{}
	return &own
}

// around are the two states in what rollcall has of them but the template, and the ignored fields that it lets go of. Only
// what it applies counts: a webhook's additions to what a pulse writes are rollcall's by name as well.
func (r *Rollouts) around(d Declaration, live, merged *appsv1.DaemonSet) (*diff.Sides, []diff.Pointer, error) {
	t, err := r.target(d)
	if err != nil {
		return nil, nil, err
	}
	s := states{declared: t.object}
	if s.live, err = toUnstructured(live); err != nil {
		return nil, nil, err
	}
	if s.merged, err = toUnstructured(merged); err != nil {
		return nil, nil, err
	}
	s.applied = s.merged
	held, err := r.own().holds(t, s.live)
	if err != nil {
		return nil, nil, err
	}
	sides, err := s.sides(r.Objects.own, paths(held))
	if err != nil {
		return nil, nil, err
	}
	if sides == nil {
		sides = &diff.Sides{Live: reduced(s.live, t.object, everything()), Merged: reduced(s.merged, t.object, everything())}
	}
	for _, side := range []map[string]any{sides.Live, sides.Merged} {
		unstructured.RemoveNestedField(side, "spec", "template")
		unstructured.RemoveNestedField(side, "metadata", "annotations", appsv1.DeprecatedTemplateGeneration)
	}
	var lets []diff.Pointer
	for _, h := range held {
		lets = append(lets, h.pointer)
	}
	return sides, lets, nil
}

// everything is what counts of a DaemonSet of which it cannot be told whose each field is.
func everything() *fieldpath.Set {
	return fieldpath.NewSet(fieldpath.MakePathOrDie("spec"), fieldpath.MakePathOrDie("metadata", "labels"), fieldpath.MakePathOrDie("metadata", "annotations"))
}

// heeding is the declaration without what is ignored. A rollout writes the template whole, has pods found by the
// selector, and sets the strategy by itself: nothing of them can be left to others.
func (d Declaration) heeding() (Declaration, error) {
	d.ignored = diff.Ignored(d.Ignore, d.DaemonSet.Unstructured)
	for _, p := range d.ignored {
		_, has := p.Value(d.DaemonSet.Object.Object)
		if has && p.In("spec") && !p.In("spec", "minReadySeconds") && !p.In("spec", "revisionHistoryLimit") {
			return d, &Error{Reason: ReasonInvalid, Object: d.reference(), Message: fmt.Sprintf("spec.ignore: pointer %s: a rollout writes the template, the selector and the update strategy of a DaemonSet whole: "+
				"give the rule a kind or a name so that it is not for this one, or leave the DaemonSet to Kubernetes by the annotation %s: %s", p, v1alpha1.AnnotationRollout, v1alpha1.RolloutNative)}
		}
	}
	for _, o := range []**unstructured.Unstructured{&d.DaemonSet.Unstructured, &d.DaemonSet.Pinned} {
		rest, problem := diff.Without(d.ignored, *o)
		if problem != nil {
			return d, &Error{Reason: problem.Reason, Object: d.reference(), Message: problem.Message}
		}
		*o = rest
	}
	return d, nil
}
