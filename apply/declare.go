package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply/account"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/health/watch"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// ReasonDeclared is a rollout that has not looked yet at what was declared to it.
const ReasonDeclared = "Declared"

// Declaration is one DaemonSet as a commit declares it.
type Declaration struct {
	DaemonSet render.DaemonSet
	Commit    string
	// Policy names the RolloutPolicy; empty for the default.
	Policy string
	// Owner is the value of the owner label.
	Owner string
	// As is the owner's account, by which the DaemonSet is read, tried and written.
	As account.Account
	// AdoptFrom are the field managers whose fields may be taken over; nil for the
	// default ones.
	AdoptFrom []string
	// ConfigChanged is whether Git would change a plain ConfigMap or Secret that
	// running pods mount.
	ConfigChanged bool
	// Ignore are the fields that are left to others.
	Ignore []v1alpha1.IgnoreRule

	// ignored are those that are for the DaemonSet, and gone from it; see heeding.
	ignored []diff.Pointer
}

func (d Declaration) key() types.NamespacedName {
	return types.NamespacedName{Namespace: d.DaemonSet.GetNamespace(), Name: d.DaemonSet.GetName()}
}

// Declare hands a DaemonSet to its rollout. It writes everything of the
// DaemonSet but its pod template, which only the rollout writes:
//
//	the API server refuses it ........... nothing: what runs keeps running
//	neither DaemonSet nor NodeRollout ... first install: make both
//	DaemonSet only ...................... adopt it as proven, as it runs
//	NodeRollout only .................... somebody deleted the DaemonSet: make it proven again
//	both ................................ apply what is not the template
//	both, and another selector .......... make it again around its pods, see recreate
//
// It begins with the claim: a GitSync that does not get it touches nothing.
// Every step is found done or not done by the next call, and by the next try
// when another write overtakes one.
//
// It returns what watch.Around says of the DaemonSet then, and what somebody else
// changed beside its template; nil when nobody did.
func (r *Rollouts) Declare(ctx context.Context, d Declaration) (around string, differed *Revert, err error) {
	if d, err = d.heeding(); err != nil {
		return "", nil, err
	}
	for range attempts {
		live, differed, err := r.declareOnce(ctx, d)
		if !lostRace(err) {
			return watch.Around(live), differed, err
		}
	}
	return "", nil, &Error{Reason: ReasonUnavailable, Object: d.reference(), Message: "somebody else keeps writing it; the next pass tries again", Err: err}
}

// declareOnce returns the DaemonSet as it leaves it, and what differed.
func (r *Rollouts) declareOnce(ctx context.Context, d Declaration) (*appsv1.DaemonSet, *Revert, error) {
	e, err := r.examine(ctx, d)
	if err != nil {
		return nil, nil, err
	}
	c, want := e.claimed, e.want
	if c, err = r.claim(ctx, d, c); err != nil {
		return nil, nil, err
	}
	// Before it begins: a rollout without a declaration has lost it.
	if err := (store{r.Kube, d.key()}).writeDeclared(ctx, c.rollout, *want); err != nil {
		return nil, nil, err
	}
	if c.live, err = r.begin(ctx, d, c, want); err != nil {
		return nil, nil, err
	}
	defer r.loop.Enqueue(d.key())
	switch {
	case c.live == nil:
		live, err := r.createDaemonSet(ctx, d, c.rollout, want)
		return live, nil, err
	case e.recreates:
		live, err := r.recreate(ctx, d, c, want)
		return live, nil, err
	case e.differs != nil:
		live, err := r.applyAround(ctx, d, c.live)
		return live, e.differs.byOthers(), err
	default:
		return c.live, nil, nil
	}
}

// begin gives a new NodeRollout its first phase: from then on the rollout
// decides. It returns the DaemonSet as it is then.
func (r *Rollouts) begin(ctx context.Context, d Declaration, c claimed, want *declared) (*appsv1.DaemonSet, error) {
	switch {
	case c.rollout.Status.Phase != "":
		return c.live, nil
	case c.live == nil:
		return nil, r.initialise(ctx, c.rollout, nil)
	case hasGate(&c.live.Spec.Template):
		live, err := r.restore(ctx, c.live)
		if err != nil {
			return nil, err
		}
		if live == nil { // the first install goes on
			return c.live, r.initialise(ctx, c.rollout, nil)
		}
		return live, r.adopt(ctx, d, c.rollout, live, want)
	default:
		return c.live, r.adopt(ctx, d, c.rollout, c.live, want)
	}
}

// declaredVersion is the declared version with its template as the API server
// defaults it, and the digest that was declared before. Live is nil when there is no
// DaemonSet.
func (r *Rollouts) declaredVersion(ctx context.Context, d Declaration, live *appsv1.DaemonSet) (out *declared, before string, err error) {
	ds, err := d.typed()
	if err != nil {
		return nil, "", err
	}
	out = &declared{Digest: d.DaemonSet.Digest, Commit: d.Commit, Policy: d.Policy, Owner: d.Owner, As: d.As.Name, Around: d.around(), MaxUnavailable: ownMaxUnavailable(ds), MaxSurge: ownMaxSurge(ds)}
	old, err := (store{r.Kube, d.key()}).declared(ctx)
	if err != nil {
		return nil, "", err
	}
	if old != nil {
		before = old.Digest
	}
	if before == out.Digest {
		out.Template, out.Commit = old.Template, old.Commit
		return out, before, nil
	}
	template, err := r.Defaulted(ctx, d, live)
	if err != nil {
		return nil, "", err
	}
	out.Template = *template
	return out, before, nil
}

// typed is what is declared, with pinned config.
func (d Declaration) typed() (*appsv1.DaemonSet, error) {
	var ds appsv1.DaemonSet
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(d.DaemonSet.Pinned.Object, &ds); err != nil {
		return nil, fmt.Errorf("read daemonset %s from %s: %w", d.key(), d.DaemonSet.Source, err)
	}
	return &ds, nil
}

// probeName begins the name under which a declared DaemonSet is tried out.
const probeName = "rollcall-dry-run-"

// Defaulted is the declared template as the API server defaults it, without
// rollcall's gate; an *Error when it refuses it. Live is nil when there is no
// DaemonSet. It comes from a dry-run that cannot inherit anything that others
// wrote to the live template, as a server-side apply would:
//
//	there is none ... a creation, under a name that nobody has
//	there is one .... its whole spec replaced: nothing is made, so no quota for
//	                  new objects counts
func (r *Rollouts) Defaulted(ctx context.Context, d Declaration, live *appsv1.DaemonSet) (*corev1.PodTemplateSpec, error) {
	probe, err := d.typed()
	if err != nil {
		return nil, err
	}
	client, dryRun := r.daemonSets(d.As, d.key().Namespace), []string{metav1.DryRunAll}
	var tried *appsv1.DaemonSet
	if live == nil {
		probe.Name, probe.GenerateName = "", probeName
		tried, err = client.create(ctx, probe, metav1.CreateOptions{DryRun: dryRun})
	} else {
		var patch []byte
		if patch, err = json.Marshal([]map[string]any{{"op": "replace", "path": "/spec", "value": probe.Spec}}); err != nil {
			return nil, fmt.Errorf("encode daemonset %s: %w", d.key(), err)
		}
		tried, err = client.patch(ctx, live.Name, types.JSONPatchType, patch, metav1.PatchOptions{DryRun: dryRun})
	}
	if err != nil {
		e := classify("dry-run", d.reference(), err)
		e.Message = withoutProbe(e.Message, d.key().Name)
		return nil, e
	}
	return withoutGate(&tried.Spec.Template), nil
}

// withoutProbe has the name that the user wrote in place of the one that the API
// server made up for the dry-run, which nobody could look for.
func withoutProbe(message, name string) string {
	return regexp.MustCompile(probeName+"[a-z0-9]*").ReplaceAllString(message, name)
}

func (d Declaration) reference() string {
	return fmt.Sprintf("DaemonSet %s (%s)", d.key(), d.DaemonSet.Source)
}

// Refused is why the API server does not take what is declared, from what it
// answered.
func (d Declaration) Refused(verb string, err error) *Error {
	return classify(verb, d.reference(), err)
}

// initialise writes the first status of a NodeRollout.
func (r *Rollouts) initialise(ctx context.Context, n *v1alpha1.NodeRollout, proven *v1alpha1.Version) error {
	n.Status.Phase, n.Status.Reason, n.Status.Message, n.Status.Proven = v1alpha1.PhaseWaiting, ReasonDeclared, "the rollout begins", proven
	if proven != nil {
		n.Status.Message = "adopted as it runs"
	}
	updated, err := r.Kinds.NodeRollouts(n.Namespace).UpdateStatus(ctx, n, metav1.UpdateOptions{FieldManager: v1alpha1.FieldManager})
	if err != nil {
		return fmt.Errorf("initialise noderollout %s/%s: %w", n.Namespace, n.Name, err)
	}
	*n = *updated
	return nil
}

// createDaemonSet makes the DaemonSet with the version that belongs there: the
// proven one if there is one, else the declared one. A create, unlike an apply,
// writes over nothing that somebody else has made meanwhile.
func (r *Rollouts) createDaemonSet(ctx context.Context, d Declaration, n *v1alpha1.NodeRollout, want *declared) (*appsv1.DaemonSet, error) {
	template, err := r.templateToMake(ctx, d, n, want)
	if err != nil {
		return nil, err
	}
	payload, err := d.payload(template)
	if err != nil {
		return nil, err
	}
	var ds appsv1.DaemonSet
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(payload.Object, &ds); err != nil {
		return nil, fmt.Errorf("read daemonset %s: %w", d.key(), err)
	}
	r.Logger.Info("create", "daemonset", d.key().String(), "commit", d.Commit)
	made, err := r.daemonSets(d.As, d.key().Namespace).create(ctx, &ds, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("create daemonset %s: %w", d.key(), err) // another try looks whose it is
	}
	if err != nil {
		return nil, classify("create", d.reference(), err)
	}
	d.AdoptFrom = []string{} // nobody else has written it
	return r.unite(ctx, d, made)
}

// payload is the declared DaemonSet with another template, under OnDelete and
// with the owner label.
func (d Declaration) payload(template *corev1.PodTemplateSpec) (*unstructured.Unstructured, error) {
	t, err := runtime.DefaultUnstructuredConverter.ToUnstructured(template)
	if err != nil {
		return nil, fmt.Errorf("encode template of daemonset %s: %w", d.key(), err)
	}
	unstructured.RemoveNestedField(t, "metadata", "creationTimestamp")
	out := d.DaemonSet.DeepCopy()
	out.SetLabels(labelled(out.GetLabels(), d.Owner))
	spec, _, err := unstructured.NestedMap(out.Object, "spec")
	if err != nil {
		return nil, fmt.Errorf("read spec of daemonset %s: %w", d.key(), err)
	}
	spec["template"] = t
	spec["updateStrategy"] = map[string]any{"type": string(appsv1.OnDeleteDaemonSetStrategyType)}
	out.Object["spec"] = spec
	return out, nil
}

// labelled are the labels with the owner label.
func labelled(labels map[string]string, owner string) map[string]string {
	out := maps.Clone(labels)
	if out == nil {
		out = map[string]string{}
	}
	out[v1alpha1.LabelOwner] = owner
	return out
}
