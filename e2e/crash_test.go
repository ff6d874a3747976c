package e2e

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/rollcall-dev/rollcall/e2e/cluster"
	"github.com/rollcall-dev/rollcall/e2e/product"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// TestKilledAgainAndAgain ends rollcall as a power cut would, at random points:
// the rollout ends as without.
func TestKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	w := settled(t, 20, quick(soak(0, 4), func(p *v1alpha1.RolloutPolicySpec) {
		two := intstr.FromInt32(2)
		p.MaxUnavailable = &two
	}))
	chance := seeded(t)

	r := record(t, w.cluster.Client)
	good := w.deliver("v2")
	w.waitCandidate(good)
	if hit := w.killTimes(chance, 20, good, time.Second); hit < 20 {
		t.Errorf("%d of 20 kills hit the rollout before its end", hit)
	}
	w.waitProven(good, 3*time.Minute)
	w.waitTag("v2", w.nodes())
	r.wantHistory(t, w.nodes(), "v1", "v2")
	r.wantWorst(t, 2)
	w.waitUpdated(20)

	r = record(t, w.cluster.Client)
	bad := w.deliver("flaky")
	w.waitCandidate(bad)
	// Those that come after the return hit a rejection, which stays one.
	if hit := w.killTimes(chance, 16, bad, 300*time.Millisecond); hit < 4 {
		t.Errorf("%d of 16 kills hit the rollout before its end, want 4 or more", hit)
	}
	w.waitRejected(bad, 2*time.Minute)
	r.wantRadius(t, "flaky")
	w.waitTag("v2", w.nodes())
	hurt := r.nodesOf("flaky")
	r.wantHistory(t, hurt, "v2", "flaky", "v2")
	r.wantHistory(t, but(w.nodes(), hurt...), "v2")
	r.wantWorst(t, 2)
}

// seeded is chance that can be had again: ROLLCALL_E2E_SEED names the seed that
// a failed test has logged.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("ROLLCALL_E2E_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("read ROLLCALL_E2E_SEED: %v", err)
		}
	}
	t.Logf("ROLLCALL_E2E_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// waitCandidate waits until the rollout of the commit has begun.
func (w *world) waitCandidate(commit string) {
	w.t.Helper()
	w.waitRollout("commit "+commit[:8]+" is on its way", time.Minute, func(n *v1alpha1.NodeRollout) bool {
		return n.Status.Candidate != nil && n.Status.Candidate.Commit == commit
	})
}

// killTimes kills the controller so many times and starts it again: each time
// after a few more changes of the DaemonSet and its pods, or after a while
// without any. Each time the commit has to be the candidate. It returns how many
// kills hit before its rollout was over.
func (w *world) killTimes(chance *rand.Rand, times int, commit string, patience time.Duration) (hit int) {
	w.t.Helper()
	changes := w.changes()
	for i := range times {
		after, enough := 1+chance.IntN(8), time.After(patience+time.Duration(chance.Int64N(int64(patience))))
		seen := 0
		for waiting := true; waiting && seen < after; {
			select {
			case <-changes:
				seen++
			case <-enough:
				waiting = false
			}
		}
		w.must(w.control.Kill(), "kill rollcall")
		n, err := w.kinds.NodeRollouts(metav1.NamespaceDefault).Get(w.t.Context(), agent, metav1.GetOptions{})
		w.must(err, "get NodeRollout")
		w.t.Logf("kill %d after %d of %d changes: %s %s, %d in flight, gated %t", i, seen, after, n.Status.Phase, n.Status.Reason,
			len(n.Status.InFlight), len(w.daemonSet().Spec.Template.Spec.SchedulingGates) > 0)
		if s := n.Status; s.Candidate == nil || s.Candidate.Commit != commit {
			w.t.Fatalf("kill %d of %d hit no rollout of %.8s: %s", i, times, commit, describe(n))
		}
		if n.Status.Phase != v1alpha1.PhaseRejected && n.Status.Phase != v1alpha1.PhaseProven {
			hit++
		}
		w.startController()
	}
	return hit
}

// changes tells whoever listens of every change of the DaemonSet and of its
// pods.
func (w *world) changes() <-chan struct{} {
	w.t.Helper()
	out := make(chan struct{})
	ctx := w.t.Context()
	pods, err := w.cluster.Client.CoreV1().Pods(metav1.NamespaceDefault).Watch(ctx, metav1.ListOptions{LabelSelector: "app=example"})
	w.must(err, "watch pods")
	sets, err := w.cluster.Client.AppsV1().DaemonSets(metav1.NamespaceDefault).Watch(ctx, metav1.ListOptions{})
	w.must(err, "watch DaemonSets")
	for _, watch := range []watch.Interface{pods, sets} {
		w.t.Cleanup(watch.Stop)
		go func() {
			for range watch.ResultChan() {
				select {
				case out <- struct{}{}:
				default: // nobody is counting
				}
			}
		}()
	}
	return out
}

// A leader hangs right after it has opened a pulse. Another one takes over and
// ends the rollout; the first one wakes up in the middle of that.
func TestLeaderChangesInTheMiddleOfAPulse(t *testing.T) {
	t.Parallel()
	w := idleWorld(t, cluster.Options{Nodes: 12, Zones: 3})
	w.options.Args = []string{"--leader-elect"}
	w.startController()
	w.policy(quick(soak(0, 3)))
	one := w.pushTag("v1")
	w.follow()
	w.waitProven(one, time.Minute)
	first := w.control
	w.options.Name = "second"
	w.startController()
	second := w.control
	if leads(second) {
		t.Fatal("the second replica leads beside the first")
	}
	r := record(t, w.cluster.Client)

	var commit string
	var frozen time.Time
	w.onGate(func() { commit = w.deliver("v2") }, func() {
		w.must(first.Freeze(), "freeze the leader")
		frozen = time.Now()
	})
	w.until("the second replica leads", time.Minute, func() (bool, string) { return leads(second), "it does not" })
	// The lease lasts 15 s from its last renewal, and is looked at every 2 s.
	if took := time.Since(frozen); took > 30*time.Second {
		t.Errorf("the second replica took over after %s", took)
	}
	w.waitSoaking(r, "half", "v2")
	w.must(first.Thaw(), "thaw the first leader")
	w.until("the first replica stands by or has ended", time.Minute, func() (bool, string) { return !leads(first), "it leads" })
	w.waitProven(commit, 2*time.Minute)

	w.waitTag("v2", w.nodes())
	r.wantHistory(t, w.nodes(), "v1", "v2")
	r.wantWorst(t, 3)
	w.waitUpdated(12)
	w.wantQuiet(3 * time.Second)
}

// leads is whether the replica says that it acts. One that does not answer does
// not lead.
func leads(c *product.Controller) bool {
	client := http.Client{Timeout: 2 * time.Second}
	answer, err := client.Get("http://" + c.Address + "/metrics")
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if value, found := strings.CutPrefix(lines.Text(), "rollcall_leader "); found {
			return value == fmt.Sprint(1)
		}
	}
	return false
}
