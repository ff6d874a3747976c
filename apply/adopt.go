package apply

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/health"
	"github.com/rollcall-dev/rollcall/health/watch"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// adopt records what runs as proven.
func (r *Rollouts) adopt(ctx context.Context, d Declaration, n *v1alpha1.NodeRollout, live *appsv1.DaemonSet, want *declared) error {
	running, err := r.running(ctx, d, live, want)
	if err != nil {
		return err
	}
	digest := d.DaemonSet.Digest
	same, err := r.runsAsDeclared(ctx, d, live, running, want)
	if err != nil {
		return err
	}
	if !same {
		if digest, err = adoptedDigest(running); err != nil {
			return err
		}
	}
	proven := v1alpha1.Version{Digest: digest}
	if digest == d.DaemonSet.Digest {
		proven.Commit = d.Commit
	}
	s := store{r.Kube, d.key()}
	before, old, err := s.recorded(ctx)
	if err != nil {
		return err
	}
	if err := s.writeRecorded(ctx, n, change{from: old, before: before, after: recorded{Templates: templates{digest: *running}}}); err != nil {
		return err
	}
	return r.initialise(ctx, n, &proven)
}

// running is the template that is adopted: the one that most pods run. In the
// middle of a rollout by Kubernetes that is not the live one, which nothing has
// proven.
//
// What rollcall itself left behind, whose NodeRollout was deleted, holds the
// proven template, however many pods had got the candidate; but not by a policy that
// has the candidate in the spec.
func (r *Rollouts) running(ctx context.Context, d Declaration, live *appsv1.DaemonSet, want *declared) (*corev1.PodTemplateSpec, error) {
	policy, _, err := r.policyFor(ctx, want, nil)
	if err != nil {
		return nil, err
	}
	own := live.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType && slices.ContainsFunc(live.ManagedFields, r.Objects.own)
	if own && policy.Spec.NewPods != v1alpha1.NewPodsCandidate {
		return &live.Spec.Template, nil
	}
	return r.mostRunNow(d.key(), live)
}

// mostRunNow is the template that most pods run.
func (r *Rollouts) mostRunNow(key types.NamespacedName, live *appsv1.DaemonSet) (*corev1.PodTemplateSpec, error) {
	if !r.Fleet.Synced() {
		return nil, fleetUnknown(key, "what its pods run")
	}
	var pods []health.Agent
	for _, n := range r.Fleet.Nodes(live.UID, watch.NewPlacement(&live.Spec.Template), nil, func(string) string { return "" }) {
		pods = append(pods, n.Agents...)
	}
	most, err := mostRun(&live.Spec.Template, r.Fleet.Revisions(live.UID), pods)
	if err != nil || !equality.Semantic.DeepEqual(most, &live.Spec.Template) {
		return most, err
	}
	return &live.Spec.Template, nil // as the API server spells it now
}

// ran is one template with the pods that run it.
type ran struct {
	template *corev1.PodTemplateSpec
	// revision is the newest that holds the template.
	revision    int64
	ready, pods int
}

// mostRun is the template that most Ready pods run, or most pods where as many
// are Ready; the older one of two that are equal in that, and the live one when
// none is known to run.
func mostRun(live *corev1.PodTemplateSpec, owned []*appsv1.ControllerRevision, pods []health.Agent) (*corev1.PodTemplateSpec, error) {
	all, byHash, err := distinct(owned)
	if err != nil {
		return nil, err
	}
	for i := range pods {
		p := &pods[i]
		o := byHash[p.Revision]
		if o == nil || p.Gated || p.Terminating || p.Failed {
			continue
		}
		o.pods++
		if p.Ready {
			o.ready++
		}
	}
	slices.SortFunc(all, func(a, b *ran) int {
		return cmp.Or(cmp.Compare(b.ready, a.ready), cmp.Compare(b.pods, a.pods), cmp.Compare(a.revision, b.revision))
	})
	if len(all) == 0 || all[0].pods == 0 {
		return live, nil
	}
	return all[0].template, nil
}

// distinct are the templates of revisions, each once, also by the
// controller-revision-hash of the pods that run it.
func distinct(owned []*appsv1.ControllerRevision) (all []*ran, byHash map[string]*ran, err error) {
	byHash = map[string]*ran{}
	for _, revision := range owned {
		t, err := revisionTemplate(revision)
		if err != nil {
			return nil, nil, err
		}
		t = withoutGate(t)
		i := slices.IndexFunc(all, func(o *ran) bool { return equality.Semantic.DeepEqual(o.template, t) })
		if i < 0 {
			i, all = len(all), append(all, &ran{template: t})
		}
		all[i].revision = max(all[i].revision, revision.Revision)
		for _, hash := range RevisionHashes(revision) {
			byHash[hash] = all[i]
		}
	}
	return all, byHash, nil
}

// runsAsDeclared is whether what runs is the declared version: with pinned
// config, as a rollout left it whose NodeRollout was deleted, or in so far as
// Git's plain manifest would make the template that. Then its config gets pinned
// with the next real change, since pinning now would restart every pod.
func (r *Rollouts) runsAsDeclared(ctx context.Context, d Declaration, live *appsv1.DaemonSet, running *corev1.PodTemplateSpec, want *declared) (bool, error) {
	if equality.Semantic.DeepEqual(&want.Template, running) {
		return true, nil
	}
	merged, err := r.taken(ctx, d, live)
	return err == nil && !d.ConfigChanged && equality.Semantic.DeepEqual(merged, running), err
}

// taken is what Git's plain manifest would make of the template, as the API
// server says. What Git leaves out is gone from it if it came from a manager
// that may be taken over from: an apply alone would keep, and so hide, what
// kubectl once applied. What others wrote, such as the annotation of `kubectl
// rollout restart`, stays.
func (r *Rollouts) taken(ctx context.Context, d Declaration, live *appsv1.DaemonSet) (*corev1.PodTemplateSpec, error) {
	payload := d.DaemonSet.DeepCopy()
	unstructured.RemoveNestedField(payload.Object, "spec", "updateStrategy")
	merged, err := r.applyDaemonSet(ctx, d, payload, true, true)
	if err != nil {
		return nil, err
	}
	before, err := toUnstructured(live)
	if err != nil {
		return nil, err
	}
	objects, err := r.applier(d)
	if err != nil {
		return nil, err
	}
	if len(objects.taken(before)) == 0 {
		return &merged.Spec.Template, nil
	}
	after, err := toUnstructured(merged)
	if err != nil {
		return nil, err
	}
	t, err := r.target(d)
	if err != nil {
		return nil, err
	}
	rest, err := objects.withoutTaken(ctx, t, before, after)
	if err != nil {
		return nil, classify("dry-run", d.reference(), err)
	}
	out, err := fromUnstructured(rest)
	if err != nil {
		return nil, err
	}
	return &out.Spec.Template, nil
}

// target is the DaemonSet as the Applier knows objects.
func (r *Rollouts) target(d Declaration) (target, error) {
	mapping, err := r.Objects.kindOf(appsv1.SchemeGroupVersion.WithKind("DaemonSet"))
	if err != nil {
		return target{}, fmt.Errorf("find kind of daemonset %s: %w", d.key(), err)
	}
	return target{object: d.DaemonSet.Unstructured, source: d.DaemonSet.Source, mapping: mapping, ignored: d.ignored}, nil
}

func fromUnstructured(o *unstructured.Unstructured) (*appsv1.DaemonSet, error) {
	var out appsv1.DaemonSet
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &out); err != nil {
		return nil, fmt.Errorf("read daemonset %s/%s: %w", o.GetNamespace(), o.GetName(), err)
	}
	return &out, nil
}

func toUnstructured(ds *appsv1.DaemonSet) (*unstructured.Unstructured, error) {
	ds = ds.DeepCopy()
	ds.APIVersion, ds.Kind = appsv1.SchemeGroupVersion.String(), "DaemonSet"
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(ds)
	if err != nil {
		return nil, fmt.Errorf("encode daemonset %s/%s: %w", ds.Namespace, ds.Name, err)
	}
	return &unstructured.Unstructured{Object: object}, nil
}
