package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/rollcall-dev/rollcall/e2e/cluster"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// A rollout costs two writes for each replaced node, the pod that is deleted and
// the gate that is opened, and few for each pulse, whatever they are of. A pulse waits
// until half of the budget is free: of a budget of a quarter there are at most 11, and
// all writes are at most three for each node, however far apart a busy machine has
// the nodes become available.
func TestWritesOfARollout(t *testing.T) {
	t.Parallel()
	const nodes = 100
	w := newWorldWith(t, cluster.Options{Nodes: nodes, Zones: 3, Audit: true})
	quarter := intstr.FromString("25%")
	w.policy(quick(func(p *v1alpha1.RolloutPolicySpec) { p.MaxUnavailable = &quarter }))
	first := w.pushTag("v1")
	w.follow()
	w.waitProven(first, 2*time.Minute)

	before := w.ownWrites()
	w.waitProven(w.deliver("v2"), 5*time.Minute)
	w.eventually("kubectl shows every node up to date", time.Minute, func() (bool, error) {
		return w.daemonSet().Status.UpdatedNumberScheduled == nodes, nil
	})
	all := 0
	var list strings.Builder
	after := w.ownWrites()
	for _, what := range slices.Sorted(maps.Keys(after)) {
		n := after[what] - before[what]
		all += n
		fmt.Fprintf(&list, "\n%5d %s", n, what)
	}
	t.Logf("%d nodes, %d writes, %.2f for each node:%s", nodes, all, float64(all)/nodes, &list)
	if all > 3*nodes {
		t.Errorf("%d writes for %d replaced nodes, at most three for each", all, nodes)
	}
	pulses := (after["patch daemonsets"] - before["patch daemonsets"]) / 2
	pods := after["delete pods"] - before["delete pods"] + after["patch pods"] - before["patch pods"] // strays among them
	if most := pods + 8*pulses + 30; all > most {
		t.Errorf("%d writes, %d of them to pods, in %d pulses, at most %d", all, pods, pulses, most)
	}
}

// ownWrites counts rollcall's writes since the cluster began, by what they are of.
func (w *world) ownWrites() map[string]int {
	w.t.Helper()
	out := map[string]int{}
	w.auditEvents(func(e *auditv1.Event) {
		if !changes(e) || writer(e) != "rollcall" {
			return
		}
		what := e.Verb + " " + e.ObjectRef.Resource
		if e.ObjectRef.Subresource != "" {
			what += "/" + e.ObjectRef.Subresource
		}
		out[what]++
	})
	return out
}
