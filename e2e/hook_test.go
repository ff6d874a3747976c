package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/e2e/cluster"
	"github.com/rollcall-dev/rollcall/e2e/product"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// deliverHook posts the body of a push as GitHub does, signed with a token; without one
// it is not signed. It returns the status of the answer.
func deliverHook(t *testing.T, c *product.Controller, gitsync, token string) int {
	t.Helper()
	const body = `{"ref":"refs/heads/main"}`
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+c.Page+"/hook/default/"+gitsync, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-GitHub-Event", "push")
	if token != "" {
		sum := hmac.New(sha256.New, []byte(token))
		_, _ = io.WriteString(sum, body)
		request.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(sum.Sum(nil)))
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatalf("post webhook: %v", err)
	}
	defer answer.Body.Close()
	return answer.StatusCode
}

// TestWebhook has a GitSync that polls once an hour hear of a push at once, by whichever
// replica the webhook reaches, and of nothing that is not signed.
func TestWebhook(t *testing.T) {
	t.Parallel()
	w := idleWorld(t, cluster.Options{Nodes: 2})
	w.policy(hurried())
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "hook", Namespace: metav1.NamespaceDefault}, StringData: map[string]string{"token": "first token"}}
	secrets := w.cluster.Client.CoreV1().Secrets(metav1.NamespaceDefault)
	_, err := secrets.Create(t.Context(), secret, metav1.CreateOptions{})
	w.must(err, "create Secret")
	commit := w.pushTag("v1")
	w.follow(func(gs *v1alpha1.GitSync) {
		gs.Spec.Source.Interval = metav1.Duration{Duration: time.Hour}
		gs.Spec.Source.WebhookSecretRef = &corev1.LocalObjectReference{Name: "hook"}
	})
	w.options.Args = []string{"--leader-elect", "--pod-ip=127.0.0.1"}
	w.options.Name = "leader"
	w.startController()
	leader := w.control
	w.waitProven(commit, time.Minute)
	w.options.Name = "other"
	w.startController()
	other := w.control

	asked := w.git.Requests()
	commit = w.pushTag("v2")
	for _, c := range []*product.Controller{leader, other} {
		for _, bad := range []struct{ gitsync, token string }{{"fleet", ""}, {"fleet", "another token"}, {"none", "first token"}} {
			if got := deliverHook(t, c, bad.gitsync, bad.token); got != http.StatusForbidden {
				t.Errorf("of %s with token %q: %d, want 403", bad.gitsync, bad.token, got)
			}
		}
	}
	pushed := w.git.Requests()
	if gs := w.waitSync("it is there", time.Minute, func(*v1alpha1.GitSync) bool { return true }); gs.Status.Fetched.Commit == commit {
		t.Error("a webhook that is not signed was heard")
	}
	if got := pushed.UploadPack - asked.UploadPack; got != 0 {
		t.Errorf("%d fetches after webhooks that are not signed", got)
	}

	began := time.Now()
	if got := deliverHook(t, leader, "fleet", "first token"); got != http.StatusAccepted {
		t.Fatalf("the leader answers %d", got)
	}
	w.waitProven(commit, time.Minute)
	t.Logf("proven %s after the webhook", time.Since(began).Round(time.Millisecond))

	commit = w.pushTag("v3")
	secret.StringData["token"] = "second token"
	_, err = secrets.Update(t.Context(), secret, metav1.UpdateOptions{})
	w.must(err, "change the token")
	if got := deliverHook(t, other, "fleet", "first token"); got != http.StatusForbidden {
		t.Errorf("with the old token the answer is %d", got)
	}
	began = time.Now()
	if got := deliverHook(t, other, "fleet", "second token"); got != http.StatusAccepted {
		t.Fatalf("the replica that does not lead answers %d", got)
	}
	w.waitProven(commit, time.Minute)
	t.Logf("proven %s after a webhook that another replica heard", time.Since(began).Round(time.Millisecond))
}
