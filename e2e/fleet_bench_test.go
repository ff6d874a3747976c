package e2e

import (
	"os"
	"strconv"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/rollcall-dev/rollcall/e2e/cluster"
	"github.com/rollcall-dev/rollcall/e2e/product"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// BenchmarkFleet measures what a healthy change of a large fleet costs: memory and
// CPU of the controller's process, and writes. The budget is a tenth of the nodes.
// ROLLCALL_BENCH_NODES is how many there are; 1,000 otherwise.
func BenchmarkFleet(b *testing.B) {
	nodes := 1000
	if n, err := strconv.Atoi(os.Getenv("ROLLCALL_BENCH_NODES")); err == nil {
		nodes = n
	}
	w := newWorldWith(b, cluster.Options{Nodes: nodes, Zones: 3, Audit: true})
	tenth := intstr.FromString("10%")
	w.policy(quick(func(p *v1alpha1.RolloutPolicySpec) {
		p.MaxUnavailable = &tenth
		p.Health.Deadline = metav1.Duration{Duration: 5 * time.Minute}
	}))
	first := w.pushTag("v0")
	w.follow()
	w.waitProven(first, 15*time.Minute)
	b.ReportMetric(float64(w.usage().Resident)/(1<<20), "MiB-before")
	for i := range b.N {
		before, writes := w.usage(), w.writes()
		w.waitProven(w.deliver("v"+stamp(b, i)), 15*time.Minute)
		after := w.usage()
		b.ReportMetric((after.CPU-before.CPU).Seconds()*1000/float64(nodes), "CPU-s/1000nodes")
		b.ReportMetric(float64(after.Resident)/(1<<20), "MiB-after")
		b.ReportMetric(float64(after.MostResident)/(1<<20), "MiB-most")
		b.ReportMetric(float64(w.writes()["rollcall"]-writes["rollcall"])/float64(nodes), "writes/node")
	}
}

func (w *world) usage() product.Usage {
	w.t.Helper()
	u, err := w.control.Usage()
	w.must(err, "read usage")
	return u
}
