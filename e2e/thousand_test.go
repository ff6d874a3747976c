package e2e

import (
	"os"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/rollcall-dev/rollcall/e2e/cluster"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// nightly skips what is too long for every commit: make e2e NIGHTLY=1 has it.
func nightly(t *testing.T) {
	t.Helper()
	if os.Getenv("ROLLCALL_NIGHTLY") == "" {
		t.Skip("make e2e NIGHTLY=1 runs it")
	}
}

// tenths is a policy of one canary, a tenth, and all, a tenth of the nodes at once.
func tenths(p *v1alpha1.RolloutPolicySpec) {
	tenth := intstr.FromString("10%")
	p.MaxUnavailable = &tenth
	p.Waves = []v1alpha1.Wave{
		{Name: "canary", UpTo: intstr.FromInt32(1)},
		{Name: "tenth", UpTo: tenth},
		{Name: "rest", UpTo: intstr.FromString("100%")},
	}
	// Kubernetes itself takes its time with so many pods.
	p.Health.Deadline = metav1.Duration{Duration: 2 * time.Minute}
}

// TestThousandNodes takes a good commit over 1,000 nodes, and a bad one to one of
// them. It has the machine for itself.
func TestThousandNodes(t *testing.T) {
	nightly(t)
	const nodes = 1000
	began := time.Now()
	w := newWorldWith(t, cluster.Options{Nodes: nodes, Zones: 3, Audit: true})
	w.policy(quick(tenths))
	first := w.pushTag("v1")
	w.follow()
	w.waitProven(first, 10*time.Minute)
	t.Logf("the cluster and its first install took %s", time.Since(began).Round(time.Second))

	w.act(t, "a good commit", func(t *testing.T) {
		r, before, writes, began := record(t, w.cluster.Client), w.usage(), w.writes(), time.Now()
		w.waitProven(w.deliver("v2"), 15*time.Minute)
		took, after := time.Since(began), w.usage()
		t.Logf("%d nodes in %s, %.2f writes for each, %.1f s of CPU, at most %d MiB resident", nodes, took.Round(time.Second),
			float64(w.writes()["rollcall"]-writes["rollcall"])/nodes, (after.CPU - before.CPU).Seconds(), after.MostResident>>20)
		if got := w.tags(); got["v2"] != nodes || len(got) != 1 {
			t.Errorf("pods by tag: %v, want %d of v2", got, nodes)
		}
		r.wantHistory(t, w.nodes(), "v1", "v2")
		r.wantWorst(t, nodes/10)
		w.waitUpdated(nodes)
	})
	w.act(t, "a bad commit", func(t *testing.T) {
		r, before, began := record(t, w.cluster.Client), w.uids(), time.Now()
		w.waitRejected(w.deliver("bad"), 2*time.Minute)
		t.Logf("rejected after %s", time.Since(began).Round(time.Second))
		hurt := r.nodesOf("bad")
		if len(hurt) != 1 {
			t.Errorf("bad ran on %v, want one canary", hurt)
		}
		r.wantHistory(t, hurt, "v2", "bad", "v2")
		for _, n := range hurt {
			delete(before, n)
		}
		w.wantSame(before)
		r.wantWorst(t, 1)
	})
}
