package sim

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/health"
)

// twoWaves has a canary, and all others at once.
func twoWaves() rollout.Policy {
	return rollout.Policy{
		Waves:          []rollout.Wave{{Name: "canary", UpTo: intstr.FromInt32(1)}, {Name: "rest", UpTo: intstr.FromString("100%")}},
		MaxUnavailable: intstr.FromString("100%"),
		Health:         health.Rule{ReadyFor: 60 * time.Second, Deadline: 10 * time.Minute, Node: true},
	}
}

// worst is the largest of every count until nothing happens any more.
func worst(c *Cluster) Census {
	var out Census
	for next := c.Next(); next != Never; next = c.Next() {
		c.SkipTo(next)
		c.Tick()
		now := c.Count()
		out = Census{now.Nodes, max(out.Candidate, now.Candidate), max(out.Unavailable, now.Unavailable), max(out.Hurt, now.Hurt)}
	}
	return out
}

func TestCensus(t *testing.T) {
	every := func(fault string) map[string]string {
		return map[string]string{"n01": fault, "n02": fault, "n03": fault, "n04": fault}
	}
	for name, c := range map[string]struct {
		faults map[string]string
		want   Census
	}{
		"a healthy version hurts nobody":                      {nil, Census{4, 4, 3, 0}},
		"nor does one that is slow":                           {every("slow"), Census{4, 4, 3, 0}},
		"one that crashes hurts its canary":                   {every("bad"), Census{4, 1, 1, 1}},
		"so does one that is never Ready":                     {every("stuck"), Census{4, 1, 1, 1}},
		"so does one that fails after it was Ready":           {every("flaky"), Census{4, 1, 1, 1}},
		"so does one that fails later":                        {every("late"), Census{4, 1, 1, 1}},
		"so does one that takes its node with it":             {every("killer"), Census{4, 1, 1, 1}},
		"a fault is that of its node, and others stay unhurt": {map[string]string{"n02": "flaky"}, Census{4, 4, 4, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := New(Options{Nodes: 4, Proven: "v1", ReadyAfter: 2, Policy: twoWaves(), Faults: c.faults})
			do(t, cluster, "commit v2")
			if diff := cmp.Diff(c.want, worst(cluster)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAnEvictionIsNotOfRollcallsMaking(t *testing.T) {
	c := quiet(t, Options{})
	do(t, c, "evict n01")
	if got := worst(c); got.Unavailable != 0 || got.Hurt != 0 {
		t.Errorf("%+v", got)
	}
}

func TestAFleetStartsAsItIsGiven(t *testing.T) {
	c := New(Options{Proven: "v1", ReadyAfter: 2, Policy: twoWaves(), Start: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC), Fleet: []health.Node{
		{Name: "b", Ready: true, Eligible: true, Groups: []string{"eu", "arm64"}},
		{Name: "a", Eligible: true},
		{Name: "c", Ready: true, Eligible: true, Cordoned: true, Leaving: true},
		{Name: "d", Ready: true, Eligible: true, Held: true},
		{Name: "e", Ready: true, Eligible: true, Leaving: true},
		{Name: "f", Ready: true},
	}})
	var got []string
	for _, n := range c.Fleet() {
		line := n.Name
		if n.Ready {
			line += " ready"
		}
		if n.Cordoned {
			line += " cordoned"
		}
		if n.Leaving {
			line += " leaving"
		}
		if n.Held {
			line += " held"
		}
		if !n.Eligible {
			line += " excluded"
		}
		if len(n.Agents) > 0 {
			line += " agent"
		}
		got = append(got, line)
	}
	want := []string{"a agent", "b ready agent", "c ready cordoned leaving agent", "d ready held agent", "e ready leaving", "f ready excluded"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := c.Fleet()[1]; n.Groups[1] != "arm64" || n.Created.Year() != 2026 {
		t.Errorf("%+v", n)
	}
}
