package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	kresource "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// TestRollCallAtRest keeps agents away in the ways that clusters really do, and
// reads the roll.
func TestRollCallAtRest(t *testing.T) {
	t.Parallel()
	w := settled(t, 8, quick(soak(0, 2)))

	w.act(t, "a passing taint", func(t *testing.T) {
		w.patchNode("node-1", `{"spec":{"taints":[{"key":"ToBeDeletedByClusterAutoscaler","value":"1","effect":"NoSchedule"}]}}`)
		w.deletePods("node-1")
		w.wantAbsent("node-1", "Tainted", "ToBeDeletedByClusterAutoscaler")
		w.patchNode("node-1", `{"spec":{"taints":null}}`)
		w.wantComplete(8)
	})
	w.act(t, "a node that is too small", func(t *testing.T) {
		w.patchNode("node-2", `{"status":{"allocatable":{"cpu":"1m"}}}`, "status")
		w.deletePods("node-2")
		w.wantAbsent("node-2", "Unschedulable", "Insufficient cpu")
		w.patchNode("node-2", `{"status":{"allocatable":{"cpu":"32"}}}`, "status")
		w.wantComplete(8)
	})
	w.act(t, "a pod quota", func(t *testing.T) {
		quotas := w.cluster.Client.CoreV1().ResourceQuotas(metav1.NamespaceDefault)
		_, err := quotas.Create(t.Context(), &corev1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Name: "few"},
			Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: kresource.MustParse("1")}},
		}, metav1.CreateOptions{})
		w.must(err, "create quota")
		w.until("the quota is enforced", time.Minute, func() (bool, string) {
			q, err := quotas.Get(t.Context(), "few", metav1.GetOptions{})
			w.must(err, "get quota")
			used := q.Status.Used[corev1.ResourcePods]
			return used.Value() >= 8, used.String()
		})
		w.deletePods("node-3")
		w.wantAbsent("node-3", "NoPod", "quota")
		w.must(quotas.Delete(t.Context(), "few", metav1.DeleteOptions{}), "delete quota")
		w.wantComplete(8)
	})
	w.act(t, "a node that is not Ready", func(t *testing.T) {
		w.must(w.cluster.SetNodeReady(t.Context(), "node-4", false), "make node NotReady")
		w.wantAbsent("node-4", "NodeNotReady", "")
		w.must(w.cluster.SetNodeReady(t.Context(), "node-4", true), "make node Ready")
		w.wantComplete(8)
	})
	w.act(t, "an agent where none should be", func(t *testing.T) {
		w.patchNode("node-5", `{"spec":{"taints":[{"key":"dedicated","value":"gpu","effect":"NoSchedule"}]}}`)
		n := w.waitRollout("node-5 has an agent too many", time.Minute, func(n *v1alpha1.NodeRollout) bool {
			return n.Status.Nodes.Eligible == 7 && len(n.Status.Failing) == 1
		})
		if got := n.Status.Failing[0]; got.Node != "node-5" || got.Reason != "Unwanted" {
			t.Errorf("failing is %+v, want node-5 as Unwanted", got)
		}
		w.deletePods("node-5")
		w.wantComplete(7) // a lasting taint makes an agent unwanted, not absent
		w.patchNode("node-5", `{"spec":{"taints":null}}`)
		w.wantComplete(8)
	})
	w.act(t, "a gated pod that cannot be taken away", func(t *testing.T) {
		// With the taint Kubernetes makes no pod of its own beside it.
		w.patchNode("node-7", `{"spec":{"taints":[{"key":"ToBeDeletedByClusterAutoscaler","value":"1","effect":"NoSchedule"}]}}`)
		w.deletePods("node-7")
		w.wantAbsent("node-7", "Tainted", "ToBeDeletedByClusterAutoscaler")
		here := &tenant{t: t, w: w, namespace: metav1.NamespaceDefault}
		lift := here.refuse("pods", admissionv1.Delete, "false")
		here.eventually("deletion is refused", func(ctx context.Context) (string, error) {
			return here.refused(w.cluster.Client.CoreV1().Pods(metav1.NamespaceDefault).Delete(ctx, w.agents()["node-0"].Name, metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}))
		})
		w.createGated("node-7", v1alpha1.WaveGate)
		w.patchNode("node-7", `{"spec":{"taints":null}}`)
		n := w.waitRollout("node-7 is absent for its gate", time.Minute, func(n *v1alpha1.NodeRollout) bool {
			f := n.Status.Failing
			return n.Status.Reason == "StepFailed" && len(f) == 1 && f[0].Node == "node-7" && f[0].Reason == "Gated"
		})
		if s := n.Status; s.Phase != v1alpha1.PhaseProven || s.Nodes.Absent != 1 || s.Failing[0].Message == "" || s.Failing[0].Since.IsZero() {
			t.Errorf("the roll is %s, want it at rest with one node absent, with a message and a time", describe(n))
		}
		lift()
		w.wantComplete(8)
	})
	w.act(t, "nodes that come and go", func(t *testing.T) {
		joined, err := w.cluster.AddNodes(t.Context(), 1)
		w.must(err, "add a node")
		w.wantComplete(9)
		gone := w.agents()[joined[0]].Name
		w.must(w.cluster.DeleteNode(t.Context(), joined[0]), "delete node")
		w.wantComplete(8)
		// No kubelet ends it, and Kubernetes collects it after a minute: until
		// then the next act would count it.
		now := int64(0)
		err = w.cluster.Client.CoreV1().Pods(metav1.NamespaceDefault).Delete(t.Context(), gone, metav1.DeleteOptions{GracePeriodSeconds: &now})
		if !apierrors.IsNotFound(err) {
			w.must(err, "delete the pod of the node that is gone")
		}
	})
	w.act(t, "a node that is held out", func(t *testing.T) {
		files := map[string]string{"daemonset.yaml": equipped("v2", "old"), "account.yaml": account("old"), "config.yaml": plainConfig("config", "1")}
		w.waitProven(w.deliverFiles(files), 2*time.Minute)
		copies := w.pinned()
		w.patchNode("node-6", `{"metadata":{"labels":{"rollcall.dev/hold":"true"}}}`)
		w.waitRollout("node-6 is held", time.Minute, func(n *v1alpha1.NodeRollout) bool { return n.Status.Nodes.Held == 1 })
		r := record(t, w.cluster.Client)
		files = map[string]string{"daemonset.yaml": equipped("v3", "new"), "account.yaml": account("new"), "config.yaml": plainConfig("config", "2")}
		w.waitProven(w.deliverFiles(files), 2*time.Minute)
		w.waitTag("v3", but(w.nodes(), "node-6"))
		w.waitRollout("node-6 is still held", time.Minute, func(n *v1alpha1.NodeRollout) bool {
			return n.Status.Phase == v1alpha1.PhaseProven && n.Status.Nodes.Held == 1
		})
		w.waitSync("the GitSync does not claim node-6", time.Minute, func(gs *v1alpha1.GitSync) bool {
			return strings.Contains(readyCondition(gs).Message, "is proven on every eligible node of 1 DaemonSet but for 1 held out by the label rollcall.dev/hold")
		})
		w.wantKept(copies, "AwaitingPods", "1 pods of DaemonSet.apps default/"+agent, "held out")
		w.blinded(func() { w.wantKept(copies, "controller revisions could not be listed") })
		r.wantHistory(t, []string{"node-6"}, "v2")
		w.patchNode("node-6", `{"metadata":{"labels":{"rollcall.dev/hold":null}}}`)
		w.waitTag("v3", w.nodes())
		r.wantHistory(t, []string{"node-6"}, "v2", "v3")
		w.wantComplete(8)
		w.until("the account that nobody needs is gone", time.Minute, func() (bool, string) {
			_, err := w.cluster.Client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(t.Context(), "old", metav1.GetOptions{})
			return apierrors.IsNotFound(err), "it is there"
		})
	})
}

// equipped is the tutorial's DaemonSet with an account and a config of its own.
func equipped(tag, account string) string {
	return manifest(tag) + "      serviceAccountName: " + account + "\n      volumes: [{name: config, configMap: {name: config}}]\n"
}

func account(name string) string {
	return "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: " + name + "\n"
}

// pinned are the names of the pinned copies.
func (w *world) pinned() []string {
	w.t.Helper()
	list, err := w.cluster.Client.CoreV1().ConfigMaps(metav1.NamespaceDefault).List(w.t.Context(), metav1.ListOptions{LabelSelector: v1alpha1.LabelPinnedFrom})
	w.must(err, "list ConfigMaps")
	var out []string
	for _, cm := range list.Items {
		out = append(out, cm.Name)
	}
	return out
}

// wantKept waits until passes say the words, and fails when one has taken away
// the account old or one of the copies, which a pod still needs.
func (w *world) wantKept(copies []string, words ...string) {
	w.t.Helper()
	w.poke()
	w.waitSync(fmt.Sprintf("the poke is answered with %q", words), time.Minute, func(gs *v1alpha1.GitSync) bool {
		unsaid := slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(readyCondition(gs).Message, word) })
		return gs.Status.LastHandledReconcileAt == gs.Annotations[v1alpha1.AnnotationReconcileAt] && !unsaid
	})
	if _, err := w.cluster.Client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(w.t.Context(), "old", metav1.GetOptions{}); err != nil {
		w.t.Errorf("a pod still runs as the ServiceAccount old: %v", err)
	}
	if gone := but(copies, w.pinned()...); len(gone) > 0 {
		w.t.Errorf("a pod still reads the copies %v, and they are gone", gone)
	}
}

// blinded starts rollcall anew while it may not list controller revisions.
func (w *world) blinded(act func()) {
	w.t.Helper()
	roles := w.cluster.Client.RbacV1().ClusterRoles()
	role, err := roles.Get(w.t.Context(), release, metav1.GetOptions{})
	w.must(err, "get ClusterRole")
	all := role.Rules
	restart := func(rules []rbacv1.PolicyRule, allowed bool) {
		w.must(w.control.Stop(), "stop rollcall")
		role.Rules = rules
		role, err = roles.Update(w.t.Context(), role, metav1.UpdateOptions{})
		w.must(err, "update ClusterRole")
		w.eventually("the role has changed", 30*time.Second, func() (bool, error) {
			review, err := w.cluster.Client.AuthorizationV1().SubjectAccessReviews().Create(w.t.Context(), &authorizationv1.SubjectAccessReview{
				Spec: authorizationv1.SubjectAccessReviewSpec{
					User:               "system:serviceaccount:" + releaseNamespace + ":" + release,
					ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "list", Group: "apps", Resource: "controllerrevisions"},
				},
			}, metav1.CreateOptions{})
			return err == nil && review.Status.Allowed == allowed, err
		})
		w.startController()
	}
	restart(slices.DeleteFunc(slices.Clone(all), func(r rbacv1.PolicyRule) bool { return slices.Contains(r.Resources, "controllerrevisions") }), false)
	act()
	restart(all, true)
}

// wantAbsent waits until the one absent node is that one, for that reason, in
// words that say so.
func (w *world) wantAbsent(node, reason, words string) {
	w.t.Helper()
	r := w.waitRollout(node+" is absent for "+reason, time.Minute, func(n *v1alpha1.NodeRollout) bool {
		s := n.Status
		return s.Phase == v1alpha1.PhaseProven && s.Reason == "AgentsAbsent" && s.Nodes.Absent == 1 && len(s.Failing) == 1 &&
			s.Failing[0].Node == node && s.Failing[0].Reason == reason && strings.Contains(s.Failing[0].Message, words) && !s.Failing[0].Since.IsZero()
	})
	if since := r.Status.Failing[0].Since.Time; since.After(time.Now()) {
		w.t.Errorf("%s is absent since %s, which is to come", node, since)
	}
}

// createGated makes the node's agent by hand, with a scheduling gate.
func (w *world) createGated(node, gate string) {
	w.t.Helper()
	ds := w.daemonSet()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		GenerateName: agent + "-", Namespace: metav1.NamespaceDefault, Labels: maps.Clone(w.agents()["node-0"].Labels),
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(ds, appsv1.SchemeGroupVersion.WithKind("DaemonSet"))},
	}, Spec: *ds.Spec.Template.Spec.DeepCopy()}
	p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: gate}}
	p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{
			{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{node}},
		}}},
	}}}
	_, err := w.cluster.Client.CoreV1().Pods(p.Namespace).Create(w.t.Context(), p, metav1.CreateOptions{})
	w.must(err, "create a gated pod for "+node)
}

// wantComplete waits until so many nodes are eligible and each has its agent.
func (w *world) wantComplete(nodes int32) {
	w.t.Helper()
	w.waitRollout("the roll is complete", time.Minute, func(n *v1alpha1.NodeRollout) bool {
		s := n.Status
		return s.Phase == v1alpha1.PhaseProven && s.Reason == "Proven" && s.Nodes.Eligible == nodes && s.Nodes.Present == nodes && len(s.Failing) == 0
	})
}
