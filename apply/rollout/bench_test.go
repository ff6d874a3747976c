package rollout_test

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/health"
)

// BenchmarkDecide decides in the middle of a rollout with 10% in flight: half
// of the fleet is healthy on the candidate, the next batch is due.
func BenchmarkDecide(b *testing.B) {
	for _, nodes := range []int{100, 1000, 15000} {
		in := midRollout(nodes)
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				rollout.Decide(in)
			}
		})
	}
}

// TestDecideIsLinear guards the fleet size that rollcall is built for by what
// does not depend on the machine: ten times the nodes take ten times the memory.
func TestDecideIsLinear(t *testing.T) {
	allocations := func(nodes int) float64 {
		in := midRollout(nodes)
		return testing.AllocsPerRun(3, func() { rollout.Decide(in) })
	}
	if small, large := allocations(1500), allocations(15000); large > 12*small {
		t.Errorf("1,500 nodes take %.0f allocations, 15,000 take %.0f", small, large)
	}
}

func midRollout(nodes int) rollout.Input {
	now := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	in := rollout.Input{
		Now:  now,
		Want: &rollout.Version{Digest: "v2"},
		Live: rollout.Live{Digest: "v1", OnDelete: true, Observed: true, Revision: "v1"},
		Policy: rollout.Policy{
			Waves:          []rollout.Wave{{Name: "canary", UpTo: intstr.FromInt32(1)}, {Name: "rest", UpTo: intstr.FromString("100%")}},
			MaxUnavailable: intstr.FromString("20%"),
			Health:         health.Rule{ReadyFor: 30 * time.Second, Deadline: 10 * time.Minute, Node: true},
		},
		State: rollout.State{Proven: &rollout.Version{Digest: "v1"}, Candidate: &rollout.Version{Digest: "v2"}, Wave: 1, WaveStarted: now.Add(-time.Hour)},
	}
	for i := range nodes {
		name, uid := fmt.Sprintf("node-%05d", i), types.UID(fmt.Sprintf("uid-%d", i))
		a := health.Agent{Name: "agent-" + name, UID: "pod-" + uid, Digest: "v1", Revision: "v1", Created: now.Add(-24 * time.Hour), Ready: true, ReadySince: now.Add(-24 * time.Hour)}
		r := rollout.Record{Node: name, UID: uid, Wave: min(i, 1)}
		switch {
		case i%2 == 0:
			a.Digest, a.Revision, a.ReadySince = "v2", "v2+gate", now.Add(-time.Minute)
			r.Touched = now.Add(-2 * time.Minute)
		case i%10 == 1:
			a.Digest, a.Revision, a.Ready, a.ReadySince = "v2", "v2+gate", false, time.Time{}
			r.Touched = now.Add(-10 * time.Second)
			in.State.InFlight = append(in.State.InFlight, rollout.InFlight{Node: name, NodeUID: uid, PodUID: "old-" + uid, At: r.Touched})
		}
		in.Fleet = append(in.Fleet, health.Node{Name: name, UID: uid, Groups: []string{fmt.Sprintf("zone-%d", i%3)}, Created: now.Add(-time.Hour),
			Ready: true, ReadySince: now.Add(-24 * time.Hour), Eligible: true, Schedulable: true, Agents: []health.Agent{a}})
		in.State.Records = append(in.State.Records, r)
	}
	return in
}
