package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// TestPrune shows that what Git drops goes, after proof, and that nothing else
// does (promise P7).
func TestPrune(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 6)
	w.policy(hurried())
	together(t, w, map[string]func(*tenant){
		"after proof":   prunedAfterProof,
		"rejected":      notPrunedWhileRejected,
		"not rolled":    notPrunedWhileUnrolledUpdate,
		"paused":        notPrunedWhilePaused,
		"empty render":  emptyRender,
		"prune off":     pruneOff,
		"protected":     protectedKind,
		"released":      released,
		"handed over":   handedOver,
		"moved":         moved,
		"swapped":       swapped,
		"used":          usedElsewhere,
		"port":          renamedWithPort,
		"agent removed": agentRemoved,
		"by hand":       deletedByHand,
		"renamed file":  renamedFile,
		"drifted":       driftedObjects,
		"fought":        foughtOver,
		"fought agent":  foughtAgent,
		"held":          leftHeld,
	})
	wantMetrics(t, w)
}

// wantWithheld waits until status and metric say why so many objects are kept.
func (n *tenant) wantWithheld(reason string) {
	n.t.Helper()
	n.waitSync("fleet", "it says that it keeps something for "+reason, func(gs *v1alpha1.GitSync) bool {
		return strings.Contains(readyCondition(gs).Message, "1 "+reason)
	})
	n.eventually("rollcall_prune_blocked says "+reason, func(context.Context) (string, error) {
		for _, s := range n.w.samples(n.t)["rollcall_prune_blocked"] {
			if s.labels["namespace"] == n.namespace && s.labels["reason"] == reason && s.value == 1 {
				return "", nil
			}
		}
		return "it does not", nil
	})
}

func prunedAfterProof(n *tenant) {
	n.good()
	commit := n.deliver("next", map[string]string{"daemonset.yaml": manifest("v2"), "extra.yaml": ""})
	n.waitRollout("it moves", func(r *v1alpha1.NodeRollout) bool { return r.Status.Phase == v1alpha1.PhaseSoaking })
	if !n.hasConfigMap("extra") {
		n.t.Error("ConfigMap extra is pruned while the canaries soak, want it kept until the proof")
	}
	n.wantWithheld("AwaitingProof")
	n.waitProven(commit)
	n.waitPruned()
	gs := n.waitSync("fleet", "the inventory forgets it", func(gs *v1alpha1.GitSync) bool { return !lists(gs, "extra") })
	if message := readyCondition(gs).Message; strings.Contains(message, "not pruned") {
		n.t.Errorf("everything is pruned, and the message is %q", message)
	}
	n.eventually("rollcall_prune_blocked is over", func(context.Context) (string, error) {
		for _, s := range n.w.samples(n.t)["rollcall_prune_blocked"] {
			if s.labels["namespace"] == n.namespace {
				return fmt.Sprint(s), nil
			}
		}
		return "", nil
	})
}

// lists is whether the inventory has a ConfigMap of that name.
func lists(gs *v1alpha1.GitSync, name string) bool {
	for _, e := range gs.Status.Inventory.Entries {
		if strings.Contains(e.ID, "_"+name+"_") {
			return true
		}
	}
	return false
}

func notPrunedWhileRejected(n *tenant) {
	before := n.good()
	bad := n.deliver("bad", map[string]string{"daemonset.yaml": manifest("bad"), "extra.yaml": ""})
	n.waitRejected(bad)
	n.waitHeld("fleet", "RolloutStopped", agent, "Rejected", "NodeRollout")
	n.wantWithheld("AwaitingProof")
	still := n.state()
	if still["configmap extra"] != before["configmap extra"] {
		n.t.Error("ConfigMap extra is pruned though the commit is rejected")
	}
	n.wantStill(still)
	rejected := n.waitRollout("it is rejected", func(r *v1alpha1.NodeRollout) bool { return r.Status.Phase == v1alpha1.PhaseRejected })
	n.wantWarning("Returning", "commit ")
	n.wantWarning("Rejected", rejected.Status.Reason+": ")
	n.waitProven(n.push("good", map[string]string{"daemonset.yaml": manifest("v1")}))
	n.waitPruned()
}

func notPrunedWhilePaused(n *tenant) {
	before := n.good()
	n.pause(true)
	commit := n.deliver("next", map[string]string{"daemonset.yaml": manifest("v2"), "extra.yaml": ""})
	n.waitHeld("fleet", "RolloutStopped", agent, "Held", "Paused")
	n.wantWithheld("AwaitingProof")
	n.wantStill(before)
	n.wantWarning("Held", "Paused: ")
	n.pause(false)
	n.waitProven(commit)
	n.waitPruned()
}

func (n *tenant) pause(paused bool) {
	n.t.Helper()
	patch := []byte(`{"spec":{"paused":false}}`)
	if paused {
		patch = []byte(`{"spec":{"paused":true}}`)
	}
	_, err := n.w.kinds.NodeRollouts(n.namespace).Patch(n.t.Context(), agent, types.MergePatchType, patch, metav1.PatchOptions{})
	n.must(err, "patch NodeRollout")
}

func emptyRender(n *tenant) {
	before := n.good()
	empty := n.deliver("empty", map[string]string{"daemonset.yaml": "", "extra.yaml": "", "README.md": "nothing\n"})
	gs := n.waitHeld("fleet", "PruneBlocked", empty[:8], "declares no object at all", "2 objects are kept", "push a commit", "spec.source.path")
	if gs.Status.Applied == empty || gs.Status.Proven == empty {
		n.t.Errorf("applied %s and proven %s: an empty commit is neither", gs.Status.Applied, gs.Status.Proven)
	}
	n.wantStill(before)
	n.waitProven(n.push("back", map[string]string{"daemonset.yaml": manifest("v1"), "extra.yaml": plainConfig("extra", "1")}))
	n.wantUnchanged(before)
}

func pruneOff(n *tenant) {
	commit := n.push("good", map[string]string{"daemonset.yaml": manifest("v1"), "extra.yaml": plainConfig("extra", "1")})
	n.follow(func(gs *v1alpha1.GitSync) { gs.Spec.Prune = false })
	n.waitProven(commit)
	before := n.state()
	n.waitProven(n.deliver("next", map[string]string{"extra.yaml": ""}))
	n.wantWithheld("PruneDisabled")
	n.wantStill(before)
	n.edit(func(gs *v1alpha1.GitSync) { gs.Spec.Prune = true })
	n.waitPruned()
}

// protectedKind is a Namespace: everything in it would go too.
func protectedKind(n *tenant) {
	namespace := "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: " + n.namespace + "-more\n"
	n.waitProven(n.followAfter(map[string]string{"namespace.yaml": namespace, "extra.yaml": plainConfig("extra", "1")}))
	n.waitProven(n.deliver("drop", map[string]string{"namespace.yaml": ""}))
	n.wantWithheld("ProtectedKind")
	_, err := n.w.cluster.Client.CoreV1().Namespaces().Get(n.t.Context(), n.namespace+"-more", metav1.GetOptions{})
	n.must(err, "get the namespace that Git dropped")
}

// released is an object whose owner label somebody took away.
func released(n *tenant) {
	before := n.good()
	n.edit(func(gs *v1alpha1.GitSync) { gs.Spec.Suspend = true })
	n.waitSync("fleet", "it is suspended", func(gs *v1alpha1.GitSync) bool { return readyCondition(gs).Reason == "Suspended" })
	patch := []byte(`{"metadata":{"labels":{"` + v1alpha1.LabelOwner + `":null}}}`)
	_, err := n.w.cluster.Client.CoreV1().ConfigMaps(n.namespace).Patch(n.t.Context(), "extra", types.MergePatchType, patch, metav1.PatchOptions{})
	n.must(err, "take the label away")
	commit := n.push("next", map[string]string{"extra.yaml": ""})
	n.edit(func(gs *v1alpha1.GitSync) { gs.Spec.Suspend = false })
	gs := n.waitProven(commit)
	if lists(gs, "extra") {
		n.t.Errorf("the inventory still lists what was released: %v", gs.Status.Inventory)
	}
	n.wantStill(before)
}

// handedOver is a DaemonSet that two GitSyncs declare until one of them, which
// does not even prune, lets go of it: nothing restarts.
func handedOver(n *tenant) {
	commit := n.push("first", map[string]string{"a/daemonset.yaml": manifest("v1"), "a/extra.yaml": plainConfig("extra", "1"), "b/daemonset.yaml": manifest("v1")})
	n.follow(func(gs *v1alpha1.GitSync) { gs.Spec.Source.Path, gs.Spec.Prune = "a", false })
	n.waitProven(commit)
	before := n.state()
	n.rival()
	n.waitHeld("rival", "OwnedByAnother", "b/daemonset.yaml")
	n.waitProven(n.deliver("let go", map[string]string{"a/daemonset.yaml": ""}))
	n.waitSync("rival", "the rival has it", func(gs *v1alpha1.GitSync) bool {
		return gs.Status.Proven != "" && readyCondition(gs).Status == metav1.ConditionTrue
	})
	r := n.waitRollout("its rollout is the rival's", func(r *v1alpha1.NodeRollout) bool { return r.Status.Phase == v1alpha1.PhaseProven })
	if r.Labels[v1alpha1.LabelOwner] != n.namespace+".rival" {
		n.t.Errorf("the NodeRollout has labels %v, want the rival as its owner", r.Labels)
	}
	n.wantStill(before)
	n.wantState(agent)
}

// wantState waits until the records of a rollout are its own, so that they do
// not go with an earlier NodeRollout of the name.
func (n *tenant) wantState(name string) {
	n.t.Helper()
	n.eventually("the records of "+name+" are its NodeRollout's", func(ctx context.Context) (string, error) {
		r, err := n.w.kinds.NodeRollouts(n.namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err.Error(), nil //nolint:nilerr // it may not be there yet
		}
		for _, suffix := range []string{".rollcall-state", ".rollcall-declared"} {
			cm, err := n.w.cluster.Client.CoreV1().ConfigMaps(n.namespace).Get(ctx, name+suffix, metav1.GetOptions{})
			if err != nil {
				return err.Error(), nil //nolint:nilerr // as above
			}
			if len(cm.OwnerReferences) != 1 || cm.OwnerReferences[0].UID != r.UID {
				return name + suffix + " belongs to an earlier NodeRollout", nil
			}
		}
		return "", nil
	})
}

// agentRemoved drops one of two DaemonSets with its config, and takes it back.
func agentRemoved(n *tenant) {
	second := strings.NewReplacer("example-daemonset", "second", "app: example", "app: second").Replace(mounting("second", "v1"))
	n.waitProven(n.followAfter(map[string]string{"daemonset.yaml": manifest("v1"), "second.yaml": second, "config.yaml": plainConfig("config", "1")}))
	commit := n.deliver("drop", map[string]string{"second.yaml": "", "config.yaml": ""})
	n.waitProven(commit)
	n.waitGone("second")
	n.eventually("its config and pods are gone", func(context.Context) (string, error) {
		n.t.Helper()
		return cmp.Diff([2]int{0, 6}, [2]int{len(n.configMaps()), len(n.pods())}), nil
	})
	if got := n.waitProven(commit); len(got.Status.Rollouts) != 1 {
		n.t.Errorf("rollouts %v, want that of the DaemonSet that is left", got.Status.Rollouts)
	}
	n.waitProven(n.deliver("again", map[string]string{"second.yaml": second, "config.yaml": plainConfig("config", "1")}))
	n.wantState("second")
}

// waitGone waits until nothing of a DaemonSet is left.
func (n *tenant) waitGone(name string) {
	n.t.Helper()
	n.eventually("DaemonSet "+name+" and all about it are gone", func(ctx context.Context) (string, error) {
		_, ds := n.w.cluster.Client.AppsV1().DaemonSets(n.namespace).Get(ctx, name, metav1.GetOptions{})
		_, rollout := n.w.kinds.NodeRollouts(n.namespace).Get(ctx, name, metav1.GetOptions{})
		_, state := n.w.cluster.Client.CoreV1().ConfigMaps(n.namespace).Get(ctx, name+".rollcall-state", metav1.GetOptions{})
		_, want := n.w.cluster.Client.CoreV1().ConfigMaps(n.namespace).Get(ctx, name+".rollcall-declared", metav1.GetOptions{})
		gone := [4]bool{apierrors.IsNotFound(ds), apierrors.IsNotFound(rollout), apierrors.IsNotFound(state), apierrors.IsNotFound(want)}
		return cmp.Diff([4]bool{true, true, true, true}, gone), nil
	})
}

// deletedByHand is a DaemonSet that somebody deletes while Git drops it: its
// NodeRollout goes too.
func deletedByHand(n *tenant) {
	n.good()
	n.edit(func(gs *v1alpha1.GitSync) { gs.Spec.Suspend = true })
	n.waitSync("fleet", "it is suspended", func(gs *v1alpha1.GitSync) bool { return readyCondition(gs).Reason == "Suspended" })
	n.must(n.w.cluster.Client.AppsV1().DaemonSets(n.namespace).Delete(n.t.Context(), agent, metav1.DeleteOptions{}), "delete DaemonSet")
	commit := n.push("drop", map[string]string{"daemonset.yaml": ""})
	n.edit(func(gs *v1alpha1.GitSync) { gs.Spec.Suspend = false })
	n.waitProven(commit)
	n.waitGone(agent)
	if !n.hasConfigMap("extra") {
		n.t.Error("ConfigMap extra is gone, though Git declares it")
	}
}

func renamedFile(n *tenant) {
	before := n.good()
	_, err := n.repo.Git(n.t.Context(), "mv", "daemonset.yaml", "agent.yaml")
	n.must(err, "move")
	_, err = n.repo.Git(n.t.Context(), "mv", "extra.yaml", "more.yaml")
	n.must(err, "move")
	n.waitProven(n.deliver("rename", nil))
	n.wantStill(before)
	r, err := n.w.kinds.NodeRollouts(n.namespace).Get(n.t.Context(), agent, metav1.GetOptions{})
	n.must(err, "get NodeRollout")
	if r.Status.Candidate != nil || r.Status.Phase != v1alpha1.PhaseProven {
		n.t.Errorf("after a rename: %s", describe(r))
	}
}
