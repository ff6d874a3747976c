package rollout_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/health"
)

// A node that takes the name of one that vanished is called by what it is, and not
// passed over for what the other one was.
func TestANameThatIsUsedAgainIsCalled(t *testing.T) {
	p, err := parsePlan(`
fleet nodes=1 groups=1 proven=v1 readyAfter=1 controllerLag=0 cacheLag=0 tolerateAll=false rollingUpdate=false foreign=true
policy maxUnavailable=1 readyFor=0s deadline=25s node=true newPodsCandidate=true
wave name=wave-1 upTo=100%
+0 commit v2
+0 evict n01
+0 commit v2:bad
+2 rejoin n01
`)
	if err != nil {
		t.Fatal(err)
	}
	if err := tell(p, rollout.Decide); err != nil {
		t.Error(err)
	}
}

// seeRollCall holds P10 against every decision, at rest or not: it counts the fleet as
// it is, and names each eligible node without exactly one Ready agent, and each other
// node with one, once. The nodes that failed the candidate are named besides, and a
// node that rollcall gives another agent may have two for a while. Those that the
// candidate wins or loses are its own matter until they have moved.
func (w *witness) seeRollCall(in *rollout.Input, d rollout.Decision) {
	named, failed := map[string]int{}, map[string]int{}
	for _, p := range d.Failing {
		named[p.Node]++
		if p.Reason == "" || p.Message == "" {
			w.miscall("%s is named without a cause: %+v", p.Node, p)
		}
	}
	for _, r := range d.Next.Records {
		if r.Failed != "" {
			failed[r.Node]++ // more than one where nodes have reused the name
		}
	}
	eligible, present, moved := 0, 0, 0
	for i := range in.Fleet {
		n := &in.Fleet[i]
		if n.Lost || n.Won || removing(d.Next) && isLeft(in, n) {
			moved++
			continue
		}
		stay, ready := standing(n)
		well := stay == 0 || n.Virtual && !slices.ContainsFunc(n.Agents, func(a health.Agent) bool { return !a.Terminating && !a.Unbound })
		if n.Eligible {
			eligible++
			well = ready && stay == 1
			if ready {
				present++
			}
		}
		about := func(r rollout.Record) bool { return r.UID == n.UID && r.Failed != "" }
		flying := slices.ContainsFunc(d.Next.InFlight, func(f rollout.InFlight) bool { return f.NodeUID == n.UID })
		called := !well && !slices.ContainsFunc(d.Next.Records, about) && !(flying && stay > 1)
		want := failed[n.Name]
		if called {
			want++
		}
		if named[n.Name] != want && len(d.Failing) < rollout.MaxFailing {
			w.miscall("%s is named %d times instead of %d: eligible %t, ready %t, %+v", n.Name, named[n.Name], want, n.Eligible, n.Ready, n.Agents)
		}
		if called && want == 1 && !flying { // its time is that of its replacement
			w.seeSince(in, n, d.Failing)
		}
	}
	within := func(count, least int) bool { return count >= least && count <= least+moved }
	if c := d.Counts; !within(c.Eligible, eligible) || !within(c.Present, present) || c.Absent != c.Eligible-c.Present {
		w.miscall("%d eligible nodes, %d with a Ready agent, are counted as %+v", eligible, present, c)
	}
}

func (w *witness) miscall(format string, args ...any) {
	w.miscalled = append(w.miscalled, fmt.Sprintf("P10 at %ds: ", w.cluster.Now())+fmt.Sprintf(format, args...))
}

// orRollCall is the error, or else what was wrong with a roll call first.
func (w *witness) orRollCall(err error) error {
	if err == nil && len(w.miscalled) > 0 {
		return errors.New(w.miscalled[0])
	}
	return err
}

// seeSince wants no agent to be missing since before its node was Ready.
func (w *witness) seeSince(in *rollout.Input, n *health.Node, failing []health.Problem) {
	for _, p := range failing {
		if p.Node == n.Name && !p.Since.IsZero() && (p.Since.Before(n.ReadySince) || p.Since.After(in.Now)) {
			w.miscall("%s is named since %s, and is Ready since %s: %+v", n.Name, p.Since, n.ReadySince, p)
		}
	}
}

// standing counts the pods on the node that are to stay and run, or would if they
// were let, and says whether the node is served by the first of them.
func standing(n *health.Node) (stay int, ready bool) {
	first := true
	for _, a := range n.Agents {
		if a.Terminating {
			continue
		}
		if first {
			ready = n.Ready && a.Ready && !a.Gated
		}
		if first || !a.Gated {
			stay++
		}
		first = false
	}
	return stay, ready
}

// skipsNewNodes names no node that has no pod at all.
func skipsNewNodes(in rollout.Input) rollout.Decision {
	d := rollout.Decide(in)
	d.Failing = slices.DeleteFunc(d.Failing, func(p health.Problem) bool { return p.Reason == health.ReasonNoPod })
	return d
}

// callsTwice names the nodes that failed in the roll call too.
func callsTwice(in rollout.Input) rollout.Decision {
	d := rollout.Decide(in)
	for i := range in.Fleet {
		n := &in.Fleet[i]
		if p, wrong := health.RollCall(n); wrong && slices.ContainsFunc(d.Next.Records, func(r rollout.Record) bool { return r.Node == n.Name && r.Failed != "" }) {
			d.Failing = append(d.Failing, p)
		}
	}
	return d
}

// countsPods counts nodes with a pod for such with an agent.
func countsPods(in rollout.Input) rollout.Decision {
	d := rollout.Decide(in)
	for i := range in.Fleet {
		if n := &in.Fleet[i]; n.Eligible && !n.Present() && n.Agent() != nil {
			d.Counts.Present, d.Counts.Absent = d.Counts.Present+1, d.Counts.Absent-1
		}
	}
	return d
}

// timesFromTheNode says of a node that is down that it is so since before it was.
func timesFromTheNode(in rollout.Input) rollout.Decision {
	d := rollout.Decide(in)
	for i := range d.Failing {
		if p := &d.Failing[i]; p.Reason == health.ReasonNodeNotReady && !p.Since.IsZero() {
			p.Since = p.Since.Add(-time.Second)
		}
	}
	return d
}
