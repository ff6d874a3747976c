package sync

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/hook"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func TestTheTokenOfWebhooks(t *testing.T) {
	t.Parallel()
	secret := func(namespace, name string, data map[string][]byte) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: data}
	}
	kube := fake.NewClientset(
		secret("team", "hook", map[string][]byte{"token": []byte("first\n")}),
		secret("team", "other", map[string][]byte{"password": []byte("no token")}),
		secret("other", "hook", map[string][]byte{"token": []byte("another namespace's")}),
	)
	listed := false
	c := &Controller{Kube: kube}
	token := func(name string) (string, error) {
		got, err := c.WebhookToken(t.Context(), types.NamespacedName{Namespace: "team", Name: name})
		return string(got), err
	}
	if _, err := token("fleet"); !errors.Is(err, hook.ErrUnready) {
		t.Errorf("before it runs: %v", err)
	}
	c.syncs, c.listed = cache.NewStore(cache.MetaNamespaceKeyFunc), func() bool { return listed }
	for name, names := range map[string]string{"fleet": "hook", "keyless": "other", "gone": "none", "silent": ""} {
		gs := &v1alpha1.GitSync{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name}}
		if names != "" {
			gs.Spec.Source.WebhookSecretRef = &corev1.LocalObjectReference{Name: names}
		}
		if err := c.syncs.Add(gs); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := token("fleet"); !errors.Is(err, hook.ErrUnready) {
		t.Errorf("before all are listed: %v", err)
	}
	listed = true
	for name, want := range map[string]string{"fleet": "first", "keyless": "", "silent": "", "none": ""} {
		if got, err := token(name); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, want)
		}
	}
	if got, err := token("gone"); got != "" || err == nil || !strings.Contains(err.Error(), "spec.source.webhookSecretRef") {
		t.Errorf("a Secret that there is not: %q, %v", got, err)
	}
	if _, err := kube.CoreV1().Secrets("team").Update(t.Context(), secret("team", "hook", map[string][]byte{"token": []byte("second")}), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, err := token("fleet"); err != nil || got != "second" {
		t.Errorf("a token that was changed: %q, %v", got, err)
	}
}

// TestOneHintForARepository has all of those asked that follow a repository with the
// same credentials.
func TestOneHintForARepository(t *testing.T) {
	t.Parallel()
	c := &Controller{}
	key := func(name string) types.NamespacedName { return types.NamespacedName{Namespace: "team", Name: name} }
	c.Hint(key("fleet")) // nothing runs yet
	c.loop = &apply.Loop{}
	c.loop.Init()
	c.Hint(key("fleet"))
	if len(c.memory) > 0 {
		t.Errorf("a GitSync that nobody knows is remembered: %v", c.memory)
	}
	const url = "https://git.example.com/agents.git"
	ask := git.Auth{Username: "ann", Password: "1"}
	for name, source := range map[string]git.Source{
		"fleet":           {URL: url, Ref: "refs/heads/main", Auth: ask},
		"of another ref":  {URL: url, Semver: "1.x", Auth: ask},
		"as somebody":     {URL: url, Ref: "refs/heads/main", Auth: git.Auth{Username: "ann", Password: "2"}},
		"of another":      {URL: "https://git.example.com/other.git", Ref: "refs/heads/main", Auth: ask},
		"not yet polled":  {},
		"never polled":    {},
		"with another CA": {URL: url, Ref: "refs/heads/main", Auth: ask, CA: []byte("x")},
	} {
		c.memoryOf(key(name)).source = source
	}
	hinted := func() (out []string) {
		for _, name := range []string{"fleet", "of another ref", "as somebody", "of another", "not yet polled", "never polled", "with another CA"} {
			if !c.memory[key(name)].asking.pending().IsZero() {
				out = append(out, name)
			}
			c.memory[key(name)].asking.answered = time.Now()
		}
		return out
	}
	c.Hint(key("fleet"))
	if diff := cmp.Diff([]string{"fleet", "of another ref"}, hinted()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	c.Hint(key("not yet polled"))
	if diff := cmp.Diff([]string{"not yet polled"}, hinted()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}
