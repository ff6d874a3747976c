package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/health/watch"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// Check asks the API server whether it would take the DaemonSet as declared. It
// writes nothing. A namespace that is missing may be one that the same commit
// brings: that is for the caller to tell.
func (r *Rollouts) Check(ctx context.Context, d Declaration) error {
	_, err := r.examine(ctx, d)
	return err
}

// examined is a declaration that may be carried out.
type examined struct {
	claimed
	want *declared
	// differs is whether there is something to apply beside the template, and
	// recreates whether the DaemonSet has to be made again for that.
	differs, recreates bool
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
	if out.want, err = r.declaredVersion(ctx, d, tried); err != nil || out.recreates {
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

// differsAround is whether there is something to apply beside the template, by a
// dry-run of the whole. Of what the API server refuses, and of fields that
// somebody else manages, the rollout never learns. A DaemonSet that rollcall has
// never applied differs even if it looks the same: what Git drops later would
// stay.
func (r *Rollouts) differsAround(ctx context.Context, d Declaration, live *appsv1.DaemonSet, want *declared) (bool, error) {
	if live == nil {
		return false, nil
	}
	payload, err := d.payload(&want.Template)
	if err == nil {
		err = keepSurge(payload, live)
	}
	if err != nil {
		return false, err
	}
	merged, err := r.applyPolitely(ctx, d, payload, live, true)
	if err != nil {
		return false, err
	}
	return !sameAround(live, merged) || !slices.ContainsFunc(live.ManagedFields, r.Objects.own), nil
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
	if found = slices.DeleteFunc(found, rolled); !r.Objects.adoptable(found) {
		p := r.Objects.conflictProblem(found)
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
	o := metav1.PatchOptions{FieldManager: v1alpha1.FieldManager, Force: &force}
	verb := "apply"
	if dryRun {
		o.DryRun, verb = []string{metav1.DryRunAll}, "dry-run"
	}
	out, err := r.Kube.AppsV1().DaemonSets(d.key().Namespace).Patch(ctx, d.key().Name, types.ApplyPatchType, raw, o)
	if err != nil {
		return nil, classify(verb, d.reference(), err)
	}
	return out, nil
}

// unite makes what rollcall wrote in another way than by an apply, as a claim, a
// creation or a pulse, its applies': a field that Git drops later would stay in
// nobody's care otherwise.
func (r *Rollouts) unite(ctx context.Context, d Declaration, live *appsv1.DaemonSet) (*appsv1.DaemonSet, error) {
	t, err := r.target(d)
	if err != nil {
		return nil, err
	}
	object, err := toUnstructured(live)
	if err != nil {
		return nil, err
	}
	own := *r.Objects
	own.AdoptFrom = []string{}
	united, err := own.takeOver(ctx, t, object)
	if err != nil {
		return nil, classify("unite field managers", d.reference(), err)
	}
	return fromUnstructured(united)
}

// sameAround compares all but the template and what Kubernetes counts by it.
func sameAround(a, b *appsv1.DaemonSet) bool {
	a, b = a.DeepCopy(), b.DeepCopy()
	b.Spec.Template = a.Spec.Template
	delete(a.Annotations, appsv1.DeprecatedTemplateGeneration)
	delete(b.Annotations, appsv1.DeprecatedTemplateGeneration)
	return equality.Semantic.DeepEqual(a.Labels, b.Labels) && equality.Semantic.DeepEqual(a.Annotations, b.Annotations) && equality.Semantic.DeepEqual(a.Spec, b.Spec)
}
