package account

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

// server remembers as whom it was asked.
type server struct {
	mu    sync.Mutex
	asked []http.Header
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.Header.Clone())
	http.Error(w, "not found", http.StatusNotFound)
}

func TestEveryRequestIsMadeAsTheAccount(t *testing.T) {
	t.Parallel()
	s := &server{}
	api := httptest.NewServer(s)
	t.Cleanup(api.Close)
	c, err := New(&rest.Config{Host: api.URL}).As(Account{Namespace: "a", Name: "applier"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, configMaps := t.Context(), schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	_, _ = c.Dynamic.Resource(configMaps).Namespace("a").Get(ctx, "x", metav1.GetOptions{})
	_, _ = c.Metadata.Resource(configMaps).Namespace("a").List(ctx, metav1.ListOptions{})
	_ = c.Apps.DaemonSets("a").Delete(ctx, "x", metav1.DeleteOptions{})
	if len(s.asked) != 3 {
		t.Fatalf("%d requests, want 3", len(s.asked))
	}
	for _, h := range s.asked {
		if got := h.Get("Impersonate-User"); got != "system:serviceaccount:a:applier" {
			t.Errorf("a request was made as %q", got)
		}
		for name := range h {
			if strings.HasPrefix(name, "Impersonate-") && name != "Impersonate-User" {
				t.Errorf("a request asks for %s, to which the right is not needed otherwise", name)
			}
		}
	}
}

func TestAnAccountHasBothParts(t *testing.T) {
	t.Parallel()
	clients := New(&rest.Config{Host: "http://localhost"})
	for _, a := range []Account{{}, {Namespace: "a"}, {Name: "applier"}} {
		if c, err := clients.As(a); err == nil {
			t.Errorf("%+v has a client: %v", a, c)
		}
	}
}

func TestClientsAreKeptAndForgotten(t *testing.T) {
	t.Parallel()
	clients, a, b := New(&rest.Config{Host: "http://localhost"}), Account{"a", "applier"}, Account{"b", "applier"}
	as := func(a Account) *Client {
		t.Helper()
		c, err := clients.As(a)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first, other := as(a), as(b)
	if as(a) != first || as(b) != other || first == other {
		t.Error("an account has not one client")
	}
	clients.Keep([]Account{b})
	if as(b) != other {
		t.Error("the client of an account that is still needed was forgotten")
	}
	if len(clients.known) != 1 || as(a) == first {
		t.Error("the client of an account that nobody needs was kept")
	}
}
