package apply

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/health/watch"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

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

// placementBlock holds a first version that another one is to follow before any is
// proven, on other nodes: nothing bounds what the DaemonSet controller would do.
func (r *Rollouts) placementBlock(v *view, p watch.Placement) *rollout.Block {
	next := v.next()
	if next == nil || v.rollout.Status.Proven != nil {
		return nil
	}
	var lost, won []string
	for _, n := range r.Fleet.Nodes(v.live.UID, p.Towards(watch.NewPlacement(next)), nil, v.digest) {
		switch {
		case n.Lost:
			lost = append(lost, n.Name)
		case n.Won:
			won = append(won, n.Name)
		}
	}
	if len(lost)+len(won) == 0 {
		return nil
	}
	return &rollout.Block{Reason: rollout.ReasonPlacementChange,
		Message: rollout.PlacementWords(lost, won) + ", which Kubernetes would do on all of them at once, for no version is proven yet: revert the placement, or label the nodes instead"}
}
