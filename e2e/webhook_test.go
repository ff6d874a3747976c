package e2e

import (
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

// webhook is a mutating or validating admission webhook of this process for the writes to one namespace, dry-runs too.
type webhook struct {
	// change writes to the object; nil to leave it.
	change func(o *unstructured.Unstructured)
	// deny is why it refuses the object; empty to let it pass. It may echo what it likes.
	deny func(o *unstructured.Unstructured) string
	// seen counts what it was asked.
	seen atomic.Int64
}

// install registers the webhook for resources of a group.
func (h *webhook) install(t testing.TB, client kubernetes.Interface, namespace, group string, resources ...string) {
	t.Helper()
	server := httptest.NewTLSServer(h)
	t.Cleanup(server.Close)
	name := namespace + ".webhook.example.com"
	_, err := client.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(t.Context(), &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: name, SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
			ClientConfig: admissionregistrationv1.WebhookClientConfig{
				URL: ptr.To(server.URL), CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
			},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": namespace}},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{group}, APIVersions: []string{"v1"}, Resources: resources},
			}},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// ServeHTTP answers one AdmissionReview.
func (h *webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.seen.Add(1)
	var review admissionv1.AdmissionReview
	o := &unstructured.Unstructured{}
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil || json.Unmarshal(review.Request.Object.Raw, &o.Object) != nil {
		http.Error(w, "no review", http.StatusBadRequest)
		return
	}
	answer := &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	if h.deny != nil {
		if why := h.deny(o); why != "" {
			answer.Allowed, answer.Result = false, &metav1.Status{Message: why, Code: http.StatusForbidden}
		}
	}
	if h.change != nil {
		h.change(o)
		answer.Patch, _ = json.Marshal([]map[string]any{{"op": "replace", "path": "", "value": o.Object}})
		answer.PatchType = ptr.To(admissionv1.PatchTypeJSONPatch)
	}
	review.Request, review.Response = nil, answer
	_ = json.NewEncoder(w).Encode(review)
}
