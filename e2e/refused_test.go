package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	quantity "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// forbid makes the API server refuse requests about pods for which the CEL
// expression is false, and returns when probe is refused.
func (w *world) forbid(name string, operation admissionv1.OperationType, expression string, probe func() error) {
	w.t.Helper()
	fail := admissionv1.Fail
	admission := w.cluster.Client.AdmissionregistrationV1()
	_, err := admission.ValidatingAdmissionPolicies().Create(w.t.Context(), &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy: &fail,
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
				Operations: []admissionv1.OperationType{operation},
				Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			}}}},
			Validations: []admissionv1.Validation{{Expression: expression, Message: name}},
		},
	}, metav1.CreateOptions{})
	w.must(err, "create ValidatingAdmissionPolicy")
	_, err = admission.ValidatingAdmissionPolicyBindings().Create(w.t.Context(), &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny}},
	}, metav1.CreateOptions{})
	w.must(err, "create ValidatingAdmissionPolicyBinding")
	w.until(name+" is enforced", 30*time.Second, func() (bool, string) {
		err := probe()
		return err != nil && strings.Contains(err.Error(), name), "it is not"
	})
}

// allow ends what forbid began, and returns when probe passes.
func (w *world) allow(name string, probe func() error) {
	w.t.Helper()
	w.must(w.cluster.Client.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().Delete(w.t.Context(), name, metav1.DeleteOptions{}), "delete ValidatingAdmissionPolicyBinding")
	w.until(name+" is over", 30*time.Second, func() (bool, string) {
		err := probe()
		return err == nil, "it is not"
	})
}

// quota limits a resource of the namespace, and returns when that is enforced.
func (w *world) quota(name corev1.ResourceName, most string) {
	w.t.Helper()
	quotas := w.cluster.Client.CoreV1().ResourceQuotas(metav1.NamespaceDefault)
	hard := corev1.ResourceList{name: quantity.MustParse(most)}
	_, err := quotas.Create(w.t.Context(), &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "tight"}, Spec: corev1.ResourceQuotaSpec{Hard: hard}}, metav1.CreateOptions{})
	w.must(err, "create ResourceQuota")
	w.until("the quota is enforced", time.Minute, func() (bool, string) {
		q, err := quotas.Get(w.t.Context(), "tight", metav1.GetOptions{})
		w.must(err, "get ResourceQuota")
		return len(q.Status.Used) == len(hard), "it is not counted yet"
	})
}

func (w *world) endQuota() {
	w.t.Helper()
	w.must(w.cluster.Client.CoreV1().ResourceQuotas(metav1.NamespaceDefault).Delete(w.t.Context(), "tight", metav1.DeleteOptions{}), "delete ResourceQuota")
}

// wantAtRest fails when the DaemonSet carries rollcall's gate.
func (w *world) wantAtRest() {
	w.t.Helper()
	if gates := w.daemonSet().Spec.Template.Spec.SchedulingGates; len(gates) > 0 {
		w.t.Errorf("the DaemonSet holds a template with %v", gates)
	}
}

// wantNoneRejected fails when a version is rejected.
func (w *world) wantNoneRejected() {
	w.t.Helper()
	if rejected := w.rollout().Status.Rejected; len(rejected) > 0 {
		w.t.Errorf("rejected: %+v", rejected)
	}
}

// What the API server and the DaemonSet controller refuse is no evidence against
// a candidate. It is said, the template is the proven one meanwhile, and the
// rollout goes on when it is over.
func TestRefusals(t *testing.T) {
	t.Parallel()
	w := settled(t, 9, quick(soak(0, 3)))
	r := record(t, w.cluster.Client)
	pods := w.cluster.Client.CoreV1().Pods(metav1.NamespaceDefault)
	tryDelete := func() error {
		return pods.Delete(t.Context(), w.agents()["node-0"].Name, metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})
	}

	w.act(t, "deletes: no pulse is opened", func(t *testing.T) {
		w.forbid("no-deletes", admissionv1.Delete, "false", tryDelete)
		commit := w.deliver("v2")
		n := w.waitReason(v1alpha1.PhaseReplacing, "StepFailed")
		if !strings.Contains(n.Status.Message, "no-deletes") {
			t.Errorf("the message does not say who refuses: %s", n.Status.Message)
		}
		w.wantAtRest()
		w.allow("no-deletes", tryDelete)
		w.waitProven(commit, 2*time.Minute)
	})
	w.act(t, "revisions: the pulse is closed in time", func(t *testing.T) {
		w.waitUpdated(9)
		w.quota("count/controllerrevisions.apps", "1")
		commit := w.deliver("v3")
		w.waitReason(v1alpha1.PhaseHeld, "PulseTimedOut")
		w.wantAtRest()
		evicted := but(w.nodes(), w.inFlight()...)[:3]
		r.excuse(evicted...)
		w.deletePods(evicted...)
		w.waitTag("v2", w.nodes())
		r.blame(evicted...)
		w.endQuota()
		w.waitProven(commit, 3*time.Minute)
		w.wantNoneRejected()
	})
	w.act(t, "pods: nothing ran, nothing is rejected", func(t *testing.T) {
		w.waitUpdated(9)
		w.quota(corev1.ResourcePods, "1")
		commit := w.deliver("v4")
		w.waitReason(v1alpha1.PhaseHeld, "NoPod")
		w.wantAtRest()
		w.wantNoneRejected()
		w.endQuota()
		w.waitProven(commit, 3*time.Minute)
	})
	r.wantWorst(t, 3)
}

// Nor is what is refused of the candidate's pods alone.
func TestRefusedPods(t *testing.T) {
	t.Parallel()
	w := settled(t, 9, quick(soak(0, 3)))
	r := record(t, w.cluster.Client)
	pods := w.cluster.Client.CoreV1().Pods(metav1.NamespaceDefault)

	w.act(t, "gates: the node has its agent back", func(t *testing.T) {
		w.waitUpdated(9)
		gated := func() error {
			probe := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "probe"}, Spec: corev1.PodSpec{
				SchedulingGates: []corev1.PodSchedulingGate{{Name: "test/probe"}}, Containers: []corev1.Container{{Name: "c", Image: "i"}},
			}}
			_, _ = pods.Create(t.Context(), probe, metav1.CreateOptions{})
			_, err := pods.Patch(t.Context(), "probe", "application/strategic-merge-patch+json", []byte(`{"spec":{"schedulingGates":[{"$patch":"delete","name":"test/probe"}]}}`), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
			return err
		}
		w.forbid("no-opening", admissionv1.Update, "!(has(oldObject.spec.schedulingGates) && !has(object.spec.schedulingGates))", gated)
		commit := w.deliver("v2")
		w.waitReason(v1alpha1.PhaseReplacing, "StepFailed")
		flying := w.inFlight()
		if len(flying) == 0 {
			t.Fatal("no node is in flight")
		}
		before := r.count(flying, "v1")
		w.until("the nodes in flight have the proven agent back", time.Minute, func() (bool, string) {
			return r.count(flying, "v1") > before, "not yet"
		})
		if ran := r.nodesOf("v2"); len(ran) > 0 {
			t.Errorf("the candidate ran on %v behind a gate that nobody opened", ran)
		}
		w.allow("no-opening", gated)
		w.must(pods.Delete(t.Context(), "probe", metav1.DeleteOptions{}), "delete probe")
		w.waitProven(commit, 3*time.Minute)
	})
	w.act(t, "the candidate's pods: the nodes keep the proven version", func(t *testing.T) {
		w.waitUpdated(9)
		unsigned := func() error {
			probe := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "probe"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i:v3"}}}}
			_, err := pods.Create(t.Context(), probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			return err
		}
		w.forbid("unsigned", admissionv1.Create, "!object.spec.containers[0].image.endsWith(':v3')", unsigned)
		commit := w.deliver("v3")
		n := w.waitReason(v1alpha1.PhaseHeld, "NeverReplaced")
		if !strings.Contains(n.Status.Message, "events") {
			t.Errorf("the message does not say where to look: %s", n.Status.Message)
		}
		w.waitTag("v2", w.nodes())
		w.wantNoneRejected()
		w.allow("unsigned", unsigned)
		w.patchRollout(`{"retry":"` + n.Status.Candidate.Digest + `"}`)
		w.waitProven(commit, 3*time.Minute)
	})
	w.act(t, "more DaemonSets: a commit makes none", func(t *testing.T) {
		w.waitUpdated(9)
		w.quota("count/daemonsets.apps", "1")
		w.must(w.repo.Write("daemonset.yaml", manifest("v4")), "write")
		w.wantPlan(2, agent)
		w.waitProven(w.deliver("v4"), 2*time.Minute)
		w.endQuota()
	})
	r.wantWorst(t, 3)
}

// An edit of the policy, or its loss, makes no wave in progress larger.
func TestPolicyEdited(t *testing.T) {
	t.Parallel()
	p := quick(soak(0, 10), soak(1, 10))
	w := settled(t, 12, p)
	r := record(t, w.cluster.Client)
	commit := w.deliver("v2")

	w.act(t, "its loss holds", func(t *testing.T) {
		canaries := w.waitSoaking(r, "canary", "v2")
		w.must(w.kinds.RolloutPolicies().Delete(t.Context(), "default", metav1.DeleteOptions{}), "delete RolloutPolicy")
		w.waitReason(v1alpha1.PhaseHeld, "PolicyNotFound")
		time.Sleep(12 * time.Second) // longer than the canaries have to soak
		w.waitReason(v1alpha1.PhaseHeld, "PolicyNotFound")
		if got := r.nodesOf("v2"); !slices.Equal(got, canaries) {
			t.Errorf("v2 ran on %v, want the canaries %v", got, canaries)
		}
		w.policy(p)
	})
	w.act(t, "fewer waves: the one in progress keeps its size and its soak", func(t *testing.T) {
		half := w.waitSoaking(r, "half", "v2")
		soaking := time.Now()
		edited := p
		edited.Waves = []v1alpha1.Wave{p.Waves[0], p.Waves[2]}
		w.changePolicy(edited)
		w.waitProven(commit, 2*time.Minute)
		if first := r.firstBeyond("v2", half); first.Sub(soaking) < 8*time.Second {
			t.Errorf("the last wave began %s after the wave of half the nodes began to soak for 10 s", first.Sub(soaking))
		}
		if len(half) != 6 {
			t.Errorf("half of 12 nodes were %v", half)
		}
	})
	w.act(t, "the next rollout has the new ones", func(t *testing.T) {
		w.deliver("v3")
		n := w.waitRollout("v3 begins", time.Minute, func(n *v1alpha1.NodeRollout) bool { return n.Status.Wave != nil })
		if n.Status.Wave.Of != 2 {
			t.Errorf("the rollout has %d waves, want 2", n.Status.Wave.Of)
		}
	})
	r.wantWorst(t, 3)
}
