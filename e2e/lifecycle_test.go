package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// TestLifecycle shows how much of a GitSync happens by itself, what it waits for, and
// what is left when it is deleted.
func TestLifecycle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.policy(hurried())
	together(t, w, map[string]func(*tenant){
		"observed":            observedOnly,
		"approved":            approvedCommits,
		"limited":             limitedPrune,
		"confirmed":           confirmedNamespace,
		"depends":             dependsOnProof,
		"depends in a circle": dependsInCircle,
		"deleted and orphans": deletedAndOrphans,
		"deleted and prunes":  deletedAndPrunes,
		"deleted in part":     deletedInPart,
		"deleted with heir":   deletedWithHeir,
		"namespace goes":      deletedWithNamespace,
		"suspended mode":      suspendedInModes,
	})
	w.act(t, "a new process still knows what is approved", func(t *testing.T) { approvedAfterRestart(newTenant(t, w, "approved before")) })
}

// mode has a GitSync go by it.
func (n *tenant) mode(mode v1alpha1.Mode) func(*v1alpha1.GitSync) {
	return func(gs *v1alpha1.GitSync) { gs.Spec.Mode = mode }
}

// value is what the key of ConfigMap extra is.
func (n *tenant) value() string {
	n.t.Helper()
	for _, cm := range n.configMaps() {
		if cm.Name == "extra" {
			return cm.Data["key"]
		}
	}
	return ""
}

// waitValue waits until the key of ConfigMap extra is that.
func (n *tenant) waitValue(want string) {
	n.t.Helper()
	n.eventually(fmt.Sprintf("ConfigMap extra has %q", want), func(context.Context) (string, error) {
		if got := n.value(); got != want {
			return fmt.Sprintf("it has %q", got), nil
		}
		return "", nil
	})
}

func observedOnly(n *tenant) {
	commit := n.push("first", map[string]string{"daemonset.yaml": manifest("v1"), "extra.yaml": plainConfig("extra", "1")})
	n.follow(n.mode(v1alpha1.ModeObserve), func(gs *v1alpha1.GitSync) { gs.Spec.DeletionPolicy = v1alpha1.DeletionPrune })
	gs := n.waitHeld("fleet", "Differs", commit[:8], "2 objects would change, 2 to create", "Create DaemonSet.apps "+n.namespace+"/"+agent, "Create ConfigMap "+n.namespace+"/extra", "set spec.mode")
	if p := gs.Status.Pending; p == nil || p.Commit != commit || p.Create != 2 || len(p.Objects) != 2 {
		n.t.Errorf("pending is %+v, want both objects", p)
	}
	n.waitMetric("rollcall_drift_objects", 2)
	n.wantStill(map[string]string{})
	if gs.Status.Inventory != nil || gs.Status.Applied != "" || len(gs.Finalizers) > 0 {
		n.t.Errorf("inventory %v, applied %q, finalizers %v: want none", gs.Status.Inventory, gs.Status.Applied, gs.Finalizers)
	}
	n.edit(n.mode(v1alpha1.ModeAuto))
	n.waitProven(commit)
	n.edit(n.mode(v1alpha1.ModeObserve))
	n.waitSync("fleet", "nothing differs", func(gs *v1alpha1.GitSync) bool {
		return readyCondition(gs).Reason == "Observed" && readyCondition(gs).Status == metav1.ConditionTrue && gs.Status.Proven == commit
	})
	n.write("extra", "kubectl-edit")
	n.waitHeld("fleet", "Differs", "1 object would change, 1 to update (Update ConfigMap "+n.namespace+"/extra)")
	n.waitMetric("rollcall_drift_objects", 1)
	before := n.state()
	n.deliver("drop", map[string]string{"extra.yaml": "", "daemonset.yaml": manifest("v2")})
	n.waitSync("fleet", "it says what it would prune", func(gs *v1alpha1.GitSync) bool {
		message := readyCondition(gs).Message
		return strings.Contains(message, "1 to update, 1 to prune") && strings.Contains(message, "Delete ConfigMap "+n.namespace+"/extra")
	})
	n.wantStill(before)
}

// approve does what the command in the message says.
func (n *tenant) approve(commit string) {
	n.t.Helper()
	if code, stdout, stderr := n.rollcall("approve", "gitsync/fleet", commit, "-n", n.namespace); code != 0 {
		n.t.Fatalf("approve: exit code %d, %s%s", code, stdout, stderr)
	}
}

func approvedCommits(n *tenant) {
	first := n.push("first", map[string]string{"daemonset.yaml": manifest("v1"), "extra.yaml": plainConfig("extra", "1")})
	n.follow(n.mode(v1alpha1.ModeApprove))
	n.waitHeld("fleet", "AwaitingApproval", first[:8], "2 objects would change, 2 to create", "rollcall approve gitsync/fleet "+first+" -n "+n.namespace)
	n.wantStill(map[string]string{})
	n.approve(first)
	n.waitProven(first)
	before := n.state()
	second := n.deliver("second", map[string]string{"extra.yaml": plainConfig("extra", "2")})
	gs := n.waitHeld("fleet", "AwaitingApproval", second[:8], "approved is commit "+first[:8], "1 object would change, 1 to update", "meanwhile commit "+first[:8])
	if gs.Status.Applied != first || gs.Status.Proven != first || gs.Status.Fetched.Commit != second {
		n.t.Errorf("applied %s, proven %s, fetched %s: want the first and the second commit", gs.Status.Applied, gs.Status.Proven, gs.Status.Fetched.Commit)
	}
	n.wantStill(before)
	n.write("extra", "kubectl-edit")
	n.waitValue("1")
	third := n.deliver("third", map[string]string{"extra.yaml": plainConfig("extra", "3")})
	n.waitSync("fleet", "the third commit waits", func(gs *v1alpha1.GitSync) bool {
		return strings.HasPrefix(readyCondition(gs).Message, "commit "+third[:8])
	})
	n.edit(func(gs *v1alpha1.GitSync) { gs.Spec.Approved = second })
	n.waitHeld("fleet", "AwaitingApproval", third[:8], "approved is commit "+second[:8])
	n.wantStill(before)
	if code, _, stderr := n.rollcall("approve", "gitsync/fleet", second, "-n", n.namespace); code != 1 || !strings.Contains(stderr, third[:8]) {
		n.t.Errorf("approve of a commit that another one has replaced: exit code %d, %s", code, stderr)
	}
	n.approve(third)
	n.waitProven(third)
	n.waitValue("3")
	gs = n.waitSync("fleet", "there is nothing pending", func(gs *v1alpha1.GitSync) bool { return gs.Status.Pending == nil })
	var got []string
	for _, e := range gs.Status.History {
		got = append(got, fmt.Sprintf("%s %s %t", e.Subject, e.Outcome, e.Applied != nil && e.Proven != nil))
	}
	if want := "[third Proven true second Superseded false first Proven true]"; fmt.Sprint(got) != want {
		n.t.Errorf("history is %v, want %s", got, want)
	}
}

// approvedAfterRestart: drift of the approved commit is corrected by a process that
// has never seen it as the newest one.
func approvedAfterRestart(n *tenant) {
	first := n.push("first", map[string]string{"extra.yaml": plainConfig("extra", "1")})
	n.follow(n.mode(v1alpha1.ModeApprove), func(gs *v1alpha1.GitSync) { gs.Spec.Approved = first })
	n.waitProven(first)
	n.deliver("second", map[string]string{"extra.yaml": plainConfig("extra", "2")})
	third := n.deliver("third", map[string]string{"extra.yaml": plainConfig("extra", "3")})
	n.waitHeld("fleet", "AwaitingApproval", third[:8])
	n.must(n.w.control.Kill(), "kill rollcall")
	n.write("extra", "kubectl-edit")
	n.w.startController()
	n.waitValue("1")
	gs := n.waitHeld("fleet", "AwaitingApproval", third[:8])
	if message := readyCondition(gs).Message; strings.Contains(message, "cannot be read") {
		n.t.Errorf("the approved commit is lost: %s", message)
	}
}

func limitedPrune(n *tenant) {
	files := map[string]string{}
	for i := range 10 {
		files[fmt.Sprintf("c%d.yaml", i)] = plainConfig(fmt.Sprintf("c%d", i), "1")
	}
	n.waitProven(n.followAfter(files))
	before := n.state()
	dropped := map[string]string{}
	for i := range 4 {
		dropped[fmt.Sprintf("c%d.yaml", i)] = ""
	}
	commit := n.deliver("drop", dropped)
	gs := n.waitHeld("fleet", "PruneLimitExceeded", "4 of 10 objects would go", "lets 3 go (25%)", "rollcall approve gitsync/fleet "+commit)
	if gs.Status.Applied != commit || gs.Status.Proven != commit {
		n.t.Errorf("applied %s and proven %s, want %s: only the deletions wait", gs.Status.Applied, gs.Status.Proven, commit)
	}
	n.wantStill(before)
	n.approve(commit)
	n.waitProven(commit)
	n.eventually("they are pruned", func(context.Context) (string, error) {
		if left := len(n.configMaps()); left != 6 {
			return fmt.Sprintf("%d are left", left), nil
		}
		return "", nil
	})
	n.edit(func(gs *v1alpha1.GitSync) { limit := intstr.FromInt32(0); gs.Spec.PruneLimit = &limit })
	n.deliver("drop another", map[string]string{"c4.yaml": ""})
	n.waitHeld("fleet", "PruneLimitExceeded", "1 of 6 objects would go", "lets 0 go (0)")
	n.waitProven(n.deliver("back", map[string]string{"c4.yaml": plainConfig("c4", "1")}))
}

// confirmedNamespace: a person confirms in the cluster what Git has dropped.
func confirmedNamespace(n *tenant) {
	other := n.namespace + "-more"
	namespace := "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: " + other + "\n"
	n.waitProven(n.followAfter(map[string]string{"namespace.yaml": namespace, "extra.yaml": plainConfig("extra", "1")}))
	n.edit(func(gs *v1alpha1.GitSync) { gs.Spec.Source.Interval = metav1.Duration{Duration: time.Hour} })
	n.waitProven(n.deliver("drop", map[string]string{"namespace.yaml": ""}))
	n.wantWithheld("ProtectedKind")
	_, err := n.w.cluster.Client.CoreV1().Namespaces().Patch(n.t.Context(), other, types.MergePatchType, []byte(`{"metadata":{"annotations":{"rollcall.dev/prune":"confirm"}}}`), metav1.PatchOptions{})
	n.must(err, "annotate namespace")
	n.eventually("the namespace goes", func(ctx context.Context) (string, error) {
		_, err := n.w.cluster.Client.CoreV1().Namespaces().Get(ctx, other, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return "", nil
		}
		return "it is there", err
	})
}

// dependsOnProof: of one repository, what depends on an agent comes when that is
// proven, and not with the same push. Nobody polls by himself meanwhile: the one
// that waits asks the one that it waits for, and is woken by its proof.
func dependsOnProof(n *tenant) {
	first := n.push("first", map[string]string{"a/daemonset.yaml": manifest("v1"), "b/extra.yaml": plainConfig("extra", "1")})
	hourly := metav1.Duration{Duration: time.Hour}
	n.follow(func(gs *v1alpha1.GitSync) {
		gs.Name, gs.Spec.Source.Path, gs.Spec.Source.Interval, gs.Spec.DependsOn = "later", "b", hourly, []v1alpha1.GitSyncReference{{Name: "fleet"}}
	})
	n.waitHeld("later", "DependencyNotFound", "GitSync "+n.namespace+"/fleet", "does not exist", "create it")
	n.follow(func(gs *v1alpha1.GitSync) { gs.Spec.Source.Path, gs.Spec.Source.Interval = "a", hourly })
	n.waitProven(first)
	n.waitSettled("later", first)
	bad := n.push("bad", map[string]string{"a/daemonset.yaml": manifest("bad"), "b/extra.yaml": plainConfig("extra", "2")})
	n.pokeLater()
	n.waitHeld("later", "DependencyNotReady", "commit "+bad[:8]+" waits for GitSync "+n.namespace+"/fleet")
	n.waitHeld("fleet", "RolloutStopped", "Rejected")
	n.waitSync("later", "it says why", func(gs *v1alpha1.GitSync) bool {
		return strings.Contains(readyCondition(gs).Message, "has not proven commit "+bad[:8]+" (RolloutStopped)")
	})
	n.write("extra", "kubectl-edit")
	n.waitValue("1")
	good := n.push("good", map[string]string{"a/daemonset.yaml": manifest("v2")})
	n.pokeLater()
	n.waitSettled("later", good)
	n.waitValue("2")
	n.waitSettled("fleet", good)
}

// pokeLater is poke for the GitSync "later".
func (n *tenant) pokeLater() {
	n.t.Helper()
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"%d"}}}`, v1alpha1.AnnotationReconcileAt, time.Now().UnixNano())
	_, err := n.w.kinds.GitSyncs(n.namespace).Patch(n.t.Context(), "later", types.MergePatchType, patch, metav1.PatchOptions{})
	n.must(err, "annotate GitSync")
}

func dependsInCircle(n *tenant) {
	first := n.push("first", map[string]string{"a.yaml": plainConfig("extra", "1")})
	on := func(name string, others ...string) func(*v1alpha1.GitSync) {
		return func(gs *v1alpha1.GitSync) {
			gs.Name, gs.Spec.DependsOn = name, nil
			for _, other := range others {
				gs.Spec.DependsOn = append(gs.Spec.DependsOn, v1alpha1.GitSyncReference{Name: other})
			}
		}
	}
	n.follow(on("fleet", "second"))
	n.follow(on("second", "third"))
	n.follow(on("third", "fleet"))
	ns := n.namespace + "/"
	n.waitHeld("fleet", "DependencyCycle", ns+"fleet → "+ns+"second → "+ns+"third → "+ns+"fleet")
	n.waitHeld("second", "DependencyCycle", ns+"second → "+ns+"third → "+ns+"fleet → "+ns+"second")
	n.waitHeld("third", "DependencyCycle", ns+"third → "+ns+"fleet → "+ns+"second → "+ns+"third")
	n.wantUnchanged(map[string]string{})
	n.edit(func(gs *v1alpha1.GitSync) { on("fleet")(gs) })
	n.waitProven(first)
}

// gone waits until there is no GitSync "fleet" any more.
func (n *tenant) gone() {
	n.t.Helper()
	n.eventually("the GitSync is gone", func(ctx context.Context) (string, error) {
		gs, err := n.w.kinds.GitSyncs(n.namespace).Get(ctx, "fleet", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		return fmt.Sprint(gs.Finalizers, gs.Status.Conditions), nil
	})
}

func (n *tenant) remove() {
	n.t.Helper()
	n.must(n.w.kinds.GitSyncs(n.namespace).Delete(n.t.Context(), "fleet", metav1.DeleteOptions{}), "delete GitSync")
}

// wantEvent waits until there is an event of the GitSync that says the words.
func (n *tenant) wantEvent(reason string, words ...string) {
	n.t.Helper()
	n.eventually("an event says "+reason, func(ctx context.Context) (string, error) {
		events, err := n.w.cluster.Client.CoreV1().Events(n.namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return "", err
		}
		last := "no such event"
		for _, e := range events.Items {
			if e.InvolvedObject.Name != "fleet" || e.Reason != reason {
				continue
			}
			last = ""
			for _, word := range words {
				if !strings.Contains(e.Message, word) {
					last = fmt.Sprintf("%q is not in %q", word, e.Message)
				}
			}
			if last == "" {
				return "", nil
			}
		}
		return last, nil
	})
}

func deletedAndOrphans(n *tenant) {
	before := n.good()
	n.remove()
	n.gone()
	n.wantEvent("Orphaned", "2 objects (ConfigMap, DaemonSet)", n.namespace+".fleet", "OnDelete")
	n.wantUnchanged(before)
	n.follow()
	n.waitSync("fleet", "the next one has it all", func(gs *v1alpha1.GitSync) bool { return readyCondition(gs).Reason == "Proven" && lists(gs, "extra") })
	n.wantUnchanged(before)
}

func deletedAndPrunes(n *tenant) {
	commit := n.push("good", map[string]string{"daemonset.yaml": mounting(agent, "v1"), "config.yaml": plainConfig("config", "1"), "extra.yaml": plainConfig("extra", "1")})
	n.follow(func(gs *v1alpha1.GitSync) { gs.Spec.DeletionPolicy, gs.Spec.Prune = v1alpha1.DeletionPrune, false })
	if gs := n.waitProven(commit); len(gs.Finalizers) != 1 {
		n.t.Errorf("finalizers are %v, want one", gs.Finalizers)
	}
	n.edit(func(gs *v1alpha1.GitSync) { gs.Spec.DeletionPolicy = v1alpha1.DeletionOrphan })
	n.waitSync("fleet", "no finalizer holds it", func(gs *v1alpha1.GitSync) bool { return len(gs.Finalizers) == 0 })
	n.edit(func(gs *v1alpha1.GitSync) { gs.Spec.DeletionPolicy = v1alpha1.DeletionPrune })
	n.waitSync("fleet", "a finalizer holds it", func(gs *v1alpha1.GitSync) bool { return len(gs.Finalizers) == 1 })
	n.createByHand(configMaps(), plainConfig("bystander", "1"))
	n.remove()
	n.gone()
	n.wantEvent("Deleted", "nothing is left of what it applied")
	n.waitGone(agent)
	n.eventually("its pods are gone", func(context.Context) (string, error) {
		if left := len(n.pods()); left > 0 {
			return fmt.Sprintf("%d are left", left), nil
		}
		return "", nil
	})
	if left := n.configMaps(); len(left) != 1 || left[0].Name != "bystander" {
		n.t.Errorf("%d ConfigMaps are left, want the bystander", len(left))
	}
}

// deletedInPart: what is protected stays, what cannot go holds the GitSync and is
// said, and a person can give up.
func deletedInPart(n *tenant) {
	kept := strings.Replace(plainConfig("kept", "1"), "  name: kept\n", "  name: kept\n  annotations: {rollcall.dev/prune: disabled}\n", 1)
	held := strings.Replace(plainConfig("held", "1"), "  name: held\n", "  name: held\n  finalizers: [example.com/hold]\n", 1)
	commit := n.push("good", map[string]string{"kept.yaml": kept, "held.yaml": held, "extra.yaml": plainConfig("extra", "1")})
	n.follow(func(gs *v1alpha1.GitSync) { gs.Spec.DeletionPolicy = v1alpha1.DeletionPrune })
	n.waitProven(commit)
	n.remove()
	n.waitSync("fleet", "it says what it waits for", func(gs *v1alpha1.GitSync) bool {
		c := readyCondition(gs)
		return c.Reason == "Deleting" && strings.Contains(c.Message, "1 PruneProtected") && strings.Contains(c.Message, "1 Terminating") && strings.Contains(c.Message, "set spec.deletionPolicy to orphan")
	})
	if n.hasConfigMap("extra") || !n.hasConfigMap("kept") {
		n.t.Error("want ConfigMap extra gone and kept kept")
	}
	_, err := n.w.cluster.Client.CoreV1().ConfigMaps(n.namespace).Patch(n.t.Context(), "held", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	n.must(err, "take the finalizer away")
	n.gone()
	n.wantEvent("Deleted", "1 object of what it applied", "1 PruneProtected")
	if !n.hasConfigMap("kept") {
		n.t.Error("ConfigMap kept is gone")
	}
}

// deletedWithHeir: what another GitSync declares goes over to it, and restarts
// nothing.
func deletedWithHeir(n *tenant) {
	commit := n.push("first", map[string]string{"a/daemonset.yaml": manifest("v1"), "a/extra.yaml": plainConfig("extra", "1"), "b/daemonset.yaml": manifest("v1")})
	n.follow(func(gs *v1alpha1.GitSync) { gs.Spec.Source.Path, gs.Spec.DeletionPolicy = "a", v1alpha1.DeletionPrune })
	n.waitProven(commit)
	before := n.state()
	n.rival()
	n.waitHeld("rival", "OwnedByAnother")
	n.remove()
	n.gone()
	n.waitSettled("rival", commit)
	delete(before, "configmap extra")
	n.wantUnchanged(before)
}

func deletedWithNamespace(n *tenant) {
	commit := n.push("good", map[string]string{"daemonset.yaml": mounting(agent, "v1"), "config.yaml": plainConfig("config", "1")})
	n.follow(func(gs *v1alpha1.GitSync) { gs.Spec.DeletionPolicy = v1alpha1.DeletionPrune })
	n.waitProven(commit)
	n.must(n.w.cluster.Client.CoreV1().Namespaces().Delete(n.t.Context(), n.namespace, metav1.DeleteOptions{}), "delete namespace")
	n.eventually("the namespace is gone", func(ctx context.Context) (string, error) {
		ns, err := n.w.cluster.Client.CoreV1().Namespaces().Get(ctx, n.namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		return fmt.Sprint(ns.Status.Conditions), nil
	})
}

// suspendedInModes: a suspended GitSync does nothing in any mode, whatever is
// approved or asked, and deletes nothing when it is deleted.
func suspendedInModes(n *tenant) {
	first := n.push("first", map[string]string{"extra.yaml": plainConfig("extra", "1")})
	n.follow(n.mode(v1alpha1.ModeApprove), func(gs *v1alpha1.GitSync) {
		gs.Spec.Approved, gs.Spec.DeletionPolicy = first, v1alpha1.DeletionPrune
	})
	n.waitProven(first)
	second := n.deliver("second", map[string]string{"extra.yaml": plainConfig("extra", "2")})
	n.waitHeld("fleet", "AwaitingApproval", second[:8])
	n.edit(func(gs *v1alpha1.GitSync) { gs.Spec.Suspend, gs.Spec.Approved = true, second })
	at := n.poke()
	gs := n.waitSync("fleet", "it is suspended", func(gs *v1alpha1.GitSync) bool {
		return readyCondition(gs).Reason == "Suspended" && gs.Status.LastHandledReconcileAt == at
	})
	if gs.Status.Applied != first || n.value() != "1" || gs.Status.Pending == nil {
		n.t.Errorf("applied %s, value %s, pending %v: want everything as it was", gs.Status.Applied, n.value(), gs.Status.Pending)
	}
	n.edit(func(gs *v1alpha1.GitSync) { gs.Spec.Suspend = false })
	n.waitProven(second)
	n.edit(func(gs *v1alpha1.GitSync) { gs.Spec.Suspend = true })
	n.waitSync("fleet", "it is suspended", func(gs *v1alpha1.GitSync) bool { return readyCondition(gs).Reason == "Suspended" })
	n.remove()
	n.gone()
	n.wantEvent("Deleted", "it is suspended", "1 object (ConfigMap)")
	if n.value() != "2" {
		n.t.Error("ConfigMap extra is gone")
	}
}
