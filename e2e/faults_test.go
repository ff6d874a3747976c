package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// fault is what goes wrong with one call.
type fault int

// The first ones are answers in place of the API server's, which does not get the
// call. A 429 without Retry-After comes through to rollcall; with it, client-go
// asks again by itself.
const (
	conflict    fault = iota // 409; of a list or a watch 410, and of any other read 503
	busy                     // 429
	broken                   // 500
	timedOut                 // 504
	answerLost               // the API server does it, and the connection breaks; a watch is closed as soon as it is open
	watchesLost              // every watch is closed, and the call goes through
	outage                   // all connections break, and for some time nobody listens
)

// faults are those that each call meets in turn.
const faults = outage

// down is how long an outage lasts: longer than a restart of an API server that
// has not much to load.
const down = 3 * time.Second

func (f fault) String() string {
	return [...]string{"conflict", "busy", "broken", "timed out", "answer lost", "watches lost", "outage"}[f]
}

// faulty stands between rollcall and the API server, counts the calls, and lets
// the planned ones fail, each once.
type faulty struct {
	proxy http.Handler

	mu sync.Mutex
	// chapter is the part of a life that is told.
	chapter string
	// answered counts the calls of each kind since begin that came through, and
	// order has them.
	answered map[string]int
	order    []callSite
	planned  map[callSite]fault
	hit      []callSite
	// open ends each request that is under way.
	open    map[int]open
	opened  int
	closing time.Time
}

// open is a request under way.
type open struct {
	end   context.CancelFunc
	watch bool
}

// begin starts to count anew, with another plan.
func (f *faulty) begin(plan map[callSite]fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answered, f.order, f.hit, f.planned = map[string]int{}, nil, nil, plan
}

// stop ends the count and the faults.
func (f *faulty) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answered, f.planned = nil, nil
}

// tell begins another chapter, whose calls are counted for themselves.
func (f *faulty) tell(chapter string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.chapter = chapter
}

// calls are those since begin that came through.
func (f *faulty) calls() []callSite {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]callSite(nil), f.order...)
}

// hits are the calls since begin that failed.
func (f *faulty) hits() []callSite {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]callSite(nil), f.hit...)
}

// ServeHTTP forwards a request, unless it is to fail.
func (f *faulty) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	kind := kindOf(r)
	planned, strikes := f.strike(kind)
	if !strikes {
		planned = -1
	}
	reads := strings.HasPrefix(kind, "get ")
	watches := strings.HasPrefix(kind, "watch ")
	switch planned {
	case conflict:
		switch {
		case watches || strings.HasPrefix(kind, "list "):
			refuseWith(rw, http.StatusGone, metav1.StatusReasonExpired)
		case reads:
			refuseWith(rw, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable)
		default:
			refuseWith(rw, http.StatusConflict, metav1.StatusReasonConflict)
		}
	case busy:
		refuseWith(rw, http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests)
	case broken:
		refuseWith(rw, http.StatusInternalServerError, metav1.StatusReasonInternalError)
	case timedOut:
		refuseWith(rw, http.StatusGatewayTimeout, metav1.StatusReasonTimeout)
	case answerLost:
		if !watches {
			f.proxy.ServeHTTP(void{http.Header{}}, r)
		}
		panic(http.ErrAbortHandler)
	case watchesLost:
		f.cut(func(o open) bool { return o.watch })
		f.forward(rw, r, watches)
	case outage:
		f.cut(func(open) bool { return true })
		panic(http.ErrAbortHandler)
	default:
		f.forward(rw, r, watches)
	}
}

// strike counts a call that comes through, or returns how it fails.
func (f *faulty) strike(kind string) (fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Now().Before(f.closing) {
		panic(http.ErrAbortHandler)
	}
	if kind == "" {
		return 0, false
	}
	kind += " in " + f.chapter
	site := callSite{kind: kind, nth: f.answered[kind] + 1}
	planned, strikes := f.planned[site]
	if strikes {
		delete(f.planned, site)
		f.hit = append(f.hit, site)
		if planned == outage {
			f.closing = time.Now().Add(down)
		}
		return planned, true
	}
	if f.answered != nil {
		f.answered[kind]++
		f.order = append(f.order, site)
	}
	return 0, false
}

func (f *faulty) forward(rw http.ResponseWriter, r *http.Request, watch bool) {
	ctx, end := context.WithCancel(r.Context())
	f.mu.Lock()
	if f.open == nil {
		f.open = map[int]open{}
	}
	f.opened++
	id := f.opened
	f.open[id] = open{end, watch}
	f.mu.Unlock()
	defer func() {
		end()
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.open, id)
	}()
	f.proxy.ServeHTTP(rw, r.WithContext(ctx))
	if ctx.Err() != nil {
		panic(http.ErrAbortHandler) // it was cut off: what the proxy says of that is not the API server's
	}
}

func (f *faulty) cut(which func(open) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, o := range f.open {
		if which(o) {
			o.end()
		}
	}
}

// void is where an answer goes that is lost.
type void struct{ header http.Header }

func (v void) Header() http.Header         { return v.header }
func (v void) Write(p []byte) (int, error) { return len(p), nil }
func (v void) WriteHeader(int)             {}

// refuseWith answers as an API server does that fails.
func refuseWith(rw http.ResponseWriter, code int32, reason metav1.StatusReason) {
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(int(code))
	_ = json.NewEncoder(rw).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Code: code, Reason: reason, Message: "the e2e lets this call fail",
	})
}

// kindOf is the kind of any call that a GitSync or a rollout depends on; empty for
// others. Events are none, and neither is the question for the version, without
// whose answer the process ends, so that somebody starts it anew.
func kindOf(r *http.Request) string {
	factory := apirequest.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")}
	call, err := factory.NewRequestInfo(r)
	switch {
	case err != nil, call.Resource == "events":
		return ""
	case !call.IsResourceRequest:
		if strings.HasPrefix(r.URL.Path, "/api") {
			return "discover " + r.URL.Path
		}
		return ""
	}
	kind := call.Verb + " " + call.Resource
	if call.Subresource != "" {
		kind += "/" + call.Subresource
	}
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	switch {
	case r.URL.Query().Has("dryRun") || call.Verb == "delete" && bytes.Contains(body, []byte("All")):
		kind += " to try"
	case call.Verb == "patch" && bytes.Contains(body, []byte(v1alpha1.WaveGate)):
		kind += " with the gate"
	}
	return kind
}
