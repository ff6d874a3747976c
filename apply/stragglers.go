package apply

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/health"
)

// Stragglers says of a DaemonSet whose rollout is over which eligible nodes run
// another version than the proven one all the same: nodes that could not be
// reached, or that failed within the failure budget. It is empty when there are
// none. Nodes that are held out on purpose do not count.
func (r *Rollouts) Stragglers(ctx context.Context, key types.NamespacedName) (string, error) {
	if !r.Fleet.Synced() {
		return "", fleetUnknown(key, "which nodes run it")
	}
	n, err := r.Kinds.NodeRollouts(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("get noderollout %s: %w", key, err)
	}
	v, err := r.observe(ctx, n, time.Now())
	if err != nil || v == nil || v.input.State.Proven == nil {
		return "", err
	}
	return stragglers(v.input.Fleet, v.input.State.Proven.Digest), nil
}

// fleetUnknown is what cannot be told before the fleet has been listed.
func fleetUnknown(key types.NamespacedName, what string) error {
	return &Error{Reason: ReasonUnavailable, Object: fmt.Sprintf("DaemonSet %s", key),
		Message: what + " is not known: nodes, pods or controller revisions could not be listed yet; the log says why"}
}

func stragglers(fleet []health.Node, proven string) string {
	eligible, late, first := 0, 0, ""
	for i := range fleet {
		n := &fleet[i]
		if !n.Eligible {
			continue
		}
		eligible++
		if n.Held || !runsOther(n, proven) {
			continue
		}
		late++
		if first == "" {
			first = n.Name
		}
	}
	if late == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d eligible nodes still run another version (first %s): they follow when they can be reached, are not kept out for failing, and the NodeRollout names nothing that holds them; "+
		"push a fix, delete the nodes, or hold them out with the label rollcall.dev/hold=true", late, eligible, first)
}

// runsOther is whether a pod of another version runs on the node. A gated pod
// runs nowhere, and a failed one no more.
func runsOther(n *health.Node, proven string) bool {
	for i := range n.Agents {
		if a := &n.Agents[i]; !a.Gated && !a.Failed && a.Digest != proven {
			return true
		}
	}
	return false
}
