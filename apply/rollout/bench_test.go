package rollout_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/rollcall-dev/rollcall/apply/rollout"
)

// BenchmarkDecide is to take no more than 20 ms at 15,000 nodes, whatever is
// decided, and as many ns for each node of a large fleet as of a small one.
func BenchmarkDecide(b *testing.B) {
	for _, m := range moments() {
		for _, nodes := range []int{100, 1000, 15000} {
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

// TestDecideTakesLinearMemory guards the fleet size that rollcall is built for by
// what does not depend on the machine: fifteen times the nodes take fifteen times
// the memory, whatever is decided, or half as much again since long slices grow in
// smaller steps.
func TestDecideTakesLinearMemory(t *testing.T) {
	const small, large uint64 = 1000, 15000
	for _, m := range moments() {
		t.Run(m.name, func(t *testing.T) {
			allocations, bytes := taken(m.input(int(small)))
			moreAllocations, moreBytes := taken(m.input(int(large)))
			if most := large / small * 3 / 2; moreAllocations > most*allocations || moreBytes > most*bytes {
				t.Errorf("%d nodes take %d allocations of %d bytes, %d take %d of %d", small, allocations, bytes, large, moreAllocations, moreBytes)
			}
		})
	}
}

// taken is what one decision takes.
func taken(in rollout.Input) (allocations, bytes uint64) {
	const runs = 3
	var before, after runtime.MemStats
	rollout.Decide(in)
	runtime.ReadMemStats(&before)
	for range runs {
		rollout.Decide(in)
	}
	runtime.ReadMemStats(&after)
	return (after.Mallocs - before.Mallocs) / runs, (after.TotalAlloc - before.TotalAlloc) / runs
}
