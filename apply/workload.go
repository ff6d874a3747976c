package apply

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/rollcall-dev/rollcall/apply/account"
	"github.com/rollcall-dev/rollcall/diff"
)

// workload is a declared object that has pods.
type workload struct {
	id       diff.ID
	uid      types.UID
	selector *metav1.LabelSelector
	// lagging is how many pods are not of the newest template by what its
	// controller counts; 0 where revisions tell.
	lagging int
	// revisions tells the version of a DaemonSet's pods by their
	// controller-revision-hash, and current is the one that they are to run.
	revisions map[string]string
	current   string
}

// outdated is whether the pod is the DaemonSet's and not of the current version.
// A revision that nobody knows is not.
func (w workload) outdated(p *corev1.Pod) bool {
	if w.revisions == nil {
		return false
	}
	if c := metav1.GetControllerOf(p); c != nil && c.UID != w.uid {
		return false
	}
	version := w.revisions[p.Labels[appsv1.ControllerRevisionHashLabelKey]]
	return version == "" || version != w.current
}

// workload reads a declared workload live. For DaemonSets the counters of the
// status are no use: they leave out pods on nodes that a taint makes unwanted.
func (r *Rollouts) workload(ctx context.Context, as account.Account, id diff.ID, rolled bool) (workload, error) {
	apps, err := r.apps(as)
	switch {
	case err != nil:
		return workload{}, err
	case rolled:
		return r.rolledDaemonSet(ctx, as, id)
	case id.Kind == "DaemonSet":
		return r.nativeDaemonSet(ctx, as, id)
	case id.Kind == "Deployment":
		o, err := apps.Deployments(id.Namespace).Get(ctx, id.Name, metav1.GetOptions{})
		if err != nil {
			return workload{}, failed("get", id.String(), err)
		}
		s := o.Status
		return workload{id: id, selector: o.Spec.Selector, lagging: lagging(o.Generation, s.ObservedGeneration, o.Spec.Replicas, s.Replicas, s.UpdatedReplicas)}, nil
	case id.Kind == "StatefulSet":
		o, err := apps.StatefulSets(id.Namespace).Get(ctx, id.Name, metav1.GetOptions{})
		if err != nil {
			return workload{}, failed("get", id.String(), err)
		}
		s := o.Status
		return workload{id: id, selector: o.Spec.Selector, lagging: lagging(o.Generation, s.ObservedGeneration, o.Spec.Replicas, s.Replicas, s.UpdatedReplicas)}, nil
	default:
		return workload{}, fmt.Errorf("%s has no pods that are known", id)
	}
}

// lagging counts the pods that are not of the newest template, or not there yet.
// Until the controller has seen that template all of them are, and one at least.
func lagging(generation, observed int64, wanted *int32, replicas, updated int32) int {
	all := max(ptr.Deref(wanted, 1), replicas)
	if observed < generation {
		return int(max(all, 1))
	}
	return int(max(all-updated, 0))
}

// rolledDaemonSet is a DaemonSet whose pods are to run the proven version.
func (r *Rollouts) rolledDaemonSet(ctx context.Context, as account.Account, id diff.ID) (workload, error) {
	key := types.NamespacedName{Namespace: id.Namespace, Name: id.Name}
	n, err := r.Kinds.NodeRollouts(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
	if err != nil {
		return workload{}, fmt.Errorf("get noderollout %s: %w", key, err)
	}
	rec, _, err := (store{r.Kube, key}).recorded(ctx)
	if err != nil {
		return workload{}, err
	}
	proven := ""
	if n.Status.Proven != nil {
		proven = n.Status.Proven.Digest
	}
	return r.daemonSet(ctx, as, id, proven, func(*appsv1.DaemonSet) book { return newBook(rec, nil, spelling{}) })
}

// nativeDaemonSet is one whose pods are to run the template that it has.
func (r *Rollouts) nativeDaemonSet(ctx context.Context, as account.Account, id diff.ID) (workload, error) {
	const newest = "newest"
	return r.daemonSet(ctx, as, id, newest, func(ds *appsv1.DaemonSet) book { return book{templates: templates{newest: ds.Spec.Template}} })
}

func (r *Rollouts) daemonSet(ctx context.Context, as account.Account, id diff.ID, current string, known func(*appsv1.DaemonSet) book) (workload, error) {
	ds, err := r.daemonSets(as, id.Namespace).get(ctx, id.Name)
	if err != nil {
		return workload{}, failed("get", id.String(), err)
	}
	owned, err := r.liveRevisions(ctx, ds)
	if err != nil {
		return workload{}, err
	}
	versions := known(ds)
	all, err := newRevisions(owned, &ds.Spec.Template, func(t *corev1.PodTemplateSpec) string { return versions.digestOf(t, current) })
	if err != nil {
		return workload{}, err
	}
	return workload{id: id, uid: ds.UID, selector: ds.Spec.Selector, revisions: all.digests, current: current}, nil
}
