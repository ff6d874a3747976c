package owned

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/rollcall-dev/rollcall/apply/account"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

var settings = Place{Resource: schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, Namespace: "a"}

func configMap(owner, version string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "x", UID: "u-1", ResourceVersion: version, Labels: map[string]string{v1alpha1.LabelOwner: owner}},
	}
}

// cluster is a Watch of a cluster that a test writes to.
type cluster struct {
	*Watch
	t      *testing.T
	client *fake.FakeMetadataClient

	mu     sync.Mutex
	called []string
}

func newCluster(t *testing.T, objects ...runtime.Object) *cluster {
	t.Helper()
	scheme := fake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, client: fake.NewSimpleMetadataClient(scheme, objects...)}
	c.Watch = &Watch{Client: c.client, Logger: slog.New(slog.DiscardHandler), Changed: func(owner string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.called = append(c.called, owner)
	}}
	ended := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return c
}

// until waits for what informers do in their own time.
func (c *cluster) until(what string, want func() bool) {
	c.t.Helper()
	err := wait.PollUntilContextTimeout(c.t.Context(), 5*time.Millisecond, 20*time.Second, true, func(context.Context) (bool, error) { return want(), nil })
	if err != nil {
		c.t.Fatalf("wait until %s: %v", what, err)
	}
}

func (c *cluster) write(o *metav1.PartialObjectMetadata) {
	c.t.Helper()
	if err := c.client.Tracker().Update(settings.Resource, o, "a"); err != nil {
		c.t.Fatal(err)
	}
}

// calls returns for whom Changed was called since it was asked last.
func (c *cluster) calls() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.called
	c.called = nil
	return out
}

func TestWatchSeesWhatItFollows(t *testing.T) {
	t.Parallel()
	c := newCluster(t, configMap("a.one", "1"))
	if _, known := c.See(settings, "x"); known {
		t.Error("a place that nobody follows is known")
	}
	c.Follow("a.one", []Place{settings})
	c.until("the place is known", func() bool { _, known := c.See(settings, "x"); return known })
	first, _ := c.See(settings, "x")
	if first.Meta == nil || first.Meta.GetUID() != "u-1" || first.Print == "" {
		t.Fatalf("it is seen as %+v", first)
	}
	if absent, known := c.See(settings, "y"); !known || absent.Meta != nil {
		t.Errorf("what is not there is seen as %+v, known: %t", absent, known)
	}
	c.until("its owner is called", func() bool { return slices.Contains(c.calls(), "a.one") })

	c.write(configMap("a.two", "2"))
	c.until("another print is seen", func() bool { s, _ := c.See(settings, "x"); return s.Print != first.Print })
	var called []string
	c.until("both owners are called", func() bool {
		called = append(called, c.calls()...)
		return slices.Contains(called, "a.one") && slices.Contains(called, "a.two")
	})

	if err := c.client.Tracker().Delete(settings.Resource, "a", "x"); err != nil {
		t.Fatal(err)
	}
	c.until("it is gone", func() bool { s, known := c.See(settings, "x"); return known && s.Meta == nil })
	c.until("its last owner is called", func() bool { return slices.Contains(c.calls(), "a.two") })
}

func TestWatchEndsWhatNobodyFollows(t *testing.T) {
	t.Parallel()
	c := newCluster(t, configMap("a.one", "1"))
	c.Follow("a.one", []Place{settings})
	c.Follow("a.two", []Place{settings})
	c.until("the place is known", func() bool { _, known := c.See(settings, "x"); return known })
	c.Follow("a.one", nil)
	if _, known := c.See(settings, "x"); !known {
		t.Error("it is not known any more though one follows it still")
	}
	c.Follow("a.two", nil)
	if _, known := c.See(settings, "x"); known {
		t.Error("it is known though nobody follows it")
	}
}

// What may not be watched is unknown, and not absent.
func TestWatchThatIsRefusedKnowsNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t, configMap("a.one", "1"))
	asked := make(chan struct{}, 100)
	refuse := func(clienttesting.Action) (bool, error) {
		select {
		case asked <- struct{}{}:
		default:
		}
		return true, apierrors.NewForbidden(settings.Resource.GroupResource(), "", nil)
	}
	c.client.PrependReactor("list", "configmaps", func(a clienttesting.Action) (bool, runtime.Object, error) {
		handled, err := refuse(a)
		return handled, nil, err
	})
	c.Follow("a.one", []Place{settings})
	<-asked
	if _, known := c.See(settings, "x"); known {
		t.Error("it is known")
	}
}

// What one account may not watch, another one's watch does not tell it.
func TestWatchTellsAnAccountOnlyWhatItMayWatch(t *testing.T) {
	t.Parallel()
	c := newCluster(t, configMap("a.one", "1"))
	weak, strong := account.Account{Namespace: "a", Name: "weak"}, account.Account{Namespace: "a", Name: "strong"}
	refused := newCluster(t)
	asked := make(chan struct{}, 100)
	refused.client.PrependReactor("list", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
		asked <- struct{}{}
		return true, nil, apierrors.NewForbidden(settings.Resource.GroupResource(), "", nil)
	})
	c.As = func(a account.Account) (metadata.Interface, error) {
		switch a {
		case weak:
			return refused.client, nil
		case strong:
			return c.client, nil
		default:
			return nil, errors.New("nobody knows it")
		}
	}
	at := func(a account.Account) Place {
		return Place{As: a, Resource: settings.Resource, Namespace: settings.Namespace}
	}
	unknown := account.Account{Namespace: "a", Name: "unknown"}
	c.Follow("a.one", []Place{settings, at(weak), at(strong), at(unknown)})
	for _, p := range []Place{settings, at(strong)} {
		c.until("who may sees it", func() bool { s, known := c.See(p, "x"); return known && s.Meta != nil })
	}
	<-asked
	for _, p := range []Place{at(weak), at(unknown)} {
		if s, known := c.See(p, "x"); known {
			t.Errorf("%s knows %+v", p.As, s)
		}
	}
}
