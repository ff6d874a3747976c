package sync

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// followed is a declared DaemonSet with how far its rollout is.
type followed struct {
	key    types.NamespacedName
	digest string
	// status is nil while there is no rollout.
	status *v1alpha1.NodeRolloutStatus
	// stragglers says which nodes the proven version has not reached; empty when
	// there are none, or when it is not proven.
	stragglers string
}

// proven is whether the rollout has come to its end with what is declared.
func (f followed) proven() bool {
	return f.status != nil && f.status.Phase == v1alpha1.PhaseProven && provenDigest(*f.status) == f.digest
}

// provenDigest is that of the version that a rollout has proven; empty before the first.
func provenDigest(s v1alpha1.NodeRolloutStatus) string {
	if s.Proven == nil {
		return ""
	}
	return s.Proven.Digest
}

// row is what the GitSync shows of the rollout.
func (f followed) row() v1alpha1.RolloutSummary {
	out := v1alpha1.RolloutSummary{Namespace: f.key.Namespace, Name: f.key.Name}
	if f.status == nil {
		return out
	}
	out.Phase, out.Reason = f.status.Phase, f.status.Reason
	if out.Phase == v1alpha1.PhaseProven && !f.proven() {
		out.Phase = v1alpha1.PhaseWaiting
		if out.Reason != apply.ReasonStepFailed {
			out.Reason = apply.ReasonDeclared
		}
	}
	return out
}

// summary is how far all rollouts of a commit are.
type summary struct {
	rows []v1alpha1.RolloutSummary
	// proven is whether every DaemonSet runs what is declared, as its proven
	// version, on every eligible node that is not held out.
	proven bool
	// stragglers are those of the first DaemonSet that has any.
	stragglers string
	// absent counts the agents that proven DaemonSets lack, and held the nodes that
	// are held out: one is so for every DaemonSet, and counts once.
	absent, held int32
}

func summarise(all []followed) summary {
	out := summary{proven: true}
	for _, f := range all {
		out.rows = append(out.rows, f.row())
		out.proven = out.proven && f.proven() && f.stragglers == ""
		if !f.proven() {
			continue
		}
		out.absent, out.held = out.absent+f.status.Nodes.Absent, max(out.held, f.status.Nodes.Held)
		if out.stragglers == "" && f.stragglers != "" {
			out.stragglers = fmt.Sprintf("DaemonSet %s: %s", f.key, f.stragglers)
		}
	}
	return out
}

// readRollouts reads how far the rollouts of a commit are.
func (c *Controller) readRollouts(ctx context.Context, declared *render.Declared, seen observed) ([]followed, error) {
	var out []followed
	for _, ds := range declared.DaemonSets {
		if native(ds) {
			continue
		}
		f := followed{key: types.NamespacedName{Namespace: ds.GetNamespace(), Name: ds.GetName()}, digest: ds.Digest}
		if n := seen.resting[f.key]; n != nil { // without stragglers: the last pass would have found them
			f.status = &n.Status
			out = append(out, f)
			continue
		}
		n, err := c.Kinds.NodeRollouts(f.key.Namespace).Get(ctx, f.key.Name, metav1.GetOptions{})
		switch {
		case err == nil:
			f.status = &n.Status
		case !apierrors.IsNotFound(err):
			return nil, fmt.Errorf("get noderollout %s: %w", f.key, err)
		}
		if f.proven() {
			if f.stragglers, err = c.Rollouts.Stragglers(ctx, f.key); err != nil {
				return nil, err
			}
		}
		out = append(out, f)
	}
	return out, nil
}
