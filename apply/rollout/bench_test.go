package rollout_test

import (
	"fmt"
	"testing"

	"github.com/rollcall-dev/rollcall/apply/rollout"
)

// BenchmarkDecide is to take no more than 20 ms at 15,000 nodes, whatever is
// decided, and as many ns for each node of a large fleet as of a small one.
func BenchmarkDecide(b *testing.B) {
	for _, m := range moments() {
		for _, nodes := range []int{100, small, large} {
			in := m.input(nodes)
			b.Run(fmt.Sprintf("%s/nodes=%d", m.name, nodes), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					rollout.Decide(in)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(nodes), "ns/node")
			})
		}
	}
}
