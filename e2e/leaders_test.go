package e2e

import (
	"os"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/rollcall-dev/rollcall/e2e/product"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// Two processes both lead for 15 s and longer, as after a lease that did not
// hold: each sees and does what the other one does. No node is replaced twice, no
// more are unavailable, and the end is the same.
func TestTwoLeaders15s(t *testing.T) {
	t.Parallel()
	w := settled(t, 14, quick(soak(0, 7), soak(1, 3), func(p *v1alpha1.RolloutPolicySpec) {
		two := intstr.FromInt32(2)
		p.MaxUnavailable = &two
	}))
	first := w.control
	w.options.Name = "second"
	w.startController()
	second := w.control
	if !leads(first) || !leads(second) {
		t.Fatal("one of the two does not lead")
	}

	w.act(t, "a good commit", func(t *testing.T) {
		r, began := record(t, w.cluster.Client), time.Now()
		before := []int{w.deeds(first), w.deeds(second)}
		w.waitProven(w.deliver("v2"), time.Minute)
		if took := time.Since(began); took < 15*time.Second {
			t.Errorf("the rollout took %s, want 15s of two leaders", took)
		}
		w.waitTag("v2", w.nodes())
		r.wantHistory(t, w.nodes(), "v1", "v2")
		r.wantWorst(t, 2)
		w.waitUpdated(14)
		w.wantQuiet(2 * time.Second)
		for i, c := range []*product.Controller{first, second} {
			deeds := w.deeds(c) - before[i]
			if t.Logf("%s did %d things", c.Log, deeds); deeds == 0 {
				t.Errorf("%s did nothing", c.Log)
			}
		}
	})
	w.act(t, "a bad commit", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		w.waitRejected(w.deliver("flaky"), time.Minute)
		w.waitTag("v2", w.nodes())
		r.wantRadius(t, "flaky")
		hurt := r.nodesOf("flaky")
		r.wantHistory(t, hurt, "v2", "flaky", "v2")
		r.wantHistory(t, but(w.nodes(), hurt...), "v2")
		r.wantWorst(t, 2)
		w.wantQuiet(2 * time.Second)
	})
}

// deeds counts what the process has begun to do to the DaemonSet and its pods, by
// its log.
func (w *world) deeds(c *product.Controller) int {
	w.t.Helper()
	text, err := os.ReadFile(c.Log)
	w.must(err, "read log of rollcall")
	count := 0
	for _, deed := range []string{"write template", "delete pod", "open gate"} {
		count += strings.Count(string(text), `msg="`+deed+`"`)
	}
	return count
}
