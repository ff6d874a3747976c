package e2e

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/rollcall-dev/rollcall/e2e/cluster"
	"github.com/rollcall-dev/rollcall/e2e/kubeconfig"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// brake stands between rollcall and the API server, and can stop what the watches
// of pods have to say. They stay open, as over a connection that hangs.
type brake struct {
	mu   sync.Mutex
	held chan struct{} // closed when they go on; nil while nothing stops them
}

func (b *brake) hold() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held = make(chan struct{})
}

func (b *brake) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.held)
	b.held = nil
}

// braked is the body of a watch.
type braked struct {
	io.ReadCloser
	brake *brake
}

func (r braked) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.brake.mu.Lock()
	held := r.brake.held
	r.brake.mu.Unlock()
	if held != nil {
		<-held
	}
	return n, err
}

// putBrake puts a brake between rollcall, which must not run yet, and the API
// server.
func (w *world) putBrake() *brake {
	w.t.Helper()
	b := &brake{}
	proxy := w.proxy()
	proxy.ModifyResponse = func(r *http.Response) error {
		if r.Request.URL.Path == "/api/v1/pods" && r.Request.URL.Query().Get("watch") != "" {
			r.Body = braked{r.Body, b}
		}
		return nil
	}
	w.putBetween(proxy)
	return b
}

// proxy forwards requests to the API server, and what a watch says at once.
func (w *world) proxy() *httputil.ReverseProxy {
	w.t.Helper()
	_, account, err := w.cluster.LogIn(w.t.Context(), releaseNamespace, release)
	w.must(err, "log in as the chart's account")
	server, err := url.Parse(account.Host)
	w.must(err, "read the API server's address")
	transport, err := rest.TransportFor(rest.AnonymousClientConfig(account))
	w.must(err, "reach the API server")
	return &httputil.ReverseProxy{
		Transport: transport, FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0), // a process that is killed leaves its calls
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(server) },
	}
}

// putBetween lets rollcall, which must not run yet, talk to the handler instead of
// the API server.
func (w *world) putBetween(h http.Handler) {
	w.t.Helper()
	_, account, err := w.cluster.LogIn(w.t.Context(), releaseNamespace, release)
	w.must(err, "log in as the chart's account")
	front := httptest.NewUnstartedServer(h)
	front.Config.ErrorLog = log.New(io.Discard, "", 0)
	front.StartTLS()                          // a token is sent over TLS only
	w.t.Cleanup(front.CloseClientConnections) // Close would wait for the watches
	path := filepath.Join(w.dir, "between.kubeconfig")
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})
	w.must(kubeconfig.Write(path, &rest.Config{Host: front.URL, BearerToken: account.BearerToken, TLSClientConfig: rest.TLSClientConfig{CAData: authority}}), "write kubeconfig")
	w.options.Kubeconfig = path
}

// A watch that hangs shows for ever what was once true: canaries that are well.
// No wave passes on that.
func TestNoWavePassesOnAWatchThatHangs(t *testing.T) {
	t.Parallel()
	w := idleWorld(t, cluster.Options{Nodes: 6, Zones: 3})
	b := w.putBrake()
	w.startController()
	w.policy(quick(soak(0, 12)))
	first := w.pushTag("v1")
	w.follow()
	w.waitProven(first, 2*time.Minute)
	r := record(t, w.cluster.Client)

	commit := w.deliver("flaky")
	canaries := w.waitSoaking(r, "canary", "flaky")
	b.hold()
	n := w.waitReason(v1alpha1.PhaseSoaking, "StepFailed")
	if !strings.Contains(n.Status.Message, "the watch of pods is behind") {
		t.Errorf("the message does not say what is wrong: %s", n.Status.Message)
	}
	if got := r.nodesOf("flaky"); !slices.Equal(got, canaries) {
		t.Errorf("flaky ran on %v, want the canaries %v", got, canaries)
	}

	b.release()
	w.waitRejected(commit, time.Minute)
	r.wantRadius(t, "flaky")
}
