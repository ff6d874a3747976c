package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/rollcall-dev/rollcall/e2e/cluster"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// zoneByZone is a policy of a canary in each zone, and then one zone after the
// other.
func zoneByZone(p *v1alpha1.RolloutPolicySpec) {
	seconds := func(n int) metav1.Duration { return metav1.Duration{Duration: time.Duration(n) * time.Second} }
	five := intstr.FromInt32(5)
	p.MaxUnavailable = &five
	p.Waves = []v1alpha1.Wave{
		{Name: "canary", UpTo: intstr.FromInt32(1), EachGroup: true, Soak: seconds(2)},
		{Name: "rest", UpTo: intstr.FromString("100%"), OneGroupAtATime: true, Soak: seconds(2)},
	}
}

// approved lets the last wave wait for approval.
func approved(p *v1alpha1.RolloutPolicySpec) { p.Waves[len(p.Waves)-1].Approval = true }

// selecting has a first wave of the nodes with that label.
func selecting(pool string, allowEmpty bool) func(*v1alpha1.RolloutPolicySpec) {
	return func(p *v1alpha1.RolloutPolicySpec) {
		p.Waves[0].EachGroup = false
		p.Waves[0].UpTo = intstr.FromString("100%")
		p.Waves[0].Select = &metav1.LabelSelector{MatchLabels: map[string]string{"pool": pool}}
		p.Waves[0].AllowEmpty = allowEmpty
	}
}

// TestZoneByZone has waves that choose their nodes by zone and by label, and wait
// for a person.
func TestZoneByZone(t *testing.T) {
	t.Parallel()
	w := idleWorld(t, cluster.Options{Nodes: 60, Zones: 3})
	const own = "node-7"
	w.options.Args = []string{"--node-name=" + own}
	w.startController()
	w.policy(quick(zoneByZone))
	first := w.pushTag("v1")
	w.follow()
	w.waitProven(first, 2*time.Minute)
	zones := w.zones()

	w.act(t, "a canary in each zone, then one zone after the other, and rollcall's own node last", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		commit := w.deliver("v2")
		canaries := w.waitSoaking(r, "canary", "v2")
		var of []string
		for _, n := range canaries {
			of = append(of, zones[n])
		}
		slices.Sort(of)
		if len(slices.Compact(of)) != 3 || len(canaries) != 3 || slices.Contains(canaries, own) {
			t.Errorf("canaries are %v in zones %v, want one of each, and not %s", canaries, of, own)
		}
		w.waitProven(commit, 3*time.Minute)
		r.wantWorst(t, 5)
		r.wantZoneByZone(t, "v2", zones, append(canaries, own))
		if order := r.order("v2"); len(order) != 60 || order[59] != own {
			t.Errorf("%d nodes run v2, the last is %s, want %s", len(order), order[len(order)-1], own)
		}
	})
	w.act(t, "a wave that selects what no node is labelled with holds, until one is", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		w.changePolicy(quick(zoneByZone, selecting("canary", false)))
		before := w.uids()
		commit := w.deliver("v3")
		n := w.waitReason(v1alpha1.PhaseHeld, "NoCanary")
		if !strings.Contains(n.Status.Message, "pool=canary matches none of 60 eligible nodes") {
			t.Errorf("message %q does not say what was looked for", n.Status.Message)
		}
		w.wantQuiet(2 * time.Second)
		w.wantSame(before)
		w.patchNode("node-3", `{"metadata":{"labels":{"pool":"canary"}}}`)
		if got := w.waitSoaking(r, "canary", "v3"); !slices.Equal(got, []string{"node-3"}) {
			t.Errorf("canaries are %v, want node-3", got)
		}
		w.waitProven(commit, 3*time.Minute)
	})
	w.act(t, "a wave that may be empty is passed, and the next one waits for approval", func(t *testing.T) {
		w.changePolicy(quick(zoneByZone, selecting("nothing", true), approved))
		before := w.uids()
		commit := w.deliver("v4")
		n := w.waitReason(v1alpha1.PhaseHeld, "ApprovalRequired")
		command := "rollcall approve default/" + agent + " --wave rest"
		if !strings.Contains(n.Status.Message, command) || n.Status.AwaitsApproval != "rest" {
			t.Errorf("it awaits approval of %q, and the message %q does not say %q", n.Status.AwaitsApproval, n.Status.Message, command)
		}
		w.patchRollout(`{"approved":{"digest":"` + n.Status.Proven.Digest + `"}}`)
		w.wantQuiet(2 * time.Second)
		w.wantSame(before)
		if code, said := w.run("approve", "default/"+agent, "--wave", "canary"); code == 0 || !strings.Contains(said, "wave rest waits for approval") {
			t.Errorf("approved another wave: %d %s", code, said)
		}
		if code, said := w.run("approve", "default/"+agent, "--wave", "rest"); code != 0 {
			t.Fatalf("approve: %d %s", code, said)
		}
		w.waitProven(commit, 3*time.Minute)
		if code, said := w.run("approve", "default/"+agent); code == 0 || !strings.Contains(said, "nothing waits for approval") {
			t.Errorf("approved nothing: %d %s", code, said)
		}
	})
}

// zones are those of the nodes.
func (w *world) zones() map[string]string {
	w.t.Helper()
	list, err := w.cluster.Client.CoreV1().Nodes().List(w.t.Context(), metav1.ListOptions{})
	w.must(err, "list nodes")
	out := map[string]string{}
	for _, n := range list.Items {
		out[n.Name] = n.Labels[corev1.LabelTopologyZone]
	}
	return out
}

// wantZoneByZone fails when a node of one zone was given the tag before every node
// of the zone before was Ready with it. Those that are excepted have other rules.
func (r *recorder) wantZoneByZone(t *testing.T, tag string, zones map[string]string, except []string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	begun, done := map[string]time.Time{}, map[string]time.Time{}
	for node, runs := range r.runs {
		for _, x := range runs {
			zone := zones[node]
			if x.tag != tag || slices.Contains(except, node) {
				continue
			}
			if begun[zone].IsZero() || x.bound.Before(begun[zone]) {
				begun[zone] = x.bound
			}
			if x.ready.After(done[zone]) {
				done[zone] = x.ready
			}
		}
	}
	var order []string
	for zone := range begun {
		order = append(order, zone)
	}
	slices.SortFunc(order, func(a, b string) int { return begun[a].Compare(begun[b]) })
	if len(order) != 3 {
		t.Errorf("%s began in zones %v, want 3", tag, order)
	}
	for i := 1; i < len(order); i++ {
		if before, after := order[i-1], order[i]; begun[after].Before(done[before].Add(2 * time.Second)) {
			t.Errorf("zone %s began at %s, and zone %s was complete at %s and soaks for 2s", after, begun[after].Format(time.StampMilli), before, done[before].Format(time.StampMilli))
		}
	}
}
