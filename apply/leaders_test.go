package apply

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/health"
)

// clusterOf is a cluster in which several DaemonSets move at once, with as many
// processes that believe to lead. Each call to the API server is a step of its own,
// so that any process may be overtaken between two of them.
type clusterOf struct {
	now  time.Time
	sets map[types.NamespacedName]*moving
	// without are by node the DaemonSets whose agent rollcall took away.
	without map[string]map[types.NamespacedName]bool
	made    int
	broken  string
	// unchecked processes do not ask whether they are alone.
	unchecked bool
}

// moving is one DaemonSet as the API server has it.
type moving struct {
	state           rollout.State
	live            rollout.Live
	version, liveAt int
	fleet           []health.Node
}

// worker is one process's call for one DaemonSet.
type worker struct {
	r               *Rollouts
	key             types.NamespacedName
	stage, next     int
	view            *view
	decision        rollout.Decision
	version, liveAt int
}

func newClusterOf(keys ...types.NamespacedName) *clusterOf {
	c := &clusterOf{now: noon, sets: map[types.NamespacedName]*moving{}, without: map[string]map[types.NamespacedName]bool{"n1": {}, "n2": {}, "n3": {}}}
	for _, key := range keys {
		v := sharing(key, noon)
		c.sets[key] = &moving{state: v.input.State, live: v.input.Live, fleet: v.input.Fleet}
	}
	return c
}

// start is a new process: it knows what is recorded.
func (c *clusterOf) start() *Rollouts {
	r := &Rollouts{}
	for key, m := range c.sets {
		r.ledger.take(key, m.state, c.now)
	}
	return r
}

// step makes the next call, and is false after the last.
func (w *worker) step(c *clusterOf) bool {
	m := c.sets[w.key]
	w.stage++
	switch w.stage {
	case 1:
		w.view = sharing(w.key, c.now)
		w.view.input.Policy.Health.Deadline = time.Hour
		w.view.input.State, w.view.input.Live, w.view.input.Fleet = m.state, m.live, c.copyFleet(m)
		w.version, w.liveAt = m.version, m.liveAt
		w.decision = w.r.decide(w.view)
	case 2:
		if w.version != m.version {
			return false
		}
		m.state = w.decision.Next
		m.version++
		w.r.ledger.release(w.key, m.state, c.now)
	case 3:
		return c.unchecked || c.alone(w)
	default:
		if w.next == len(w.decision.Steps) || c.now.Sub(w.view.input.Now) > rollout.Fresh {
			return false
		}
		w.next++
		return c.do(w, m, w.decision.Steps[w.next-1])
	}
	return true
}

func (c *clusterOf) copyFleet(m *moving) []health.Node {
	out := slices.Clone(m.fleet)
	for i := range out {
		out[i].Agents = slices.Clone(out[i].Agents)
	}
	return out
}

func (c *clusterOf) alone(w *worker) bool {
	if !opens(w.decision) {
		return true
	}
	mine := taken(w.decision, w.view.input.Now)
	for key, m := range c.sets {
		if key != w.key && w.r.ledger.collision(key, m.state, mine, c.now) != "" {
			return false
		}
	}
	return true
}

func (c *clusterOf) do(w *worker, m *moving, s rollout.Step) bool {
	i := slices.IndexFunc(m.fleet, func(n health.Node) bool { return n.Name == s.Node })
	switch s.Action {
	case rollout.WriteTemplate:
		if w.liveAt != m.liveAt {
			return false
		}
		m.live.Digest, m.live.Gated = s.Digest, s.Gated
		m.liveAt++
	case rollout.DeletePod:
		if n := &m.fleet[i]; n.Pod(s.PodUID) != nil {
			c.take(w.key, n, s)
			c.made++
			n.Agents = []health.Agent{{Name: "next", UID: types.UID(fmt.Sprint("next-", c.made)), Digest: m.live.Digest, Gated: m.live.Gated, Ready: !m.live.Gated, Created: c.now, ReadySince: c.now}}
			c.serve(w.key, n)
		}
	case rollout.OpenGate:
		if a := m.fleet[i].Pod(s.PodUID); a != nil && a.Gated {
			a.Gated, a.Ready, a.ReadySince = false, true, c.now
			c.serve(w.key, &m.fleet[i])
		}
	case rollout.SetOnDelete, rollout.NameRevision, rollout.Relabel:
	}
	return true
}

// take holds that nobody else has taken an agent of the node.
func (c *clusterOf) take(key types.NamespacedName, n *health.Node, s rollout.Step) {
	for other := range c.without[n.Name] {
		if other != key && n.Present() && c.broken == "" {
			c.broken = fmt.Sprintf("%s loses its agent of %s (%s) while it is without that of %s", n.Name, key, s.Why, other)
		}
	}
	c.without[n.Name][key] = true
}

func (c *clusterOf) serve(key types.NamespacedName, n *health.Node) {
	if n.Present() {
		delete(c.without[n.Name], key)
	}
}

// play lets processes make their calls in the order in which they are drawn, and
// then one of them alone until nothing moves.
func play(t *rapid.T, unchecked bool) error {
	keys := []types.NamespacedName{cni, dns, logs}[:rapid.IntRange(2, 3).Draw(t, "daemonSets")]
	c := newClusterOf(keys...)
	c.unchecked = unchecked
	leaders := []*Rollouts{c.start(), c.start()}
	var workers []*worker
	for _, r := range leaders {
		for _, key := range keys {
			workers = append(workers, &worker{r: r, key: key})
		}
	}
	i := 0
	for range rapid.IntRange(10, 150).Draw(t, "calls") {
		if rapid.IntRange(0, 2).Draw(t, "another") == 0 {
			i = rapid.IntRange(0, len(workers)-1).Draw(t, "who")
		}
		w := workers[i]
		switch rapid.IntRange(0, 19).Draw(t, "what") {
		case 0:
			c.now = c.now.Add(time.Duration(rapid.IntRange(1, 15).Draw(t, "seconds")) * time.Second)
		case 1:
			workers[i] = &worker{r: w.r, key: w.key} // that call is lost
		default:
			if !w.step(c) {
				workers[i] = &worker{r: w.r, key: w.key}
			}
		}
		if c.broken != "" {
			return fmt.Errorf("%s", c.broken)
		}
	}
	if unchecked {
		return nil // it is about the middle
	}
	return c.end(keys)
}

// end lets one process end it all.
func (c *clusterOf) end(keys []types.NamespacedName) error {
	r := c.start()
	for range 400 {
		if !slices.ContainsFunc(keys, func(key types.NamespacedName) bool { return c.sets[key].state.Proven.Digest != "v2" }) {
			return nil
		}
		for _, key := range keys {
			for w := (&worker{r: r, key: key}); w.step(c); {
			}
		}
		c.now = c.now.Add(time.Second)
		if c.broken != "" {
			return fmt.Errorf("in the end %s", c.broken)
		}
	}
	for _, key := range keys {
		if p := c.sets[key].state.Proven; p.Digest != "v2" {
			return fmt.Errorf("%s does not get on: %+v", key, c.sets[key].state)
		}
	}
	return nil
}

func TestTwoLeadersTakeNoNodeTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if err := play(t, false); err != nil {
			t.Fatal(err)
		}
	})
}

// Without the question whether they are alone, two leaders do.
func TestTwoLeadersWhoDoNotAskAreCaught(t *testing.T) {
	stories := rapid.Custom(func(t *rapid.T) error { return play(t, true) })
	for seed := range 3000 {
		if stories.Example(seed) != nil {
			return
		}
	}
	t.Error("3000 stories did not catch it")
}
