package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// TestCorners takes away what the API server needs to take what Git declares: it is
// said, what ran keeps running, what has nothing to do with it is kept as declared,
// and all is well by itself when it is back.
func TestCorners(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4)
	w.policy(hurried())
	together(t, w, map[string]func(*tenant){
		"webhook down":           webhookDown,
		"webhook down in a wave": webhookDownInAWave,
		"definition gone":        definitionGone,
		"space terminating":      namespaceTerminating,
		"own space terminating":  ownNamespaceTerminating,
	})
}

// webhookWithoutBackend has the API server ask somebody who does not answer about
// each write in the tenant's namespace to some resources. It returns what ends that.
func (n *tenant) webhookWithoutBackend(group string, resources ...string) (end func()) {
	n.t.Helper()
	client, name := n.w.cluster.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations(), n.namespace+".down.example.com"
	_, err := client.Create(n.t.Context(), &admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Webhooks: []admissionv1.ValidatingWebhook{{
			Name: name, SideEffects: ptr.To(admissionv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"}, FailurePolicy: ptr.To(admissionv1.Fail),
			ClientConfig:      admissionv1.WebhookClientConfig{URL: ptr.To("https://127.0.0.1:1")},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: n.namespace}},
			Rules: []admissionv1.RuleWithOperations{{
				Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
				Rule:       admissionv1.Rule{APIGroups: []string{group}, APIVersions: []string{"v1"}, Resources: resources},
			}},
		}},
	}, metav1.CreateOptions{})
	n.must(err, "create webhook")
	n.eventually("the webhook is asked", func(ctx context.Context) (string, error) {
		_, err := n.w.cluster.Client.CoreV1().ConfigMaps(n.namespace).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "probe"}}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if group == "" && err == nil {
			return "it is not", nil
		}
		return "", nil
	})
	return func() {
		n.t.Helper()
		n.must(client.Delete(context.WithoutCancel(n.t.Context()), name, metav1.DeleteOptions{}), "delete webhook")
	}
}

// webhookDown is a commit of which the API server can take nothing for now.
func webhookDown(n *tenant) {
	before := n.good()
	end := n.webhookWithoutBackend("", "configmaps")
	n.deliver("next", map[string]string{"daemonset.yaml": manifest("v2"), "fixed.yaml": plainConfig("fixed", "1")})
	n.waitHeld("fleet", "Unavailable", "fixed.yaml", n.namespace+".down.example.com", "failed calling webhook", "delete that webhook's configuration")
	n.wantStill(before)
	commit := n.deliver("as it was", map[string]string{"daemonset.yaml": manifest("v1")})
	n.waitSync("fleet", "it waits with the next commit", func(gs *v1alpha1.GitSync) bool { return gs.Status.Fetched.Commit == commit })
	end()
	n.waitRecovered(commit, before)
}

// webhookDownInAWave is a rollout that cannot take its next step: it says so, stays
// within its wave, and ends when it can.
func webhookDownInAWave(n *tenant) {
	n.good()
	commit := n.deliver("next", map[string]string{"daemonset.yaml": manifest("v2")})
	n.waitRollout("its canaries soak", func(r *v1alpha1.NodeRollout) bool { return r.Status.Phase == v1alpha1.PhaseSoaking })
	end := n.webhookWithoutBackend("apps", "daemonsets")
	n.waitStuck(v1alpha1.PhaseReplacing, "failed calling webhook", "delete that webhook's configuration")
	if got := n.tags(); got["v1"] != 2 || got["v2"] != 2 {
		n.t.Errorf("pods by tag: %v, want the two canaries at v2 and the others at v1", got)
	}
	end()
	n.waitProven(commit)
}

// definitionGone is a custom resource whose definition somebody deletes, and so the
// API server deletes it, while Git goes on declaring it.
func definitionGone(n *tenant) {
	n.create(widget)
	n.waitProven(n.followAfter(map[string]string{
		"daemonset.yaml": manifest("v1"), "extra.yaml": plainConfig("extra", "1"), "widget.yaml": "apiVersion: e2e.rollcall.dev/v1\nkind: Widget\nmetadata:\n  name: w\n",
	}))
	before := n.state()
	n.must(n.definitions().Delete(n.t.Context(), "widgets.e2e.rollcall.dev", metav1.DeleteOptions{}), "delete CustomResourceDefinition")
	n.waitHeld("fleet", "UnknownKind", "widget.yaml", "Widget", "install its CRD")
	n.wantStill(before)
	n.wantDriftUndone()
	n.waitSync("fleet", "the inventory has the widget", func(gs *v1alpha1.GitSync) bool { return lists(gs, "w") && lists(gs, "extra") })
	n.create(widget)
	n.eventually("the widget is back", func(ctx context.Context) (string, error) {
		_, err := n.w.cluster.Dynamic.Resource(schema.GroupVersionResource{Group: "e2e.rollcall.dev", Version: "v1", Resource: "widgets"}).Namespace(n.namespace).Get(ctx, "w", metav1.GetOptions{})
		if err != nil {
			return err.Error(), nil //nolint:nilerr // it is what is waited for
		}
		return "", nil
	})
	n.waitSync("fleet", "it is well again", func(gs *v1alpha1.GitSync) bool { return readyCondition(gs).Reason == "Proven" })
	n.wantStill(before)
}

// wantDriftUndone edits ConfigMap extra and waits until it is as declared again.
func (n *tenant) wantDriftUndone() {
	n.t.Helper()
	client := n.w.cluster.Client.CoreV1().ConfigMaps(n.namespace)
	_, err := client.Patch(n.t.Context(), "extra", types.MergePatchType, []byte(`{"data":{"key":"edited"}}`), metav1.PatchOptions{FieldManager: "kubectl-edit"})
	n.must(err, "edit ConfigMap")
	n.eventually("the edit is undone", func(ctx context.Context) (string, error) {
		extra, err := client.Get(ctx, "extra", metav1.GetOptions{})
		if err == nil && extra.Data["key"] != "1" {
			return fmt.Sprint(extra.Data), nil
		}
		return "", err
	})
}

// namespaceTerminating is an object in another namespace, which somebody deletes and
// which takes its time, is gone, and is made again.
func namespaceTerminating(n *tenant) {
	elsewhere := n.namespace + "-elsewhere"
	n.namespaceOf(elsewhere)
	client := n.w.cluster.Client.CoreV1()
	_, err := client.ConfigMaps(elsewhere).Create(n.t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "slow", Finalizers: []string{"example.com/later"}}}, metav1.CreateOptions{})
	n.must(err, "create ConfigMap")
	n.waitProven(n.followAfter(map[string]string{
		"daemonset.yaml": manifest("v1"), "extra.yaml": plainConfig("extra", "1"),
		"elsewhere.yaml": strings.ReplaceAll(plainConfig("there", "1"), "name: there", "name: there\n  namespace: "+elsewhere),
	}))
	before := n.state()
	n.must(client.Namespaces().Delete(n.t.Context(), elsewhere, metav1.DeleteOptions{}), "delete namespace")
	n.waitHeld("fleet", "Unavailable", "elsewhere.yaml", elsewhere, "being terminated", "when that namespace is gone")
	n.wantStill(before)
	n.wantDriftUndone()
	_, err = client.ConfigMaps(elsewhere).Patch(n.t.Context(), "slow", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	n.must(err, "let the namespace go")
	n.eventually("the namespace is gone", func(ctx context.Context) (string, error) {
		if _, err := client.Namespaces().Get(ctx, elsewhere, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Sprint("it is not: ", err), nil
		}
		return "", nil
	})
	n.poke()
	n.waitHeld("fleet", "NamespaceNotFound", "elsewhere.yaml", elsewhere, "create it")
	n.namespaceOf(elsewhere)
	n.eventually("the object is back", func(ctx context.Context) (string, error) {
		if _, err := client.ConfigMaps(elsewhere).Get(ctx, "there", metav1.GetOptions{}); err != nil {
			return err.Error(), nil //nolint:nilerr // it is what is waited for
		}
		return "", nil
	})
	n.waitSync("fleet", "it is well again", func(gs *v1alpha1.GitSync) bool { return readyCondition(gs).Reason == "Proven" })
	n.wantStill(before)
}

// ownNamespaceTerminating is a GitSync that goes with its namespace: nothing that
// rollcall does keeps that from ending.
func ownNamespaceTerminating(n *tenant) {
	n.good()
	client := n.w.cluster.Client.CoreV1().Namespaces()
	n.must(client.Delete(n.t.Context(), n.namespace, metav1.DeleteOptions{}), "delete namespace")
	n.eventually("the namespace is gone", func(ctx context.Context) (string, error) {
		ns, err := client.Get(ctx, n.namespace, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return "", nil
		case err != nil:
			return "", err
		default:
			return fmt.Sprint(ns.Status.Conditions), nil
		}
	})
}
