package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/rollcall-dev/rollcall/e2e/cluster"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// TestFaultAtEveryCall records what the life of a GitSync asks of the API server:
// first apply, a change, drift, renamed files, a rollout and a prune. Then each of
// these calls fails once, and the same life ends as it did: nothing is lost,
// nothing restarts once more, and no more nodes are without their agent. What a call
// meets goes round with the lives; all combinations are for NIGHTLY=1.
func TestFaultAtEveryCall(t *testing.T) {
	t.Parallel()
	w := idleWorld(t, cluster.Options{Nodes: 4, Zones: 1})
	f := &faulty{proxy: w.proxy()}
	w.putBetween(f)
	w.startController()
	two := intstr.FromInt32(2)
	p := hurried()
	p.MaxUnavailable, p.Waves[0].UpTo, p.Waves[0].Soak = &two, intstr.FromInt32(1), metav1.Duration{Duration: time.Second}
	w.policy(p)
	var undisturbed string
	var calls []callSite
	w.act(t, "undisturbed", func(t *testing.T) {
		undisturbed, calls = w.life(t, f, "undisturbed", nil), f.calls()
		t.Logf("%d calls", len(calls))
	})
	lives := 2
	if os.Getenv("ROLLCALL_NIGHTLY") != "" {
		lives = 2 * int(faults)
	}
	for life := range lives {
		w.act(t, fmt.Sprintf("life %d", life), func(t *testing.T) { w.sameLife(t, f, life, faultsOf(calls, life), undisturbed) })
	}
	w.act(t, "the API server goes away and comes back", func(t *testing.T) {
		w.sameLife(t, f, lives, map[callSite]fault{
			{kind: "patch configmaps in the first commit", nth: 2}: outage, {kind: "patch daemonsets with the gate in the rollout", nth: 1}: outage,
			{kind: "delete pods in the rollout", nth: 2}: outage, {kind: "delete configmaps in the rollout", nth: 1}: outage,
		}, undisturbed)
	})
}

// faultsOf lets every other of the calls fail once, and the others in the next life,
// so that there is progress between two failures. Of the reads, which every pass makes
// again, it is the first two of each kind in a chapter.
func faultsOf(calls []callSite, life int) map[callSite]fault {
	out, i := map[callSite]fault{}, 0
	for _, c := range calls {
		if !writes(c.kind) && c.nth > 2 {
			continue
		}
		if i%2 == life%2 {
			out[c] = fault((i/2*5 + life/2) % int(faults))
		}
		i++
	}
	return out
}

// writes is whether a call is one that changes something.
func writes(kind string) bool {
	verb, _, _ := strings.Cut(kind, " ")
	return slices.Contains([]string{"create", "update", "patch", "delete"}, verb) && !strings.Contains(kind, " to try")
}

// sameLife plays a life in which calls fail, and compares its end.
func (w *world) sameLife(t *testing.T, f *faulty, life int, plan map[callSite]fault, undisturbed string) {
	t.Helper()
	before := maps.Clone(plan)
	began := time.Now()
	end := w.life(t, f, fmt.Sprintf("life-%d", life), plan)
	if d := cmp.Diff(undisturbed, end); d != "" {
		t.Errorf("the end (-without +with faults):\n%s", d)
	}
	hit := f.hits()
	for s, how := range before {
		late := strings.HasPrefix(s.kind, "patch controllerrevisions") // after the proof, and so perhaps in the next chapter
		if !late && s.nth == 1 && writes(s.kind) && !slices.Contains(hit, s) {
			t.Errorf("nothing failed at the first %s, which was to be: %s", s.kind, how)
		}
	}
	t.Logf("%d of %d calls failed, in %s", len(hit), len(before), time.Since(began).Round(time.Second))
}

// life is what happens to a GitSync from its first commit on, in a namespace of its
// own. It returns what is there at the end.
func (w *world) life(t *testing.T, f *faulty, name string, plan map[callSite]fault) string {
	t.Helper()
	n := newTenant(t, w, name)
	r := recordIn(t, w.cluster.Client, n.namespace)
	f.begin(plan)
	f.tell("the first commit")
	if plan != nil {
		defer n.keepPoking()()
	}
	n.waitProven(n.followAfter(map[string]string{
		"daemonset.yaml": examples("v1"), "config.yaml": plainConfig("config", "1"), "extra.yaml": plainConfig("extra", "1"),
		"settings.yaml": plainConfig("settings", "1"), "secret.yaml": plainSecret("token", "1"), "others.yaml": accompanyingIn(n.namespace),
	}))
	f.tell("a change")
	n.waitProven(n.push("another value", map[string]string{"settings.yaml": plainConfig("settings", "2"), "secret.yaml": plainSecret("token", "2")}))
	f.tell("drift")
	n.driftAndBack()
	f.tell("renamed files")
	n.renameAll(f, plan == nil)
	f.tell("the rollout")
	n.waitProven(n.push("another version", map[string]string{"agent.yaml": examples("v2"), "extra.yaml": ""}))
	n.waitPruned()
	last := n.waitSync("fleet", "the inventory forgets what was pruned", func(gs *v1alpha1.GitSync) bool { return !lists(gs, "extra") })
	r.wantHistory(t, w.nodes(), "v1", "v2")
	r.wantWorst(t, 2)
	end := n.end(last.Status.Proven)
	f.stop()
	n.must(w.kinds.GitSyncs(n.namespace).Delete(context.WithoutCancel(t.Context()), "fleet", metav1.DeleteOptions{}), "delete GitSync")
	n.must(w.cluster.Client.CoreV1().Namespaces().Delete(t.Context(), n.namespace, metav1.DeleteOptions{}), "delete namespace")
	return end
}

// examples are agents with a config, and with the label that recorders look for.
func examples(tag string) string {
	return strings.ReplaceAll(mounting(agent, tag), "app: "+agent, "app: example")
}

// accompanyingIn is one object of each of some kinds, of which those outside of
// namespaces have a name of their own.
func accompanyingIn(namespace string) string {
	return strings.NewReplacer("kind: ClusterRole\nmetadata: {name: agent}", "kind: ClusterRole\nmetadata: {name: agent-"+namespace+"}",
		"kind: PriorityClass\nmetadata: {name: agent}", "kind: PriorityClass\nmetadata: {name: agent-"+namespace+"}").Replace(accompanying)
}

// keepPoking asks for a pass every second, as a person does who wants to see the end
// of it: else a pass waits longer after each failure.
func (n *tenant) keepPoking() (stop func()) {
	ctx, cancel := context.WithCancel(n.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Second):
			}
			patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:"%d"}}}`, v1alpha1.AnnotationReconcileAt, i)
			gs, err := n.w.kinds.GitSyncs(n.namespace).Patch(ctx, "fleet", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
			if err == nil && readyCondition(gs).Reason == "Fought" { // else it is not there yet
				n.t.Errorf("passes in the middle of a rollout are taken for a fight: %s", readyCondition(gs).Message)
			}
		}
	}()
	return func() { cancel(); <-done }
}

// driftAndBack edits an object and deletes another one, and waits until nobody sees
// that any more.
func (n *tenant) driftAndBack() {
	n.t.Helper()
	client := n.w.cluster.Client.CoreV1()
	_, err := client.ConfigMaps(n.namespace).Patch(n.t.Context(), "settings", types.MergePatchType, []byte(`{"data":{"key":"edited"}}`), metav1.PatchOptions{FieldManager: "kubectl-edit"})
	n.must(err, "edit ConfigMap")
	n.must(client.Services(n.namespace).Delete(n.t.Context(), "agent", metav1.DeleteOptions{}), "delete Service")
	n.eventually("both are as declared", func(ctx context.Context) (string, error) {
		settings, err := client.ConfigMaps(n.namespace).Get(ctx, "settings", metav1.GetOptions{})
		if err != nil || settings.Data["key"] != "2" {
			return fmt.Sprint("the ConfigMap is not: ", err), nil
		}
		if _, err := client.Services(n.namespace).Get(ctx, "agent", metav1.GetOptions{}); err != nil {
			return fmt.Sprint("the Service is not: ", err), nil
		}
		return "", nil
	})
}

// renameAll renames a file of the agent and one of its config, which asks nothing of
// the API server but to write down the commit.
func (n *tenant) renameAll(f *faulty, quiet bool) {
	n.t.Helper()
	for from, to := range map[string]string{"daemonset.yaml": "agent.yaml", "config.yaml": "renamed.yaml"} {
		_, err := n.repo.Git(n.t.Context(), "mv", from, to)
		n.must(err, "move")
	}
	before := n.state()
	if quiet {
		n.eventually("it is at rest", func(ctx context.Context) (string, error) {
			seen := len(f.calls())
			select {
			case <-ctx.Done():
			case <-time.After(3 * time.Second):
			}
			if now := f.calls(); len(now) > seen {
				return fmt.Sprint(now[seen:]), nil
			}
			return "", nil
		})
	}
	seen := len(f.calls())
	n.waitProven(n.push("rename", nil))
	n.wantUnchanged(before)
	if !quiet {
		return
	}
	for _, c := range f.calls()[seen:] {
		if kind, _, _ := strings.Cut(c.kind, " in "); kind != "update gitsyncs/status" && kind != "get secrets" {
			n.t.Errorf("a renamed file asks for %s", c.kind)
		}
	}
}

// end is what there is once everything is at rest, in words that are the same in
// every namespace.
func (n *tenant) end(commit string) string {
	n.t.Helper()
	var out string
	n.eventually("all is at rest", func(ctx context.Context) (string, error) {
		gs, err := n.w.kinds.GitSyncs(n.namespace).Get(ctx, "fleet", metav1.GetOptions{})
		n.must(err, "get GitSync")
		rollout, err := n.w.kinds.NodeRollouts(n.namespace).Get(ctx, agent, metav1.GetOptions{})
		n.must(err, "get NodeRollout")
		ds, err := n.w.cluster.Client.AppsV1().DaemonSets(n.namespace).Get(ctx, agent, metav1.GetOptions{})
		n.must(err, "get DaemonSet")
		if ds.Status.UpdatedNumberScheduled != 4 || ds.Status.NumberAvailable != 4 || len(rollout.Status.InFlight) > 0 || rollout.Status.Reason != "Proven" || readyCondition(gs).Reason != "Proven" {
			return fmt.Sprintf("%+v; %s; %+v", ds.Status, describe(rollout), gs.Status.Conditions), nil
		}
		var lines []string
		say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
		say("GitSync %s, applied %s, proven %s", readyCondition(gs).Message, gs.Status.Applied, gs.Status.Proven)
		for _, e := range gs.Status.Inventory.Entries {
			say("inventory %s", e.ID)
		}
		s := rollout.Status
		say("rollout %s %s %+v, candidate %t, rejected %d, owner %s", s.Phase, s.Reason, s.Nodes, s.Candidate != nil, len(s.Rejected), rollout.Labels[v1alpha1.LabelOwner])
		say("DaemonSet %s, %s, of %v, by %v", ds.Spec.UpdateStrategy.Type, ds.Spec.Template.String(), ds.Labels, managers(ds.ManagedFields))
		for _, cm := range n.configMaps() {
			say("ConfigMap %s %v of %v by %v", cm.Name, cm.Data, cm.Labels, managers(cm.ManagedFields))
		}
		token, err := n.w.cluster.Client.CoreV1().Secrets(n.namespace).Get(ctx, "token", metav1.GetOptions{})
		n.must(err, "get Secret")
		say("Secret %s of %v by %v", token.Data["key"], token.Labels, managers(token.ManagedFields))
		service, err := n.w.cluster.Client.CoreV1().Services(n.namespace).Get(ctx, "agent", metav1.GetOptions{})
		n.must(err, "get Service")
		say("Service %v of %v by %v; pods %v", service.Spec.Ports, service.Labels, managers(service.ManagedFields), n.tags())
		out = strings.NewReplacer(n.namespace, "NAMESPACE", commit, "COMMIT", commit[:8], "COMMIT").Replace(strings.Join(lines, "\n"))
		return "", nil
	})
	return out
}

// managers are who has fields of an object.
func managers(fields []metav1.ManagedFieldsEntry) []string {
	var out []string
	for _, f := range fields {
		out = append(out, fmt.Sprintf("%s %s %s", f.Manager, f.Operation, f.Subresource))
	}
	slices.Sort(out)
	return out
}
