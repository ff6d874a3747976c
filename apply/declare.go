package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// Declaration is one DaemonSet as a commit declares it.
type Declaration struct {
	DaemonSet render.DaemonSet
	Commit    string
	// Policy names the RolloutPolicy; empty for the default.
	Policy string
	// Owner is the value of the owner label.
	Owner string
	// ConfigChanged is whether Git would change a plain ConfigMap or Secret that
	// running pods mount.
	ConfigChanged bool
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
//
// Every step is found done or not done by the next call, and by the next try
// when another write overtakes one.
func (r *Rollouts) Declare(ctx context.Context, d Declaration) error {
	var err error
	for range attempts {
		if err = r.declareOnce(ctx, d); !overtaken(err) {
			return err
		}
	}
	return &Error{Reason: ReasonUnavailable, Object: d.reference(), Message: "somebody else keeps writing it; the next pass tries again", Err: err}
}

func (r *Rollouts) declareOnce(ctx context.Context, d Declaration) error {
	live, err := r.liveDaemonSet(ctx, d)
	if err != nil {
		return err
	}
	want, err := r.declaredVersion(ctx, d)
	if err != nil {
		return err
	}
	differs, err := r.differsAround(ctx, d, live, want)
	if err != nil {
		return err
	}
	n, err := r.ensureRollout(ctx, d)
	if err != nil {
		return err
	}
	switch {
	case n.Status.Phase != "":
	case live != nil:
		err = r.adopt(ctx, d, n, live)
	default:
		err = r.initialise(ctx, n, nil)
	}
	if err != nil {
		return err
	}
	if err := (store{r.Kube, d.key()}).writeDeclared(ctx, n, *want); err != nil {
		return err
	}
	defer r.loop.Enqueue(d.key())
	switch {
	case live == nil:
		return r.createDaemonSet(ctx, d, n, want)
	case differs:
		return r.applyAround(ctx, d, live)
	default:
		return nil
	}
}

func (r *Rollouts) liveDaemonSet(ctx context.Context, d Declaration) (*appsv1.DaemonSet, error) {
	live, err := r.Kube.AppsV1().DaemonSets(d.key().Namespace).Get(ctx, d.key().Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get daemonset %s: %w", d.key(), err)
	}
	if owner := live.Labels[v1alpha1.LabelOwner]; owner != "" && owner != d.Owner {
		return nil, ownedByAnother(d, owner)
	}
	return live, nil
}

// declaredVersion is the declared version with its template as the API server
// defaults it. That template comes from a dry-run creation under another name:
// unlike a dry-run on the live object it cannot inherit anything that others
// wrote there.
func (r *Rollouts) declaredVersion(ctx context.Context, d Declaration) (*declared, error) {
	var ds appsv1.DaemonSet
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(d.DaemonSet.Pinned.Object, &ds); err != nil {
		return nil, fmt.Errorf("read daemonset %s from %s: %w", d.key(), d.DaemonSet.Source, err)
	}
	out := &declared{Digest: d.DaemonSet.Digest, Commit: d.Commit, Policy: d.Policy}
	if ru := ds.Spec.UpdateStrategy.RollingUpdate; ru != nil && ru.MaxUnavailable != nil {
		out.MaxUnavailable = ru.MaxUnavailable.String()
	}
	old, err := (store{r.Kube, d.key()}).declared(ctx)
	if err != nil {
		return nil, err
	}
	if old != nil && old.Digest == out.Digest {
		out.Template, out.Commit = old.Template, old.Commit
		return out, nil
	}
	template, err := r.defaulted(ctx, d, &ds)
	if err != nil {
		return nil, err
	}
	out.Template = *template
	return out, nil
}

func (r *Rollouts) defaulted(ctx context.Context, d Declaration, ds *appsv1.DaemonSet) (*corev1.PodTemplateSpec, error) {
	probe := ds.DeepCopy()
	probe.Name, probe.GenerateName = "", "rollcall-dry-run-"
	made, err := r.Kube.AppsV1().DaemonSets(d.key().Namespace).Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: v1alpha1.FieldManager})
	if err != nil {
		return nil, classify("dry-run", d.reference(), err)
	}
	return withoutGate(&made.Spec.Template), nil
}

func (d Declaration) reference() string {
	return fmt.Sprintf("DaemonSet %s (%s)", d.key(), d.DaemonSet.Source)
}

func (r *Rollouts) ensureRollout(ctx context.Context, d Declaration) (*v1alpha1.NodeRollout, error) {
	client := r.Kinds.NodeRollouts(d.key().Namespace)
	n, err := client.Get(ctx, d.key().Name, metav1.GetOptions{})
	if err == nil && n.Labels[v1alpha1.LabelOwner] != d.Owner {
		// The DaemonSet was handed over: its new owner adopts it as it runs.
		err = client.Delete(ctx, n.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(n.UID))})
		if err == nil {
			n, err = client.Get(ctx, d.key().Name, metav1.GetOptions{})
		}
	}
	if err == nil || !apierrors.IsNotFound(err) {
		return n, wrap("get noderollout", d.key(), err)
	}
	n, err = client.Create(ctx, &v1alpha1.NodeRollout{ObjectMeta: metav1.ObjectMeta{
		Namespace: d.key().Namespace, Name: d.key().Name, Labels: labelled(nil, d.Owner),
	}}, metav1.CreateOptions{FieldManager: v1alpha1.FieldManager})
	return n, wrap("create noderollout", d.key(), err)
}

func wrap(verb string, key types.NamespacedName, err error) error {
	if err != nil {
		return fmt.Errorf("%s %s: %w", verb, key, err)
	}
	return nil
}

// initialise gives a NodeRollout its first phase: from then on the rollout
// decides.
func (r *Rollouts) initialise(ctx context.Context, n *v1alpha1.NodeRollout, proven *v1alpha1.Version) error {
	n.Status.Phase, n.Status.Reason, n.Status.Message, n.Status.Proven = v1alpha1.PhaseWaiting, "Declared", "the rollout begins", proven
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
// proven one if there is one, else the declared one.
func (r *Rollouts) createDaemonSet(ctx context.Context, d Declaration, n *v1alpha1.NodeRollout, want *declared) error {
	template := want.Template
	if proven := n.Status.Proven; proven != nil && proven.Digest != want.Digest {
		rec, _, err := (store{r.Kube, d.key()}).recorded(ctx)
		if err != nil {
			return err
		}
		template = rec.Templates[proven.Digest]
	}
	payload, err := d.payload(&template)
	if err != nil {
		return err
	}
	_, err = r.applyDaemonSet(ctx, d, payload, false)
	return err
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

func (r *Rollouts) applyDaemonSet(ctx context.Context, d Declaration, payload *unstructured.Unstructured, dryRun bool) (*appsv1.DaemonSet, error) {
	raw, err := json.Marshal(payload)
	if err != nil {
		return nil, fmt.Errorf("encode daemonset %s: %w", d.key(), err)
	}
	o := metav1.PatchOptions{FieldManager: v1alpha1.FieldManager, Force: ptr.To(true)}
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
