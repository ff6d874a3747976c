package sync

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// restedDaemonSet is how a pass left a DaemonSet.
type restedDaemonSet struct {
	// around is what watch.Around says of it, and declared names what Git says.
	around, declared string
	// waits is whether it is to be put right later.
	waits bool
}

// declaredPrint names what a GitSync declares of a DaemonSet, and how; empty when
// that cannot be told.
func declaredPrint(gs *v1alpha1.GitSync, ds render.DaemonSet) string {
	out, err := fingerprint(ds.Object.Object, ds.Pinned.Object, ds.Digest, ds.Config, gs.Spec.Policy, gs.Spec.AdoptFrom, gs.Spec.Ignore)
	if err != nil {
		return ""
	}
	return out
}

// fingerprint names values, maps among them in the order of their keys.
func fingerprint(values ...any) (string, error) {
	raw, err := json.Marshal(values)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:]), nil
}

// resting are the DaemonSets of a new commit that nobody need be asked about, with
// their NodeRollouts: the last pass came to its end, nothing has happened since,
// the commit declares the same of them as the one before, and they are as they
// were left, proven. A pass that is made for any other reason asks about each.
func (c *Controller) resting(gs *v1alpha1.GitSync, declared *render.Declared, commit string) map[types.NamespacedName]*v1alpha1.NodeRollout {
	m := c.remember(gs)
	out := map[types.NamespacedName]*v1alpha1.NodeRollout{}
	if m.disturbed || m.left.commit == "" || m.left.commit == commit || m.left.question.generation != gs.Generation {
		return out
	}
	for _, ds := range declared.DaemonSets {
		if n := c.rolloutOf(keyOf(ds)); !native(ds) && c.asLeft(gs, ds) && n != nil && (followed{digest: ds.Digest, status: &n.Status}).proven() {
			out[keyOf(ds)] = n
		}
	}
	return out
}

// handed are the DaemonSets whose rollouts have what the commit declares from a pass
// before that came to its end, while nobody has changed them beside their templates,
// which are the rollouts' own. Passes are made whenever one of several rollouts gets
// somewhere. One that is held may be so for want of a declaration.
func (c *Controller) handed(gs *v1alpha1.GitSync, declared *render.Declared, commit string) map[types.NamespacedName]bool {
	m := c.remember(gs)
	out := map[types.NamespacedName]bool{}
	if m.left.commit != commit || commit == "" || m.left.question != questionOf(gs) {
		return out
	}
	for _, ds := range declared.DaemonSets {
		n := c.rolloutOf(keyOf(ds))
		if native(ds) || n == nil || n.Labels[v1alpha1.LabelOwner] != apply.Owner(name(gs)) || !c.asLeft(gs, ds) {
			continue
		}
		switch n.Status.Phase {
		case v1alpha1.PhaseProven, v1alpha1.PhaseReplacing, v1alpha1.PhaseSoaking, v1alpha1.PhaseReturning, v1alpha1.PhaseRejected:
			out[keyOf(ds)] = true
		case v1alpha1.PhaseWaiting, v1alpha1.PhaseHeld:
		}
	}
	return out
}

// asLeft is whether a DaemonSet is declared, and runs, as the last pass left it.
func (c *Controller) asLeft(gs *v1alpha1.GitSync, ds render.DaemonSet) bool {
	before, left := c.remember(gs).left.around[keyOf(ds)]
	return left && !before.waits && before.declared != "" && before.declared == declaredPrint(gs, ds) && before.around == c.Rollouts.Fleet.Around(ds.GetNamespace(), ds.GetName())
}

// declaredOf names what a GitSync declares of a DaemonSet by its ID; empty when it
// declares none.
func declaredOf(gs *v1alpha1.GitSync, declared *render.Declared, id diff.ID) string {
	for _, ds := range declared.DaemonSets {
		if !native(ds) && idOf(keyOf(ds)) == id {
			return declaredPrint(gs, ds)
		}
	}
	return ""
}

func idOf(daemonSet types.NamespacedName) diff.ID {
	return diff.ID{Namespace: daemonSet.Namespace, Name: daemonSet.Name, Group: "apps", Kind: "DaemonSet"}
}

// waits is whether what somebody changes back beside the template of a DaemonSet is
// to be put right later. One that is gone, and one whose rollout has something to
// say, never waits.
func (c *Controller) waits(gs *v1alpha1.GitSync, ds render.DaemonSet, seen observed) bool {
	m, key := c.remember(gs), keyOf(ds)
	around, as := c.Rollouts.Fleet.Around(key.Namespace, key.Name), declaredPrint(gs, ds)
	if waiting, is := m.fights.waiting(time.Now())[idOf(key)]; m.disturbed || around == "" || !is || waiting != as || seen.before[key].declared != as {
		return false
	}
	m.left.keep(key, restedDaemonSet{around: around, declared: as, waits: true})
	return true
}

// fightAround notes that somebody has changed a DaemonSet back since the last pass
// left it, if so, and returns how often. It was put right for this time.
func (m *memory) fightAround(before, now restedDaemonSet, differed *apply.Revert) int {
	if differed == nil || before.waits || before.declared == "" || before.declared != now.declared {
		return 0
	}
	m.fights.revert(differed.ID, now.declared, differed.Field, differed.Manager, time.Now())
	return 1
}

// rolloutOf is a NodeRollout as it is known here; nil when none is.
func (c *Controller) rolloutOf(key types.NamespacedName) *v1alpha1.NodeRollout {
	o, found, err := c.rollouts.GetByKey(key.String())
	if err != nil || !found {
		return nil
	}
	return o.(*v1alpha1.NodeRollout)
}

// known is the GitSync as it is known here, which is no older than what this
// process wrote last; nil when it is gone. The caller may change it.
func (c *Controller) known(key types.NamespacedName) *v1alpha1.GitSync {
	gs := c.find(key)
	if gs == nil {
		return nil
	}
	return newest(gs, c.remember(gs).written).DeepCopy()
}

// newest is what was written, unless the other one is newer or another object.
func newest(seen, written *v1alpha1.GitSync) *v1alpha1.GitSync {
	if written == nil || written.UID != seen.UID {
		return seen
	}
	if order, err := resourceversion.CompareResourceVersion(written.ResourceVersion, seen.ResourceVersion); err != nil || order < 0 {
		return seen
	}
	return written
}
