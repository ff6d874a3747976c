package apply

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/health/watch"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// ReasonPlacementChange holds a candidate that would run on other nodes: the
// DaemonSet controller acts on placement on all nodes at once, under every
// update strategy, so no wave could bound it.
const ReasonPlacementChange = "PlacementChange"

// ReasonHandedOver holds a candidate of a GitSync that the DaemonSet belongs to
// no more.
const ReasonHandedOver = "HandedOver"

// ReasonDeclarationMissing holds a rollout of which it is not known what Git
// declares, since somebody deleted or garbled the ConfigMap that says so.
const ReasonDeclarationMissing = "DeclarationMissing"

// handedOver holds a rollout from the claim of another GitSync until that has
// declared its version. What the former owner declared, before or since, is
// nobody's wish: what is under way stays as it is, and nothing of it begins.
func handedOver(live *appsv1.DaemonSet) *rollout.Block {
	return &rollout.Block{Reason: ReasonHandedOver,
		Message: fmt.Sprintf("GitSync %s has taken the DaemonSet over and has not declared its version yet: it goes on with that GitSync's next pass", live.Labels[v1alpha1.LabelOwner])}
}

// undeclared is why it is not known what Git declares; nil when it is. A rollout
// has its declaration before it begins and as long as it lasts: what a GitSync
// declares no more has no NodeRollout, and one that is suspended leaves what it
// declared last. So whoever finds none has lost it, and knows of no wish to go
// back.
func (v *view) undeclared() *rollout.Block {
	if v.want != nil {
		return nil
	}
	return &rollout.Block{Reason: ReasonDeclarationMissing,
		Message: fmt.Sprintf("the ConfigMap %s, which says what Git declares, is missing or cannot be read: nothing begins and nothing goes back but what is rejected, until the next pass of GitSync %s writes it again: "+
			"resume the GitSync if it is suspended, fix what is refused if its status says so, or delete this NodeRollout if no GitSync declares it any more",
			v.key.Name+declaredSuffix, v.rollout.Labels[v1alpha1.LabelOwner])}
}

func (r *Rollouts) placementBlock(rest watch.Placement, want *declared) *rollout.Block {
	lost, won := r.Fleet.CompareEligible(rest, watch.NewPlacement(&want.Template))
	if len(lost)+len(won) == 0 {
		return nil
	}
	return PlacementChange(lost, won)
}

// PlacementChange holds a candidate that loses nodes and wins others, by name.
func PlacementChange(lost, won []string) *rollout.Block {
	return &rollout.Block{Reason: ReasonPlacementChange,
		Message: fmt.Sprintf("the candidate's nodeSelector, affinity or tolerations lose %d nodes and win %d (first %s), which Kubernetes would do on all of them at once: revert the placement, or label the nodes instead",
			len(lost), len(won), slices.Concat(lost, won)[0])}
}
