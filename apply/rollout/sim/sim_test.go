package sim

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply/rollout"
)

// quiet is a cluster of three nodes on v1 without rollcall.
func quiet(t *testing.T, o Options) *Cluster {
	t.Helper()
	o.Nodes, o.Proven, o.ReadyAfter = 3, "v1", 2
	c := New(o)
	do(t, c, "quit")
	return c
}

func do(t *testing.T, c *Cluster, commands ...string) {
	t.Helper()
	for _, command := range commands {
		if err := c.Do(command); err != nil {
			t.Fatal(err)
		}
	}
}

func ticks(c *Cluster, n int) {
	for range n {
		c.Tick()
	}
}

// agents are the pods of a node, as "digest", with a mark for each state that
// is not Ready.
func agents(c *Cluster, name string) []string {
	var out []string
	for _, p := range c.node(name).pods {
		s := p.made.digest
		switch {
		case p.terminating:
			s += " terminating"
		case p.gated:
			s += " gated"
		case !p.ready:
			s += " starting"
		}
		out = append(out, s)
	}
	return out
}

func expect(t *testing.T, c *Cluster, name string, want ...string) {
	t.Helper()
	got := agents(c, name)
	if len(got) != len(want) {
		t.Fatalf("at %ds %s has %q, want %q", c.Now(), name, got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("at %ds %s has %q, want %q", c.Now(), name, got, want)
		}
	}
}

func TestAMissingPodIsMadeFromTheTemplateAsItIs(t *testing.T) {
	c := quiet(t, Options{})
	do(t, c, "set-image v2", "evict n01")
	ticks(c, 8)
	expect(t, c, "n01", "v2")
	expect(t, c, "n02", "v1")
}

func TestATerminatingPodKeepsItsNodeOccupied(t *testing.T) {
	c := quiet(t, Options{})
	do(t, c, "drain n01 10", "evict n01")
	ticks(c, 9)
	expect(t, c, "n01", "v1 terminating")
	ticks(c, 8)
	expect(t, c, "n01", "v1")
}

func TestAGatedPodNeverRuns(t *testing.T) {
	c := quiet(t, Options{})
	c.write(spec{template: template{digest: "v2", gated: true}, onDelete: true}, Fact{By: Adversary})
	do(t, c, "evict n01")
	ticks(c, 300)
	expect(t, c, "n01", "v2 gated")
}

func TestAFailedPodIsMadeAnew(t *testing.T) {
	c := quiet(t, Options{})
	before := c.node("n01").pods[0].uid
	do(t, c, "fail n01")
	ticks(c, 8)
	expect(t, c, "n01", "v1")
	if c.node("n01").pods[0].uid == before {
		t.Error("it is the same pod")
	}
}

func TestATaintedNodeKeepsItsPodButGetsNoOther(t *testing.T) {
	c := quiet(t, Options{})
	do(t, c, "announce n01")
	ticks(c, 8)
	expect(t, c, "n01", "v1")
	do(t, c, "evict n01")
	ticks(c, 8)
	expect(t, c, "n01")
}

func TestADeadNodeEndsNothing(t *testing.T) {
	c := quiet(t, Options{})
	do(t, c, "down n01", "evict n01")
	ticks(c, 100)
	expect(t, c, "n01", "v1 terminating")
	do(t, c, "up n01")
	ticks(c, 8)
	expect(t, c, "n01", "v1")
}

func TestTheControllerActsOnAnOldTemplateUntilItSaysThatItHasSeenTheNew(t *testing.T) {
	c := quiet(t, Options{ControllerLag: 5})
	ticks(c, 10)
	do(t, c, "set-image v2", "evict n01")
	for !c.daemonSet.observed() {
		expect(t, c, "n02", "v1")
		c.Tick()
	}
	expect(t, c, "n01", "v1")
	do(t, c, "evict n01")
	ticks(c, 8)
	expect(t, c, "n01", "v2")
}

func TestRollingUpdateTakesEveryUnavailableOldPodAtOnce(t *testing.T) {
	c := quiet(t, Options{})
	for _, name := range []string{"n01", "n02"} {
		c.node(name).pods[0].crash(c)
	}
	do(t, c, "set-image v2", "rolling-update")
	ticks(c, 2)
	expect(t, c, "n01", "v2 starting")
	expect(t, c, "n02", "v2 starting")
	expect(t, c, "n03", "v1")
	ticks(c, 20)
	expect(t, c, "n03", "v2")
}

func TestTheGateMakesAnotherRevisionOfTheSameVersion(t *testing.T) {
	plain, gated := template{digest: "v2"}, template{digest: "v2", gated: true}
	if plain.revision() == gated.revision() || versionOf(plain.revision()) != versionOf(gated.revision()) {
		t.Errorf("revisions %q and %q", plain.revision(), gated.revision())
	}
}

func TestFaultsMayBeLimitedToAGroup(t *testing.T) {
	if got := faultOn("v2:bad@b", []string{"a"}); got != "" {
		t.Errorf("group a has fault %q", got)
	}
	if got := faultOn("v2:bad@b", []string{"b"}); got != faultBad {
		t.Errorf("group b has fault %q", got)
	}
}

func TestAStaleRecordFailsUnlessThereIsNothingToWrite(t *testing.T) {
	var s store
	stale := s.read()
	next := rollout.State{Wave: 1, InFlight: []rollout.InFlight{{Node: "n01", NodeUID: "u", PodUID: "p"}}}
	if !s.writeStatus(s.read(), next) {
		t.Fatal("the first write failed")
	}
	if s.writeStatus(stale, rollout.State{Wave: 2}) {
		t.Error("a stale leader has written")
	}
	if !s.writeStatus(stale, stale.state) || s.status.Wave != 1 {
		t.Error("a stale leader with nothing to write was stopped, or has written")
	}
}

func TestAProcessThatDiesInAPassForgetsItAndListsAnew(t *testing.T) {
	var died, wrote int
	c := New(Options{Nodes: 1, Proven: "v1", ReadyAfter: 1, CacheLag: 100,
		Policy: rollout.Policy{Waves: []rollout.Wave{{Name: "all"}}},
		Trace: func(f Fact) {
			if f.Event == Died {
				died++
			}
			if f.Event == Wrote {
				wrote++
			}
		}})
	do(t, c, "crash 4 3", "commit v2") // read, decide, record, record; the write of the template is lost
	ticks(c, 3)
	if died != 0 || wrote != 0 {
		t.Fatalf("died %d, wrote %d", died, wrote)
	}
	ticks(c, 2)
	if died != 1 || wrote != 1 {
		t.Errorf("died %d, wrote %d", died, wrote)
	}
}

func TestUnknownCommandsAreErrors(t *testing.T) {
	if err := New(Options{}).Do("dance n01"); err == nil {
		t.Error("no error")
	}
}

func TestTheFleetShowsWhatReallyRuns(t *testing.T) {
	c := quiet(t, Options{})
	c.node("n02").pods[0].revision = "v9"
	for _, n := range c.Fleet() {
		if a := n.Agent(); a.Digest != "v1" || n.Pod(types.UID("none")) != nil {
			t.Errorf("%s runs %q", n.Name, a.Digest)
		}
	}
}
