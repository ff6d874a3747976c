package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/apply/kinds"
	"github.com/rollcall-dev/rollcall/health/watch"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// observer reads from the cluster what status shows.
type observer struct {
	kinds *kinds.Client
	kube  kubernetes.Interface
	// namespace is empty for all of them.
	namespace string
	// name is that of the only DaemonSet to show; empty for all of them.
	name string
}

// objects reads the GitSyncs and NodeRollouts: those of the namespace, and what
// belongs to them in other namespaces as far as that may be read.
func (o *observer) objects(ctx context.Context) ([]v1alpha1.GitSync, []v1alpha1.NodeRollout, error) {
	syncs, rollouts, err := o.list(ctx)
	if err != nil {
		return nil, nil, explainList(err)
	}
	if o.namespace == "" && o.name == "" {
		return syncs, rollouts, nil
	}
	s, r := o.choose(syncs, rollouts)
	if o.name != "" && len(r) == 0 && !slices.ContainsFunc(s, o.declaresUnrolled) {
		return nil, nil, notFound(ctx, o.kinds, types.NamespacedName{Namespace: o.namespace, Name: o.name})
	}
	return s, r, nil
}

// list reads those of all namespaces, or of the only one that may be read.
func (o *observer) list(ctx context.Context) ([]v1alpha1.GitSync, []v1alpha1.NodeRollout, error) {
	syncs, err := o.kinds.GitSyncs(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if apierrors.IsForbidden(err) && o.namespace != "" {
		syncs, err = o.kinds.GitSyncs(o.namespace).List(ctx, metav1.ListOptions{})
	}
	if err != nil {
		return nil, nil, err
	}
	rollouts, err := o.kinds.NodeRollouts(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if apierrors.IsForbidden(err) && o.namespace != "" {
		rollouts, err = o.kinds.NodeRollouts(o.namespace).List(ctx, metav1.ListOptions{})
	}
	if err != nil {
		return nil, nil, err
	}
	return syncs.Items, rollouts.Items, nil
}

// choose picks the rollouts that were asked for and the GitSyncs that declare
// them; without a name also the namespace's GitSyncs with all they declare.
func (o *observer) choose(syncs []v1alpha1.GitSync, rollouts []v1alpha1.NodeRollout) ([]v1alpha1.GitSync, []v1alpha1.NodeRollout) {
	wanted := map[types.NamespacedName]bool{}
	for _, n := range rollouts {
		if n.Namespace == o.namespace && (o.name == "" || n.Name == o.name) {
			wanted[types.NamespacedName{Namespace: n.Namespace, Name: n.Name}] = true
		}
	}
	shown := slices.DeleteFunc(slices.Clone(syncs), func(gs v1alpha1.GitSync) bool { return !o.shows(gs, wanted) })
	for _, gs := range shown {
		if o.name != "" || gs.Namespace != o.namespace {
			continue
		}
		for _, r := range gs.Status.Rollouts {
			wanted[rolloutKey(r)] = true
		}
	}
	return shown, slices.DeleteFunc(slices.Clone(rollouts), func(n v1alpha1.NodeRollout) bool {
		return !wanted[types.NamespacedName{Namespace: n.Namespace, Name: n.Name}]
	})
}

// shows is whether the GitSync declares what is wanted, or is asked for itself.
func (o *observer) shows(gs v1alpha1.GitSync, wanted map[types.NamespacedName]bool) bool {
	declares := slices.ContainsFunc(gs.Status.Rollouts, func(r v1alpha1.RolloutSummary) bool { return wanted[rolloutKey(r)] })
	return declares || o.declaresUnrolled(gs) || o.name == "" && gs.Namespace == o.namespace
}

func rolloutKey(r v1alpha1.RolloutSummary) types.NamespacedName {
	return types.NamespacedName{Namespace: r.Namespace, Name: r.Name}
}

// declaresUnrolled is whether the GitSync has a DaemonSet that was asked for and
// that no rollout moves.
func (o *observer) declaresUnrolled(gs v1alpha1.GitSync) bool {
	return slices.ContainsFunc(unrolled(&gs), o.asksFor)
}

// fewRollouts are drawn with their nodes even when all is well.
const fewRollouts = 3

// screen reads everything that is shown.
func (o *observer) screen(ctx context.Context) (screen, error) {
	syncs, rollouts, err := o.objects(ctx)
	if err != nil {
		return screen{}, err
	}
	out := screen{now: time.Now(), syncs: syncs, empty: "No GitSync and no NodeRollout in this cluster."}
	if o.namespace != "" {
		out.empty = fmt.Sprintf("No GitSync and no NodeRollout in namespace %s; -A shows all namespaces.", o.namespace)
	}
	for i := range rollouts {
		detailed := len(rollouts) <= fewRollouts || !atRest(&rollouts[i])
		out.rollouts = append(out.rollouts, rolloutView{rollout: rollouts[i], detailed: detailed})
	}
	o.fleets(ctx, out.rollouts)
	out.natives = o.natives(ctx, syncs)
	return out, ctx.Err()
}

// fleets adds the nodes to the views that are drawn with them. Who may not read
// them sees the rest.
func (o *observer) fleets(ctx context.Context, views []rolloutView) {
	if !slices.ContainsFunc(views, func(v rolloutView) bool { return v.detailed }) {
		return
	}
	nodes, err := o.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	for i := range views {
		v := &views[i]
		switch {
		case !v.detailed:
		case err != nil:
			v.blind = fmt.Sprintf("list nodes: %v", err)
		default:
			if err := o.fleet(ctx, v, nodes.Items); err != nil {
				v.blind = err.Error()
			}
		}
	}
}

func atRest(n *v1alpha1.NodeRollout) bool {
	return n.Status.Phase == v1alpha1.PhaseProven && n.Status.Reason != apply.ReasonStepFailed && n.Status.Nodes.Absent == 0 && len(n.Status.Failing) == 0
}

// fleet adds the nodes to the view, each with the DaemonSet's pods on it.
func (o *observer) fleet(ctx context.Context, v *rolloutView, nodes []corev1.Node) error {
	namespace, name := v.rollout.Namespace, v.rollout.Name
	ds, err := o.kube.AppsV1().DaemonSets(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get daemonset %s/%s: %w", namespace, name, err)
	}
	selected := metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(ds.Spec.Selector)}
	pods, err := o.kube.CoreV1().Pods(namespace).List(ctx, selected)
	if err != nil {
		return fmt.Errorf("list pods in %s: %w", namespace, err)
	}
	revisions, err := o.kube.AppsV1().ControllerRevisions(namespace).List(ctx, selected)
	if err != nil {
		return fmt.Errorf("list controllerrevisions in %s: %w", namespace, err)
	}
	digestOf, err := digestsOf(&v.rollout, controlled[*appsv1.ControllerRevision](revisions.Items, ds.UID))
	if err != nil {
		return err
	}
	all := make([]*corev1.Node, 0, len(nodes))
	v.zones = map[string]string{}
	for i := range nodes {
		all = append(all, &nodes[i])
		v.zones[nodes[i].Name] = nodes[i].Labels[corev1.LabelTopologyZone]
	}
	v.fleet = watch.Join(all, controlled[*corev1.Pod](pods.Items, ds.UID), watch.NewPlacement(&ds.Spec.Template), nil, digestOf)
	return nil
}

// controlled are the objects that the owner controls.
func controlled[P interface {
	*T
	metav1.Object
}, T any](all []T, owner types.UID) []P {
	var out []P
	for i := range all {
		if p := P(&all[i]); metav1.IsControlledBy(p, &metav1.ObjectMeta{UID: owner}) {
			out = append(out, p)
		}
	}
	return out
}
