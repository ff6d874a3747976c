package e2e

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// beside is a second DaemonSet.
func beside(manifest string) string {
	return strings.NewReplacer("example-daemonset", "second", "app: example", "app: second").Replace(manifest)
}

// rivalry makes both GitSyncs and waits until they are proven. The rival polls
// once an hour, unless somebody awaits it.
func (n *tenant) rivalry(files map[string]string) {
	n.t.Helper()
	first := n.push("both", files)
	n.follow(func(gs *v1alpha1.GitSync) { gs.Spec.Source.Path = "a" })
	n.waitProven(first)
	n.follow(func(gs *v1alpha1.GitSync) {
		gs.Name, gs.Spec.Source.Path, gs.Spec.Source.Interval = "rival", "b", metav1.Duration{Duration: time.Hour}
	})
	n.waitSettled("rival", first)
}

// waitSettled waits until a GitSync is proven at a commit, and holds nothing back.
func (n *tenant) waitSettled(name, commit string) {
	n.t.Helper()
	n.waitSync(name, name+" is proven at "+commit[:8], func(gs *v1alpha1.GitSync) bool {
		ready := readyCondition(gs)
		return gs.Status.Proven == commit && ready.Status == metav1.ConditionTrue &&
			gs.Status.ObservedGeneration == gs.Generation && !strings.Contains(ready.Message, "not pruned")
	})
}

// owners are the owners of DaemonSets, NodeRollouts and plain ConfigMaps.
func (n *tenant) owners() map[string]string {
	n.t.Helper()
	out := map[string]string{}
	note := func(what string, labels map[string]string) {
		out[what] = strings.TrimPrefix(labels[v1alpha1.LabelOwner], n.namespace+".")
	}
	sets, err := n.w.cluster.Client.AppsV1().DaemonSets(n.namespace).List(n.t.Context(), metav1.ListOptions{})
	n.must(err, "list DaemonSets")
	for _, ds := range sets.Items {
		note("daemonset "+ds.Name, ds.Labels)
	}
	rollouts, err := n.w.kinds.NodeRollouts(n.namespace).List(n.t.Context(), metav1.ListOptions{})
	n.must(err, "list NodeRollouts")
	for _, r := range rollouts.Items {
		note("rollout "+r.Name+" "+string(r.UID), r.Labels)
	}
	for _, cm := range n.configMaps() {
		note("configmap "+cm.Name, cm.Labels)
	}
	return out
}

// renamed are the same owners but for those that changed hands.
func renamed(before map[string]string, to map[string]string) map[string]string {
	out := map[string]string{}
	for what, owner := range before {
		out[what] = to[owner]
	}
	return out
}

func (n *tenant) wantOwners(want map[string]string) {
	n.t.Helper()
	if d := cmp.Diff(want, n.owners()); d != "" {
		n.t.Errorf("whose is what (-want +got):\n%s", d)
	}
}

// moved is an agent that one commit moves with its config from one GitSync to
// another: nothing restarts, and its rollout goes on. What moves nowhere is
// pruned.
func moved(n *tenant) {
	n.rivalry(map[string]string{
		"a/agent.yaml": mounting(agent, "v1"), "a/config.yaml": plainConfig("config", "1"),
		"a/second.yaml": beside(manifest("v1")), "a/extra.yaml": plainConfig("extra", "1"),
		"b/other.yaml": plainConfig("other", "1"),
	})
	before, owners := n.state(), n.owners()
	commit := n.deliver("move", map[string]string{
		"a/agent.yaml": "", "a/config.yaml": "", "a/extra.yaml": "",
		"b/x.yaml": mounting(agent, "v1"), "b/y.yaml": plainConfig("config", "1"),
	})
	n.waitSettled("rival", commit)
	n.waitSettled("fleet", commit)
	n.waitPruned()
	delete(before, "configmap extra")
	delete(owners, "configmap extra")
	for what := range owners {
		if strings.Contains(what, agent) || strings.Contains(what, "config") && what != "configmap extra" {
			owners[what] = "rival"
		}
	}
	n.wantStill(before)
	n.wantOwners(owners)
	n.wantState(agent)
	gs := n.waitSync("fleet", "it lists nothing that it gave away", func(gs *v1alpha1.GitSync) bool { return len(gs.Status.Rollouts) == 1 })
	if lists(gs, agent) || lists(gs, "config") {
		n.t.Errorf("the inventory is %v, though the agent and its config moved", gs.Status.Inventory)
	}
}

// swapped are two GitSyncs whose paths somebody swaps, first of one, then of the
// other.
func swapped(n *tenant) {
	n.rivalry(map[string]string{
		"a/agent.yaml": manifest("v1"), "a/extra.yaml": plainConfig("extra", "1"),
		"b/second.yaml": beside(mounting(agent, "v1")), "b/config.yaml": plainConfig("config", "1"),
	})
	before, owners := n.state(), n.owners()
	n.edit(func(gs *v1alpha1.GitSync) { gs.Spec.Source.Path = "b" })
	gs := n.waitHeld("fleet", "OwnedByAnother", "b/second.yaml", n.namespace+".rival")
	if n.wantUnchanged(before); len(n.owners()) != len(owners) {
		n.t.Errorf("after half a swap: %v", n.owners())
	}
	rival, err := n.w.kinds.GitSyncs(n.namespace).Get(n.t.Context(), "rival", metav1.GetOptions{})
	n.must(err, "get GitSync")
	rival.Spec.Source.Path = "a"
	_, err = n.w.kinds.GitSyncs(n.namespace).Update(n.t.Context(), rival, metav1.UpdateOptions{})
	n.must(err, "swap the other path")
	n.waitSettled("rival", gs.Status.Fetched.Commit)
	n.waitSettled("fleet", gs.Status.Fetched.Commit)
	n.wantStill(before)
	n.wantOwners(renamed(owners, map[string]string{"fleet": "rival", "rival": "fleet"}))
}

// usedElsewhere is what a GitSync drops while pods of another one's DaemonSet
// need it.
func usedElsewhere(n *tenant) {
	class := n.namespace + "-class"
	using := strings.Replace(beside(reader(agent, "v1", "[{name: config, configMap: {name: extra}}]", "")),
		"      terminationGracePeriodSeconds", "      serviceAccountName: account\n      priorityClassName: "+class+"\n      terminationGracePeriodSeconds", 1)
	n.rivalry(map[string]string{
		"a/agent.yaml": manifest("v1"), "a/extra.yaml": plainConfig("extra", "1"),
		"a/account.yaml": "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: account\n",
		"a/class.yaml":   "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata:\n  name: " + class + "\nvalue: 7\n",
		"b/second.yaml":  using, "b/other.yaml": plainConfig("other", "1"),
	})
	before := n.state()
	commit := n.deliver("drop", map[string]string{"a/extra.yaml": "", "a/account.yaml": "", "a/class.yaml": ""})
	n.waitSync("fleet", "it keeps what the rival's pods need", func(gs *v1alpha1.GitSync) bool {
		return gs.Status.Proven == commit && strings.Contains(readyCondition(gs).Message, "3 InUse")
	})
	n.wantStill(before)
	_, account := n.w.cluster.Client.CoreV1().ServiceAccounts(n.namespace).Get(n.t.Context(), "account", metav1.GetOptions{})
	n.must(account, "get the account that pods run as")
	_, priority := n.w.cluster.Client.SchedulingV1().PriorityClasses().Get(n.t.Context(), class, metav1.GetOptions{})
	n.must(priority, "get the class that pods name")
	n.waitSettled("rival", n.deliver("no use of it", map[string]string{"b/second.yaml": ""}))
	n.waitPruned()
	n.eventually("the account and the class are pruned", func(ctx context.Context) (string, error) {
		_, account := n.w.cluster.Client.CoreV1().ServiceAccounts(n.namespace).Get(ctx, "account", metav1.GetOptions{})
		_, priority := n.w.cluster.Client.SchedulingV1().PriorityClasses().Get(ctx, class, metav1.GetOptions{})
		if account == nil || priority == nil {
			return fmt.Sprint(account, priority), nil
		}
		return "", nil
	})
	n.wantPods("example", 6)
}

// wantPods fails unless an app has so many pods.
func (n *tenant) wantPods(app string, want int) {
	n.t.Helper()
	got := 0
	for _, p := range n.pods() {
		if p.Labels["app"] == app && p.Status.Phase == corev1.PodRunning {
			got++
		}
	}
	if got != want {
		n.t.Errorf("%d pods of %s, want %d", got, app, want)
	}
}

// onPort is a DaemonSet whose pods want a port of their node.
func onPort(manifest string, port int) string {
	return strings.Replace(manifest, "        image:", fmt.Sprintf("        ports: [{containerPort: 80, hostPort: %d}]\n        image:", port), 1)
}

// renamedWithPort is an agent under another name that wants the host port of the
// one that it replaces: neither can go on. What is said of it works: another port
// for the while.
func renamedWithPort(n *tenant) {
	n.waitProven(n.followAfter(map[string]string{"daemonset.yaml": onPort(manifest("v1"), 9100), "extra.yaml": plainConfig("extra", "1")}))
	before := n.state()
	n.deliver("rename", map[string]string{"daemonset.yaml": onPort(beside(manifest("v1")), 9100), "extra.yaml": ""})
	n.waitSync("fleet", "both are named", func(gs *v1alpha1.GitSync) bool {
		message := readyCondition(gs).Message
		return strings.Contains(message, "1 HoldsPort (DaemonSet.apps "+n.namespace+"/"+agent+" has host port 9100, which DaemonSet.apps "+n.namespace+"/second wants") &&
			strings.Contains(message, "1 AwaitingProof")
	})
	for what, was := range n.state() {
		if before[what] != "" && before[what] != was {
			n.t.Errorf("%s was %s and is %s", what, before[what], was)
		}
	}
	n.waitProven(n.deliver("another port", map[string]string{"daemonset.yaml": onPort(beside(manifest("v1")), 9101)}))
	n.waitGone(agent)
	n.waitPruned()
	n.waitProven(n.deliver("the port", map[string]string{"daemonset.yaml": onPort(beside(manifest("v1")), 9100)}))
	n.wantPods("second", 6)
}
