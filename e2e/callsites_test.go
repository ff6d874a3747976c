package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/sets"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/rollcall-dev/rollcall/e2e/cluster"
	"github.com/rollcall-dev/rollcall/e2e/product"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// TestKilledAtEveryCall kills rollcall at each call by which it changes something:
// right before the API server gets the call, and right after it has answered, of
// which rollcall does not learn. What a rollout that proves its commit calls is
// recorded first; the same rollout then ends as without, and hurts no more.
func TestKilledAtEveryCall(t *testing.T) {
	t.Parallel()
	w, k := killable(t)
	w.killEverywhere(t, k, func(round int) string { return w.proves(t, k, fmt.Sprintf("v%d", round), fmt.Sprintf("v%d", round-1)) })
}

// TestKilledAtEveryCallOfARejection is the same of a rollout that rejects its
// commit. Each of the two is among the longest tests, and they run side by side.
func TestKilledAtEveryCallOfARejection(t *testing.T) {
	t.Parallel()
	w, k := killable(t)
	w.killEverywhere(t, k, func(round int) string { return w.rejects(t, k, fmt.Sprintf("r%d:bad", round), "v0") })
}

// killable is a world of four nodes that run v0, and what kills its rollcall.
func killable(t *testing.T) (*world, *killer) {
	t.Helper()
	w := idleWorld(t, cluster.Options{Nodes: 4, Zones: 1})
	k := &killer{proxy: w.proxy(), up: make(chan struct{})}
	w.putBetween(k)
	w.restart(k)
	t.Cleanup(k.stop)
	w.policy(quick(soak(0, 1), func(p *v1alpha1.RolloutPolicySpec) {
		two := intstr.FromInt32(2)
		p.MaxUnavailable = &two
		p.Waves = []v1alpha1.Wave{p.Waves[0], p.Waves[2]}
		p.Waves[0].UpTo = intstr.FromInt32(1)
	}))
	first := w.pushTag("v0")
	w.follow()
	w.waitProven(first, time.Minute)
	w.waitUpdated(4)
	return w, k
}

// killEverywhere lets a rollout end once undisturbed, and then with kills until
// there was one at each site. A call that depends on time is not in each rollout:
// it fails when there was none at the first call of a kind.
func (w *world) killEverywhere(t *testing.T, k *killer, play func(round int) (end string)) {
	t.Helper()
	k.begin(nil)
	undisturbed := play(1)
	left := k.sites()
	sites, kills, round := len(left), 0, 2
	for ; len(left) > 0 && round < 8; round++ {
		k.begin(some(left, round))
		if end := play(round); end != undisturbed {
			t.Errorf("with kills the end is\n%s\nand without\n%s", end, undisturbed)
		}
		hit := k.hits()
		kills += len(hit)
		left = without(left, hit)
		if len(hit) == 0 {
			break
		}
	}
	t.Logf("%d sites, %d kills, the last in rollout %d; not reached: %v", sites, kills, round, left)
	for _, s := range left {
		if s.nth == 1 {
			t.Errorf("no process was killed %s", s)
		}
	}
}

// proves delivers a commit, waits until it is proven, and returns what the cluster
// is like then.
func (w *world) proves(t *testing.T, k *killer, tag, before string) string {
	t.Helper()
	r := record(t, w.cluster.Client)
	commit := w.deliver(tag)
	w.keepAlive(k, "commit "+commit[:8]+" is proven", func() bool {
		gs, err := w.kinds.GitSyncs(metav1.NamespaceDefault).Get(t.Context(), "fleet", metav1.GetOptions{})
		w.must(err, "get GitSync")
		ds := w.daemonSet()
		return gs.Status.Proven == commit && ds.Status.UpdatedNumberScheduled == 4 && ds.Status.NumberAvailable == 4
	})
	w.disarm(k)
	r.wantHistory(t, w.nodes(), before, tag)
	r.wantWorst(t, 2)
	return w.end(tag)
}

// rejects delivers a commit, waits until it is rejected and its node is back, and
// returns what the cluster is like then.
func (w *world) rejects(t *testing.T, k *killer, tag, before string) string {
	t.Helper()
	r := record(t, w.cluster.Client)
	commit := w.deliver(tag)
	w.keepAlive(k, "commit "+commit[:8]+" is rejected", func() bool {
		s := w.rollout().Status
		return s.Phase == v1alpha1.PhaseRejected && s.Candidate != nil && s.Candidate.Commit == commit && s.Nodes.Present == 4
	})
	w.disarm(k)
	hurt := r.nodesOf(tag)
	if len(hurt) != 1 {
		t.Errorf("%s ran on %v, want the canary", tag, hurt)
	}
	r.wantHistory(t, hurt, before, tag, before)
	r.wantHistory(t, but(w.nodes(), hurt...), before)
	r.wantWorst(t, 2)
	return w.end(before)
}

// end is what the cluster is like when a rollout of the tag is over.
func (w *world) end(tagged string) string {
	w.t.Helper()
	var out string
	w.until("the rollout is at rest", 30*time.Second, func() (bool, string) {
		ds, s := w.daemonSet(), w.rollout().Status
		out = fmt.Sprintf("%s %s %+v, candidate %t, in flight %d; %s, gated %t, %d of 4 updated, %d of 4 available; %d of 4 run the proven version",
			s.Phase, s.Reason, s.Nodes, s.Candidate != nil, len(s.InFlight), ds.Spec.UpdateStrategy.Type, len(ds.Spec.Template.Spec.SchedulingGates) > 0,
			ds.Status.UpdatedNumberScheduled, ds.Status.NumberAvailable, w.tags()[tagged])
		return len(s.InFlight) == 0 && ds.Status.UpdatedNumberScheduled == 4 && len(ds.Spec.Template.Spec.SchedulingGates) == 0, out
	})
	return out
}

// callSite is a point at which a process is killed: before or after the nth call
// of its kind in a rollout.
type callSite struct {
	kind  string
	nth   int
	after bool
}

func (s callSite) String() string {
	if s.after {
		return fmt.Sprintf("after %s %d", s.kind, s.nth)
	}
	return fmt.Sprintf("before %s %d", s.kind, s.nth)
}

// some are every other site, the others in the next round, so that a process also
// goes on for a while; all of them when they are few.
func some(sites []callSite, round int) []callSite {
	var out []callSite
	for i, s := range sites {
		if len(sites) <= 8 || i%2 == round%2 {
			out = append(out, s)
		}
	}
	return out
}

func without(sites, others []callSite) []callSite {
	gone := sets.New(others...)
	var out []callSite
	for _, s := range sites {
		if !gone.Has(s) {
			out = append(out, s)
		}
	}
	return out
}

// killer stands between rollcall and the API server, counts the calls that change
// something, and kills the process at the planned ones.
type killer struct {
	proxy http.Handler

	mu sync.Mutex
	// process is the one that runs; up is closed when it is known, and is another
	// one after a kill.
	process *product.Controller
	up      chan struct{}
	// answered counts the calls of each kind since begin, and order has them.
	answered map[string]int
	order    []callSite
	planned  sets.Set[callSite]
	hit      []callSite
}

// begin starts to count anew, with another plan.
func (k *killer) begin(plan []callSite) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.answered, k.order, k.hit, k.planned = map[string]int{}, nil, nil, sets.New(plan...)
}

// sites are those before and after each call since begin.
func (k *killer) sites() []callSite {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []callSite
	for _, s := range k.order {
		out = append(out, callSite{s.kind, s.nth, false}, s)
	}
	return out
}

// hits are the sites at which a process was killed since begin.
func (k *killer) hits() []callSite {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.hit
}

// ServeHTTP forwards a request, unless the process is killed before it.
func (k *killer) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	kind := changing(r)
	if kind == "" {
		k.proxy.ServeHTTP(rw, r)
		return
	}
	if k.strike(kind, false) {
		panic(http.ErrAbortHandler)
	}
	answer := httptest.NewRecorder()
	k.proxy.ServeHTTP(answer, r)
	if k.strike(kind, true) {
		panic(http.ErrAbortHandler)
	}
	for name, values := range answer.Header() {
		rw.Header()[name] = values
	}
	rw.WriteHeader(answer.Code)
	_, _ = answer.Body.WriteTo(rw)
}

// strike counts a call that was answered, and kills the process if that is planned.
func (k *killer) strike(kind string, after bool) bool {
	k.mu.Lock()
	for k.process == nil && !after { // a process that is not known yet cannot be killed
		up := k.up
		k.mu.Unlock()
		<-up
		k.mu.Lock()
	}
	defer k.mu.Unlock()
	site := callSite{kind, k.answered[kind] + 1, after}
	if after && k.answered != nil {
		k.answered[kind]++
		k.order = append(k.order, site)
	}
	if k.process == nil || !k.planned.Has(site) {
		return false
	}
	k.planned.Delete(site)
	k.hit = append(k.hit, site)
	_ = k.process.Kill() // waits for the end of what never refuses to end
	k.process, k.up = nil, make(chan struct{})
	return true
}

// changing is the kind of the call, empty for one that changes nothing. Events are
// none: a goroutine of their own sends them, and nothing depends on one.
func changing(r *http.Request) string {
	factory := apirequest.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")}
	call, err := factory.NewRequestInfo(r)
	if err != nil || !call.IsResourceRequest || call.Resource == "events" || strings.HasPrefix(call.Resource, "selfsubject") || r.URL.Query().Has("dryRun") {
		return ""
	}
	switch call.Verb {
	case "create", "update", "patch", "delete":
	default:
		return ""
	}
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	if call.Verb == "delete" && bytes.Contains(body, []byte("All")) {
		return "" // a dry run
	}
	kind := call.Verb + " " + call.Resource
	if call.Subresource != "" {
		kind += "/" + call.Subresource
	}
	if call.Resource == "configmaps" && call.Name != "" {
		kind += " " + call.Name[strings.LastIndexByte(call.Name, '.')+1:]
	}
	if call.Verb == "patch" && bytes.Contains(body, []byte(v1alpha1.WaveGate)) {
		kind += " with the gate"
	}
	return kind
}

// restart starts a process, and lets the calls of it through from then on. It
// outlives the part of the scenario that it was started in.
func (w *world) restart(k *killer) {
	w.t.Helper()
	process, err := product.Start(context.WithoutCancel(w.t.Context()), w.options)
	w.must(err, "start rollcall")
	k.mu.Lock()
	defer k.mu.Unlock()
	k.process = process
	close(k.up)
}

// stop ends the process that runs.
func (k *killer) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.process != nil {
		_ = k.process.Kill()
	}
}

// keepAlive starts a process again whenever one was killed, until done.
func (w *world) keepAlive(k *killer, what string, done func() bool) {
	w.t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		k.mu.Lock()
		dead := k.process == nil
		k.mu.Unlock()
		switch {
		case dead:
			w.restart(k)
		case done():
			return
		case time.Since(began) > 3*time.Minute:
			w.t.Fatalf("wait until %s: %s", what, describe(w.rollout()))
		}
	}
}

// disarm plans no more kills, and starts the process that the last one has ended.
func (w *world) disarm(k *killer) {
	w.t.Helper()
	k.mu.Lock()
	k.planned = nil
	dead := k.process == nil
	k.mu.Unlock()
	if dead {
		w.restart(k)
	}
}
