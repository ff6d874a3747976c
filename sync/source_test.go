package sync

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func secretOf(name string, keys ...string) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name, ResourceVersion: "1"}, Data: map[string][]byte{}}
	for i := 0; i < len(keys); i += 2 {
		s.Data[keys[i]] = []byte(keys[i+1])
	}
	return s
}

// following is a GitSync with a secretRef "auth", and a proxySecretRef "proxy" if that is wanted.
func following(proxy bool) *v1alpha1.GitSync {
	gs := &v1alpha1.GitSync{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "agents"}}
	gs.Spec.Source = v1alpha1.GitSource{
		URL: "https://git.example.com/agents.git", Ref: v1alpha1.GitRef{Branch: "main"},
		SecretRef: &corev1.LocalObjectReference{Name: "auth"},
	}
	if proxy {
		gs.Spec.Source.ProxySecretRef = &corev1.LocalObjectReference{Name: "proxy"}
	}
	return gs
}

func TestKeysOfSecrets(t *testing.T) {
	for sentence, c := range map[string]struct {
		auth, proxy *corev1.Secret
		want        git.Source
		says        string
	}{
		"a user and password":    {auth: secretOf("auth", "username", "u", "password", "p"), want: git.Source{Auth: git.Auth{Username: "u", Password: "p"}}},
		"a bearer token":         {auth: secretOf("auth", "bearerToken", "t"), want: git.Source{Auth: git.Auth{BearerToken: "t"}}},
		"an authority":           {auth: secretOf("auth", "ca.crt", "c"), want: git.Source{CA: []byte("c")}},
		"one by its older name":  {auth: secretOf("auth", "caFile", "c"), want: git.Source{CA: []byte("c")}},
		"one by both":            {auth: secretOf("auth", "ca.crt", "new", "caFile", "old"), want: git.Source{CA: []byte("new")}},
		"a client's certificate": {auth: secretOf("auth", "tls.crt", "c", "tls.key", "k"), want: git.Source{Auth: git.Auth{ClientCert: "c", ClientKey: "k"}}},
		"a key for ssh": {auth: secretOf("auth", "identity", "i", "identity.pub", "x", "known_hosts", "h", "password", "p"),
			want: git.Source{Auth: git.Auth{Identity: "i", Password: "p"}, KnownHosts: []byte("h")}},
		"a GitHub App": {
			auth: secretOf("auth", "githubAppID", "1\n", "githubAppInstallationID", " 2", "githubAppInstallationOwner", "o", "githubAppPrivateKey", "k\n", "githubAppBaseURL", "https://b\n"),
			want: git.Source{Auth: git.Auth{App: git.App{ID: "1", InstallationID: "2", InstallationOwner: "o", PrivateKey: "k\n", BaseURL: "https://b"}}},
		},
		"a proxy": {auth: secretOf("auth", "bearerToken", "t"), proxy: secretOf("proxy", "address", "http://p:3128\n", "username", "u", "password", "p"),
			want: git.Source{Auth: git.Auth{BearerToken: "t"}, Proxy: git.Proxy{Address: "http://p:3128", Username: "u", Password: "p"}}},
		"no key that is known": {auth: secretOf("auth", "user", "u"),
			says: "Secret team/auth has none of the keys username and password, bearerToken, githubAppID, identity, tls.crt, or ca.crt"},
		"a proxy without address": {auth: secretOf("auth", "bearerToken", "t"), proxy: secretOf("proxy", "url", "x"), says: "Secret team/proxy has no key address"},
		"no Secret":               {proxy: secretOf("proxy", "address", "x"), says: "Secret team/auth does not exist: create it, or correct spec.source.secretRef"},
		"no Secret of the proxy":  {auth: secretOf("auth", "bearerToken", "t"), proxy: secretOf("other"), says: "Secret team/proxy does not exist: create it, or correct spec.source.proxySecretRef"},
	} {
		t.Run(sentence, func(t *testing.T) {
			gs := following(c.proxy != nil)
			var there []runtime.Object
			for _, secret := range []*corev1.Secret{c.auth, c.proxy} {
				if secret != nil {
					there = append(there, secret)
				}
			}
			got, err := (&Controller{Kube: fake.NewClientset(there...)}).source(t.Context(), gs)
			if c.says != "" {
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %v, want %q", err, c.says)
				}
				return
			}
			c.want.URL, c.want.Ref = gs.Spec.Source.URL, "refs/heads/main"
			if c.want.CA == nil {
				c.want.CA = []byte{}
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Auth != c.want.Auth || got.Proxy != c.want.Proxy {
				t.Error("the credentials are not those of the Secret")
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("source (-want +got):\n%s", diff)
			}
		})
	}
}

// TestACorrectedSecretDoesNotWait begins with a poll that failed so often that the next one is minutes away.
func TestACorrectedSecretDoesNotWait(t *testing.T) {
	failed := func(reason git.Reason) error { return &git.Error{Reason: reason} }
	for sentence, c := range map[string]struct {
		failure error
		there   *corev1.Secret // when the poll failed
		change  func(*secretServer) error
		want    bool
	}{
		"a Secret that was missing is made": {
			&Failure{Reason: ReasonSecretNotFound}, nil,
			func(k *secretServer) error { return k.Tracker().Add(secretOf("auth", "bearerToken", "t")) }, true,
		},
		"one that the server did not take is corrected": {
			failed(git.AuthenticationFailed), secretOf("auth", "bearerToken", "wrong"),
			changed, true,
		},
		"known_hosts that did not know the host are":  {failed(git.HostKeyInvalid), secretOf("auth"), changed, true},
		"one stays as it is":                          {failed(git.AuthenticationFailed), secretOf("auth"), func(*secretServer) error { return nil }, false},
		"one changes that did":                        {nil, secretOf("auth"), changed, false},
		"one changes that the failure is not about":   {failed(git.RefNotFound), secretOf("auth"), changed, false},
		"the API server does not give it out for now": {failed(git.AuthenticationFailed), secretOf("auth"), down, false},
	} {
		t.Run(sentence, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kube, gs := newSecretServer(c.there), following(false)
				m := &memory{}
				read := (&Controller{Kube: kube}).secrets(t.Context(), gs)
				m.awaited.Store(&read.versions)
				m.curable.Store(curable(gs, c.failure))
				m.polled(questionOf(gs), c.failure, rhythm{every: 24 * time.Hour}, time.Now())

				store := cache.NewStore(cache.MetaNamespaceKeyFunc)
				if err := store.Add(gs); err != nil {
					t.Fatal(err)
				}
				asked := 0
				loop := &apply.Loop{Name: "test", Workers: 1, Reconcile: func(context.Context, types.NamespacedName) (time.Duration, error) {
					asked++
					return 0, nil
				}}
				loop.Init()
				controller := &Controller{Kube: kube, syncs: store, loop: loop, memory: map[types.NamespacedName]*memory{name(gs): m}}
				ctx, stop := context.WithCancel(t.Context())
				defer synctest.Wait()
				defer stop()
				go func() { _ = loop.Run(ctx) }()
				go func() { _ = controller.lookAtSecrets(ctx) }()
				time.Sleep(time.Minute)
				synctest.Wait()
				if asked != 0 {
					t.Fatalf("%d passes before anything has changed", asked)
				}
				if err := c.change(kube); err != nil {
					t.Fatal(err)
				}
				time.Sleep(secretLook + time.Second)
				synctest.Wait()
				if (asked > 0) != c.want || m.cured.Load() != c.want {
					t.Errorf("%d passes and cured is %t after the change, want a pass: %t", asked, m.cured.Load(), c.want)
				}
			})
		})
	}
}

// secretServer is an API server that may go away.
type secretServer struct {
	*fake.Clientset
	away atomic.Bool
}

func newSecretServer(there *corev1.Secret) *secretServer {
	s := &secretServer{Clientset: fake.NewClientset()}
	if there != nil {
		s.Clientset = fake.NewClientset(there)
	}
	s.PrependReactor("get", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
		return s.away.Load(), nil, apierrors.NewInternalError(errors.New("etcd has no leader"))
	})
	return s
}

func changed(s *secretServer) error {
	secret := secretOf("auth", "bearerToken", "right")
	secret.ResourceVersion = "2"
	return s.Tracker().Update(corev1.SchemeGroupVersion.WithResource("secrets"), secret, "team")
}

func down(s *secretServer) error {
	s.away.Store(true)
	return nil
}
