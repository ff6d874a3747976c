package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/e2e/cluster"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// TestSeams has two things happen to an agent at once, most often its removal and another
// one: wherever Git asks for the agent, or a person has to decide, a removal stops and the
// agents come back.
func TestSeams(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, cluster.Options{Nodes: 6, Zones: 3})
	w.policy(hurried())
	w.policyNamed("slow", func(p *v1alpha1.RolloutPolicySpec) {
		p.FirstInstall, p.Waves[0].Soak = v1alpha1.FirstInstallAll, metav1.Duration{Duration: 30 * time.Second}
	})
	together(t, w, map[string]func(*tenant){
		"a revert that is refused":        refusedRevert,
		"a revert with another selector":  recreatedRevert,
		"another gitsync that is refused": handedToRefused,
		"a prune limit":                   limitedInBetween,
		"mode observe":                    observedRemoval,
		"a revert that waits":             approvedRemoval,
		"a loss of its rollout":           rolloutDeletedInRemoval,
		"after a bad selector":            recreatedAfterBad,
		"a rollout without its label":     unlabelledRollout,
	})
}

// slowly is the manifest under the policy slow.
func slowly(manifest string) string {
	return strings.Replace(manifest, "metadata:\n  name:", "metadata:\n  annotations: {rollcall.dev/policy: slow}\n  name:", 1)
}

// leaving follows the agent under the policy slow, drops it, and waits until its canaries
// have left.
func (n *tenant) leaving(manifest string) {
	n.t.Helper()
	n.waitProven(n.followAfter(map[string]string{"daemonset.yaml": slowly(manifest), "extra.yaml": plainConfig("extra", "1")}))
	n.deliver("drop", map[string]string{"daemonset.yaml": ""})
	n.waitVacant()
}

// waitVacant waits until a removal soaks on its two canaries.
func (n *tenant) waitVacant() {
	n.t.Helper()
	n.waitRollout("the canaries have left", func(r *v1alpha1.NodeRollout) bool {
		c := r.Status.Candidate
		return c != nil && strings.HasPrefix(c.Digest, "removed:") && r.Status.Phase == v1alpha1.PhaseSoaking
	})
	if got := len(n.running()); got != 4 {
		n.t.Errorf("%d agents run, want 4", got)
	}
}

// running are the agents that run, by name, with their UIDs.
func (n *tenant) running() map[string]types.UID {
	n.t.Helper()
	out := map[string]types.UID{}
	for _, p := range n.pods() {
		if podReady(&p) && p.DeletionTimestamp == nil {
			out[p.Name] = p.UID
		}
	}
	return out
}

// waitBack waits until all agents run, and fails when one of those restarted that ran.
func (n *tenant) waitBack(ran map[string]types.UID) {
	n.t.Helper()
	var now map[string]types.UID
	n.eventually("6 agents run", func(context.Context) (string, error) {
		if now = n.running(); len(now) != 6 {
			return fmt.Sprintf("%d do", len(now)), nil
		}
		return "", nil
	})
	for name, uid := range ran {
		if now[name] != uid {
			n.t.Errorf("agent %s has restarted", name)
		}
	}
}

// refusedConfig is an object that the API server refuses.
const refusedConfig = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: bad\ndata:\n  a key: b\n"

func refusedRevert(n *tenant) {
	n.leaving(manifest("v1"))
	ran := n.running()
	n.deliver("a revert beside an error", map[string]string{"daemonset.yaml": slowly(manifest("v1")), "bad.yaml": refusedConfig})
	n.waitBack(ran)
	n.waitProven(n.deliver("the error is gone", map[string]string{"bad.yaml": ""}))
	n.waitBack(ran)
}

func recreatedRevert(n *tenant) {
	n.leaving(labelled(false, false))
	ran := n.running()
	again := strings.Replace(labelled(true, true), `{rollcall.dev/recreate: "true"}`, `{rollcall.dev/recreate: "true", rollcall.dev/policy: slow}`, 1)
	commit := n.deliver("back with another selector", map[string]string{"daemonset.yaml": again})
	n.waitProven(commit)
	n.waitBack(ran)
	if got := n.daemonSet().Spec.Selector.MatchLabels; got["tier"] != "node" {
		n.t.Errorf("the selector is %v, want the new one", got)
	}
}

func handedToRefused(n *tenant) {
	first := n.push("first", map[string]string{"a/daemonset.yaml": slowly(manifest("v1")), "a/extra.yaml": plainConfig("extra", "1"), "b/other.yaml": plainConfig("other", "1")})
	n.follow(func(gs *v1alpha1.GitSync) { gs.Spec.Source.Path = "a" })
	n.follow(func(gs *v1alpha1.GitSync) { gs.Name, gs.Spec.Source.Path = "second", "b" })
	n.waitProven(first)
	n.waitSettled("second", first)
	n.deliver("drop", map[string]string{"a/daemonset.yaml": ""})
	n.waitVacant()
	ran := n.running()
	n.deliver("elsewhere, beside an error", map[string]string{"b/daemonset.yaml": slowly(manifest("v1")), "b/bad.yaml": refusedConfig})
	n.waitBack(ran)
	n.waitSettled("second", n.deliver("the error is gone", map[string]string{"b/bad.yaml": ""}))
	n.waitBack(ran)
}

// limitedInBetween: what a person has to approve takes no agents before.
func limitedInBetween(n *tenant) {
	files, dropped := map[string]string{"daemonset.yaml": slowly(manifest("v1"))}, map[string]string{}
	for i := range 6 {
		name := fmt.Sprintf("c%d", i)
		files[name+".yaml"] = plainConfig(name, "1")
		if i > 0 {
			dropped[name+".yaml"] = ""
		}
	}
	first := n.followAfter(files)
	n.waitProven(first)
	second := n.deliver("drop", map[string]string{"daemonset.yaml": ""})
	n.waitVacant()
	ran := n.running()
	third := n.deliver("drop more", dropped)
	n.waitHeld("fleet", "PruneLimitExceeded")
	n.waitBack(ran)
	n.approve(third)
	n.waitVacant()
	gs := n.waitProven(third)
	if left := len(n.running()); left > 0 {
		n.t.Errorf("the commit is proven, and %d agents run", left)
	}
	for _, e := range gs.Status.History {
		if e.Commit == second && (e.Outcome != "Superseded" || e.Proven != nil) {
			n.t.Errorf("of the commit whose removal was stopped the history says %+v", e)
		}
	}
}

// observedRemoval: in mode observe the removal goes on, and is what differs from a revert.
func observedRemoval(n *tenant) {
	n.leaving(manifest("v1"))
	n.edit(n.mode(v1alpha1.ModeObserve))
	n.deliver("revert", map[string]string{"daemonset.yaml": slowly(manifest("v1"))})
	n.waitSync("fleet", "it says that the agents would come back", func(gs *v1alpha1.GitSync) bool {
		c := readyCondition(gs)
		return c.Reason == "Differs" && strings.Contains(c.Message, "1 to update (Update DaemonSet.apps "+n.namespace+"/"+agent)
	})
	n.edit(n.mode(v1alpha1.ModeAuto))
	n.waitBack(nil)
}

func approvedRemoval(n *tenant) {
	first := n.push("first", map[string]string{"daemonset.yaml": slowly(manifest("v1")), "extra.yaml": plainConfig("extra", "1")})
	n.follow(n.mode(v1alpha1.ModeApprove), func(gs *v1alpha1.GitSync) { gs.Spec.Approved = first })
	n.waitProven(first)
	second := n.deliver("drop", map[string]string{"daemonset.yaml": ""})
	n.waitHeld("fleet", "AwaitingApproval", second[:8], "1 to prune")
	n.approve(second)
	n.waitVacant()
	ran := n.running()
	third := n.deliver("revert", map[string]string{"daemonset.yaml": slowly(manifest("v1"))})
	n.waitSync("fleet", "the revert waits", func(gs *v1alpha1.GitSync) bool {
		return strings.Contains(readyCondition(gs).Message, "commit "+third[:8]) && strings.Contains(readyCondition(gs).Message, "1 to update (Update DaemonSet.apps")
	})
	n.approve(third)
	n.waitProven(third)
	n.waitBack(ran)
}

func rolloutDeletedInRemoval(n *tenant) {
	n.leaving(manifest("v1"))
	ran := n.running()
	n.must(n.w.kinds.NodeRollouts(n.namespace).Delete(n.t.Context(), agent, metav1.DeleteOptions{}), "delete NodeRollout")
	n.waitBack(ran)
	n.waitHeld("fleet", "RolloutStopped", "RolloutMissing", "declare it in Git again")
	n.waitProven(n.deliver("revert", map[string]string{"daemonset.yaml": slowly(manifest("v1"))}))
	n.waitBack(ran)
}

// recreatedAfterBad: a selector that came with a bad version can be taken back, as the
// message says.
func recreatedAfterBad(n *tenant) {
	n.waitProven(n.followAfter(map[string]string{"daemonset.yaml": labelled(false, false)}))
	n.deliver("another selector and a bad image", map[string]string{"daemonset.yaml": strings.Replace(labelled(true, true), ":v1", ":bad", 1)})
	nodes := len(n.w.nodes())
	n.waitRollout("it is rejected", func(r *v1alpha1.NodeRollout) bool {
		return r.Status.Phase == v1alpha1.PhaseRejected && int(r.Status.Nodes.Present) == nodes
	})
	n.deliver("revert", map[string]string{"daemonset.yaml": labelled(false, false)})
	n.waitHeld("fleet", "Immutable", `annotation rollcall.dev/recreate: "true"`)
	ran := n.running()
	n.waitProven(n.deliver("revert as the message says", map[string]string{"daemonset.yaml": labelled(false, true)}))
	for name, uid := range ran {
		if n.running()[name] != uid {
			n.t.Errorf("agent %s has restarted", name)
		}
	}
}

// unlabelledRollout: a NodeRollout whose owner label somebody takes gets it again.
func unlabelledRollout(n *tenant) {
	n.waitProven(n.followAfter(map[string]string{"daemonset.yaml": manifest("v1")}))
	client := n.w.kinds.NodeRollouts(n.namespace)
	_, err := client.Patch(n.t.Context(), agent, types.MergePatchType, []byte(`{"metadata":{"labels":{"rollcall.dev/gitsync":null}}}`), metav1.PatchOptions{})
	n.must(err, "take the label")
	n.eventually("it has its label again", func(ctx context.Context) (string, error) {
		r, err := client.Get(ctx, agent, metav1.GetOptions{})
		if err != nil || r.Labels[v1alpha1.LabelOwner] != "" {
			return "", err
		}
		return "it has none", nil
	})
}
