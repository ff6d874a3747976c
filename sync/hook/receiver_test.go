package hook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/types"
)

// replica is a receiver and what it was told.
type replica struct {
	*Receiver
	mu     sync.Mutex
	hints  []string
	leader atomic.Pointer[string]
}

// newReplica knows team/fleet, which has a token, team/silent, which has none, and team/broken, whose Secret cannot be
// read; it takes its time for each.
func newReplica() *replica {
	r := &replica{}
	r.Receiver = &Receiver{
		Token: func(ctx context.Context, key types.NamespacedName) ([]byte, error) {
			switch key.String() {
			case "team/fleet":
				time.Sleep(20 * time.Millisecond)
				return []byte(secret), nil
			case "team/broken":
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return nil, nil
		},
		Hint: func(key types.NamespacedName) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.hints = append(r.hints, key.String())
		},
		Leads: func() bool { return r.leader.Load() == nil },
		Leader: func() string {
			if at := r.leader.Load(); at != nil {
				return *at
			}
			return ""
		},
		Logger:   slog.New(slog.DiscardHandler),
		Requests: NewRequests(prometheus.NewRegistry()),
	}
	return r
}

func (r *replica) mux() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/hook/{namespace}/{name}", r.Receiver)
	return mux
}

func (r *replica) post(path, body string, header http.Header) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	request.Header = header
	recorder := httptest.NewRecorder()
	r.mux().ServeHTTP(recorder, request)
	return recorder
}

func (r *replica) wantHints(t *testing.T, want ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if diff := cmp.Diff(want, r.hints); diff != "" {
		t.Errorf("hints (-want +got):\n%s", diff)
	}
	r.hints = nil
}

func signed(body string) http.Header {
	return http.Header{"X-Signature": {"sha256=" + hexSum(secret, body)}}
}

func TestASignedWebhookIsAHint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplica()
		if got := r.post("/hook/team/fleet", "{}", signed("{}")); got.Code != http.StatusAccepted {
			t.Errorf("the answer is %d", got.Code)
		}
		r.wantHints(t, "team/fleet")
		if got := testutil.ToFloat64(r.Requests.WithLabelValues("accepted")); got != 1 {
			t.Errorf("%v are counted", got)
		}
	})
}

// TestRefusalsAreOne shows that nobody learns which GitSyncs there are: the answer and the time are the same.
func TestRefusalsAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplica()
		var first *httptest.ResponseRecorder
		for name, c := range map[string]struct {
			path   string
			header http.Header
		}{
			"a GitSync that there is not":       {"/hook/team/none", signed("{}")},
			"a namespace that there is not":     {"/hook/none/fleet", signed("{}")},
			"one without a token":               {"/hook/team/silent", signed("{}")},
			"a token that cannot be read":       {"/hook/team/broken", signed("{}")},
			"a signature that is not right":     {"/hook/team/fleet", signed("[]")},
			"no signature":                      {"/hook/team/fleet", nil},
			"another token":                     {"/hook/team/fleet", http.Header{"X-Gitlab-Token": {"x"}}},
			"nothing known and nothing offered": {"/hook/team/none", nil},
			"a name that is none":               {"/hook/team/..%2f..%2fx", nil},
			"a name of any length":              {"/hook/team/" + strings.Repeat("a", 5000), nil},
		} {
			begun := time.Now()
			got := r.post(c.path, "{}", c.header)
			if took := time.Since(begun); took != refusal {
				t.Errorf("%s: it took %s, want %s as any other", name, took, refusal)
			}
			if first == nil {
				first = got
			}
			if got.Code != http.StatusForbidden || got.Body.String() != first.Body.String() || cmp.Diff(first.Header(), got.Header()) != "" {
				t.Errorf("%s: the answer is %d %q %v, want that of any other", name, got.Code, got.Body, got.Header())
			}
			time.Sleep(10 * time.Second) // the limits of one test are no matter of the next
		}
		r.wantHints(t)
	})
}

func TestWhatIsNotHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplica()
		recorder := httptest.NewRecorder()
		r.mux().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/hook/team/fleet", nil))
		if recorder.Code != http.StatusMethodNotAllowed {
			t.Errorf("GET: %d", recorder.Code)
		}
		large := strings.Repeat(" ", maxBody+1)
		for _, path := range []string{"/hook/team/fleet", "/hook/team/none"} {
			if got := r.post(path, large, signed(large)); got.Code != http.StatusRequestEntityTooLarge {
				t.Errorf("%s of %d bytes: %d", path, len(large), got.Code)
			}
		}
		large = large[1:]
		if got := r.post("/hook/team/fleet", large, signed(large)); got.Code != http.StatusAccepted {
			t.Errorf("%d bytes: %d", len(large), got.Code)
		}
		r.wantHints(t, "team/fleet")
		r.Token = func(context.Context, types.NamespacedName) ([]byte, error) {
			return nil, fmt.Errorf("look: %w", ErrUnready)
		}
		if got := r.post("/hook/team/fleet", "{}", signed("{}")); got.Code != http.StatusServiceUnavailable || got.Header().Get("Retry-After") == "" {
			t.Errorf("before the GitSyncs are known: %d %v", got.Code, got.Header())
		}
	})
}

func TestWebhooksAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplica()
		count := func(requests int, path func(int) string) (heard int) {
			for i := range requests {
				got := r.post(path(i), "{}", signed("{}"))
				switch {
				case got.Code != http.StatusTooManyRequests:
					heard++
				case got.Header().Get("Retry-After") == "":
					t.Error("nobody is told when to try again")
				}
			}
			return heard
		}
		if heard := count(200, func(int) string { return "/hook/team/fleet" }); heard < burstEach || heard > burstEach+10 {
			t.Errorf("of 200 for one GitSync %d are heard, want %d and one a second", heard, burstEach)
		}
		time.Sleep(time.Minute)
		begun := time.Now()
		var wait sync.WaitGroup
		var heard atomic.Int32
		for i := range 1000 {
			wait.Go(func() {
				if got := r.post(fmt.Sprintf("/hook/team/made-up-%d", i), "{}", nil); got.Code != http.StatusTooManyRequests {
					heard.Add(1)
				}
			})
		}
		wait.Wait()
		if got := heard.Load(); got < burst/2 || got > burst || time.Since(begun) != refusal {
			t.Errorf("of 1000 at once %d are heard, in %s, want up to %d", got, time.Since(begun), burst)
		}
		time.Sleep(time.Minute)
		if got := r.post("/hook/team/fleet", "{}", signed("{}")); got.Code != http.StatusAccepted {
			t.Errorf("a minute later: %d", got.Code)
		}
	})
}

// TestAReplicaThatDoesNotLeadHandsItOn runs two replicas as servers.
func TestAReplicaThatDoesNotLeadHandsItOn(t *testing.T) {
	leader, other := newReplica(), newReplica()
	serve := func(r *replica) (url string) {
		server := httptest.NewServer(r.mux())
		t.Cleanup(server.Close)
		return server.URL
	}
	leads, follows := serve(leader), serve(other)
	lead := func(r *replica, address string) { r.leader.Store(&address) }
	post := func(header http.Header) int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, follows+"/hook/team/fleet", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		request.Header = header
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		_, _ = io.Copy(io.Discard, response.Body)
		return response.StatusCode
	}
	lead(other, strings.TrimPrefix(leads, "http://"))
	if got := post(signed("{}")); got != http.StatusAccepted {
		t.Errorf("the answer is %d", got)
	}
	leader.wantHints(t, "team/fleet")
	other.wantHints(t)
	if got := post(signed("[]")); got != http.StatusForbidden {
		t.Errorf("not signed, the answer is %d", got)
	}
	leader.wantHints(t)

	lead(leader, strings.TrimPrefix(follows, "http://")) // each takes the other for the one that leads
	if got := post(signed("{}")); got != http.StatusServiceUnavailable {
		t.Errorf("in a circle the answer is %d", got)
	}
	for _, address := range []string{"", "nobody", "example.com:80", "127.0.0.1", "127.0.0.1:1"} {
		lead(other, address)
		if got := post(signed("{}")); got != http.StatusServiceUnavailable {
			t.Errorf("the leader is at %q: the answer is %d", address, got)
		}
	}
	leader.wantHints(t)
	other.wantHints(t)
}

func TestWhoGoesAwayIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplica()
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(refusal/2, func() { cancel(errors.New("gone")) })
		request := httptest.NewRequest(http.MethodPost, "/hook/team/none", nil).WithContext(ctx)
		begun := time.Now()
		r.mux().ServeHTTP(httptest.NewRecorder(), request)
		if took := time.Since(begun); took != refusal/2 {
			t.Errorf("it took %s", took)
		}
	})
}
