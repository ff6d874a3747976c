package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// denial is what the API server says of a write that a scenario refuses.
const denial = "the e2e says no"

// unreadableState is a rollout whose records somebody has damaged: they are as good
// as lost, and are written anew.
func unreadableState(n *tenant) {
	before := n.good()
	n.writeState("records.json", "{damaged")
	n.pause(true)
	n.waitRollout("it goes on", func(r *v1alpha1.NodeRollout) bool { return r.Status.Reason == "Paused" })
	n.eventually("the state is written anew", func(context.Context) (string, error) {
		if got := n.stateData()["records.json"]; got == "{damaged" {
			return got, nil
		}
		return "", nil
	})
	n.wantStill(before)
	n.pause(false)
	n.waitRecovered(n.next(), before)
}

// refusedState is a rollout whose records an admission policy refuses: a good
// commit does not begin, and both its NodeRollout and its GitSync say why.
func refusedState(n *tenant) {
	before := n.good()
	lift := n.refuse("configmaps", admissionv1.Update, "!object.metadata.name.endsWith('.rollcall-state')")
	n.eventually("the state is refused", func(ctx context.Context) (string, error) { return n.refused(n.tryState(ctx)) })
	commit := n.deliver("next", map[string]string{"daemonset.yaml": manifest("v2")})
	n.waitStuck(v1alpha1.PhaseWaiting, n.namespace+"/"+agent+".rollcall-state", denial)
	n.waitSync("fleet", "it names what stands still", func(gs *v1alpha1.GitSync) bool {
		return strings.Contains(readyCondition(gs).Message, agent+" is Waiting (StepFailed)")
	})
	n.wantStill(before)
	lift()
	n.waitProven(commit)
}

// refusedStep is a rollout whose pods may not be deleted.
func refusedStep(n *tenant) {
	before := n.good()
	lift := n.refuse("pods", admissionv1.Delete, "false")
	n.eventually("deletion is refused", func(ctx context.Context) (string, error) {
		return n.refused(n.w.cluster.Client.CoreV1().Pods(n.namespace).Delete(ctx, n.pods()[0].Name, metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}))
	})
	commit := n.deliver("next", map[string]string{"daemonset.yaml": manifest("v2")})
	n.waitStuck(v1alpha1.PhaseReplacing, "delete pod", denial)
	running := n.state()
	for _, s := range []map[string]string{before, running} {
		delete(s, "daemonset "+agent) // the gated candidate, in turn with the proven one
	}
	if d := cmp.Diff(before, running); d != "" {
		n.t.Errorf("what ran has changed (-before +after):\n%s", d)
	}
	lift()
	n.waitProven(commit)
}

// waitStuck waits until a rollout that cannot go on says so in its status, in
// one event and in its metric, whose value grows.
func (n *tenant) waitStuck(phase v1alpha1.Phase, words ...string) {
	n.t.Helper()
	r := n.waitRollout("it says that a step failed", func(r *v1alpha1.NodeRollout) bool { return r.Status.Reason == "StepFailed" })
	n.t.Log(r.Status.Message)
	if r.Status.Phase != phase {
		n.t.Errorf("its phase is %s, want %s", r.Status.Phase, phase)
	}
	for _, word := range words {
		if !strings.Contains(r.Status.Message, word) {
			n.t.Errorf("the message is %q, want it to name %q", r.Status.Message, word)
		}
	}
	n.wantHeldGrows("StepFailed")
	n.wantWarning("StepFailed", words[0])
}

// wantWarning fails unless one event of the agent's NodeRollout warns of a
// transition: with the reason, and with the words in its message.
func (n *tenant) wantWarning(reason, words string) {
	n.t.Helper()
	n.eventually("an event of the NodeRollout says "+reason+" "+words, func(ctx context.Context) (string, error) {
		events, err := n.w.cluster.Client.CoreV1().Events(n.namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return "", err
		}
		times, all := int32(0), []string{}
		for _, e := range events.Items {
			if e.InvolvedObject.Kind != "NodeRollout" || e.InvolvedObject.Name != agent {
				continue
			}
			all = append(all, fmt.Sprintf("%d times %s %s: %s", e.Count, e.Type, e.Reason, e.Message))
			if e.Type == corev1.EventTypeWarning && e.Reason == reason && strings.Contains(e.Message, words) {
				times += e.Count
			}
		}
		if times > 1 {
			n.t.Errorf("%d events say so, want one for the transition:\n%s", times, strings.Join(all, "\n"))
		}
		if times == 0 {
			return "there are only:\n" + strings.Join(all, "\n"), nil
		}
		return "", nil
	})
}

// refuse makes the API server refuse an operation in the tenant's namespace
// unless an expression is true. It returns what lifts that.
func (n *tenant) refuse(resource string, operation admissionv1.OperationType, unless string) (lift func()) {
	n.t.Helper()
	return refuse(n.t, n.w.cluster.Client, n.namespace, resource, operation, unless)
}

func refuse(t testing.TB, client kubernetes.Interface, namespace, resource string, operation admissionv1.OperationType, unless string) (lift func()) {
	t.Helper()
	must := func(err error, what string) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	policies, bindings := client.AdmissionregistrationV1().ValidatingAdmissionPolicies(), client.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings()
	_, err := policies.Create(t.Context(), &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}},
				ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{operation},
					Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{resource}},
				}}},
			},
			Validations: []admissionv1.Validation{{Expression: unless, Message: denial}},
		},
	}, metav1.CreateOptions{})
	must(err, "create admission policy")
	_, err = bindings.Create(t.Context(), &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Spec:       admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: namespace, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny}},
	}, metav1.CreateOptions{})
	must(err, "bind admission policy")
	return func() {
		t.Helper()
		must(bindings.Delete(t.Context(), namespace, metav1.DeleteOptions{}), "unbind admission policy")
		must(policies.Delete(t.Context(), namespace, metav1.DeleteOptions{}), "delete admission policy")
	}
}

// refused complains while the API server does not refuse: an admission policy
// takes a moment to be enforced.
func (n *tenant) refused(err error) (complaint string, _ error) {
	switch {
	case err == nil:
		return "it is not", nil
	case strings.Contains(err.Error(), denial):
		return "", nil
	default:
		return "", err
	}
}

// stateData is what the agent's rollout has recorded beside its NodeRollout.
func (n *tenant) stateData() map[string]string {
	n.t.Helper()
	cm, err := n.w.cluster.Client.CoreV1().ConfigMaps(n.namespace).Get(n.t.Context(), agent+".rollcall-state", metav1.GetOptions{})
	n.must(err, "get state")
	return cm.Data
}

func (n *tenant) writeState(key, value string) {
	n.t.Helper()
	patch := fmt.Appendf(nil, `{"data":{%q:%q}}`, key, value)
	_, err := n.w.cluster.Client.CoreV1().ConfigMaps(n.namespace).Patch(n.t.Context(), agent+".rollcall-state", types.MergePatchType, patch, metav1.PatchOptions{})
	n.must(err, "write state")
}

// tryState asks whether the state could be written.
func (n *tenant) tryState(ctx context.Context) error {
	_, err := n.w.cluster.Client.CoreV1().ConfigMaps(n.namespace).Patch(ctx, agent+".rollcall-state", types.MergePatchType, []byte(`{"data":{"candidate":"x"}}`),
		metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}
