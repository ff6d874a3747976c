package sim

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/health"
)

// Options are what a cluster starts with. Durations are in ticks.
type Options struct {
	Nodes int
	// Groups are the zones that the nodes are spread over; at least 1.
	Groups int
	// Fleet are nodes to start with beside those, without their agents: each gets
	// one, unless it is not eligible. No two have the same name.
	Fleet []health.Node
	// Faults are what all versions but Proven do on a node, by its name, as behind
	// the colon of a digest.
	Faults map[string]string
	// Start is the time of tick 0; zero for the year 2030.
	Start time.Time
	// Proven runs on every node at the start, as adopted; empty for a DaemonSet
	// that does not exist yet.
	Proven string
	Policy rollout.Policy
	// ReadyAfter is how long a healthy agent takes from its start to Ready.
	ReadyAfter int
	// ControllerLag is how long the DaemonSet controller's cache is behind.
	ControllerLag int
	// CacheLag is how often a leader's view of pods catches up; 0 for always.
	CacheLag int
	// TolerateAll pods tolerate the taint of a NotReady node.
	TolerateAll bool
	// RollingUpdate is the update strategy before rollcall took over.
	RollingUpdate bool
	// Foreign is whether another tool writes the DaemonSet: a commit is its write of
	// the template, and rollcall writes none.
	Foreign bool
	// Decide is the rule under test; nil for rollout.Decide.
	Decide func(rollout.Input) rollout.Decision
	// Trace is told of everything that happens, at once; nil for nobody.
	Trace func(Fact)
}

// Cluster is one DaemonSet's cluster.
type Cluster struct {
	opts Options
	tick int
	// version grows with every change that a watch would show.
	version int
	made    int
	// written counts the steps that were taken.
	written    int
	nodes      []*node
	daemonSet  daemonSet
	controller controller
	store      store
	asked      asked
	leaders    []*leader
	// forbidden is what the API server refuses: to delete pods, to open gates, or
	// the DaemonSet controller new pods or revisions.
	forbidden map[string]bool
}

// asked is what Git and people want.
type asked struct {
	version *rollout.Version
	paused  bool
	retry   string
	// approved is the last approval.
	approved *rollout.Approval
	block    *rollout.Block
	// ownNode is the node that the leader runs on; empty for none of them.
	ownNode string
	// others are the nodes that other DaemonSets' rollouts are about.
	others others
	// unknown is why nobody knows the version; nil when it is known.
	unknown *rollout.Block
}

// known is the version, if anybody knows it.
func (a asked) known() *rollout.Version {
	if a.unknown != nil {
		return nil
	}
	return a.version
}

// New returns a cluster at tick 0, with one leader.
func New(o Options) *Cluster {
	o.Groups = max(o.Groups, 1)
	if o.Decide == nil {
		o.Decide = rollout.Decide
	}
	if o.Trace == nil {
		o.Trace = func(Fact) {}
	}
	if o.Start.IsZero() {
		o.Start = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	c := &Cluster{opts: o, controller: controller{revisions: map[string]string{}}, forbidden: map[string]bool{}}
	c.daemonSet.spec.onDelete = !o.RollingUpdate
	c.daemonSet.spec.template.digest = o.Proven
	c.daemonSet.exists, c.daemonSet.generation, c.daemonSet.written = o.Proven != "", 1, -settled
	c.populate()
	if o.Proven != "" {
		c.store.status.Proven = &rollout.Version{Digest: o.Proven}
		c.asked.version = &rollout.Version{Digest: o.Proven}
		c.store.templates = []string{o.Proven}
		c.wakeUp()
	}
	c.leaders = []*leader{newLeader(c)}
	return c
}

// populate makes the nodes that are there at the start.
func (c *Cluster) populate() {
	for i := range c.opts.Nodes {
		c.nodes = append(c.nodes, c.newNode(nodeName(i+1), []string{groupName(i % c.opts.Groups)}))
	}
	for i := range c.opts.Fleet {
		v := &c.opts.Fleet[i]
		n := c.newNode(v.Name, v.Groups)
		n.labels = v.Labels
		n.cordoned, n.leaving, n.held, n.excluded = v.Cordoned, v.Leaving && !v.Cordoned, v.Held, !v.Eligible
		c.nodes = append(c.nodes, n)
	}
	slices.SortFunc(c.nodes, func(a, b *node) int { return cmp.Compare(a.name, b.name) })
	c.changed()
}

// wakeUp gives every node the Ready agent that it had before the story begins.
func (c *Cluster) wakeUp() {
	c.runController()
	for range c.opts.ReadyAfter + 2 {
		c.tick++
		c.runKubelets()
	}
	c.tick = 0
	for _, n := range c.nodes {
		n.created = -settled
		for _, p := range n.pods {
			p.created, p.opened, p.started, p.readySince = -settled, -settled, -settled, -settled
		}
	}
	for i := range c.opts.Fleet {
		if v := &c.opts.Fleet[i]; !v.Ready {
			n := c.node(v.Name)
			n.dead = true
			c.setReady(n, false)
		}
	}
}

// settled is for how long everything has been as it is when the story begins.
const settled = 3600

// Tick lets one second pass.
func (c *Cluster) Tick() {
	c.runKubelets()
	c.runController()
	for _, l := range c.leaders {
		l.run()
	}
	c.tick++
}

// Settle lets time pass until nothing has changed and nobody has had a reason
// to look for quiet ticks. It returns false if limit ticks are not enough.
func (c *Cluster) Settle(quiet, limit int) bool {
	still := 0
	for range limit {
		before := c.version
		c.Tick()
		still++
		if c.version != before || c.awaited() {
			still = 0
		}
		if still >= quiet {
			return true
		}
	}
	return false
}

// awaited is whether a leader asked to be woken, or is in the middle of a pass.
func (c *Cluster) awaited() bool {
	return slices.ContainsFunc(c.leaders, func(l *leader) bool { return l.alive() && (l.wake > 0 || l.pass != nil) })
}

// wanted is the version that Git asks for, or that another tool has written.
func (c *Cluster) wanted() *rollout.Version {
	if c.opts.Foreign {
		return &rollout.Version{Digest: c.daemonSet.spec.template.digest}
	}
	return c.asked.version
}

// Now is the tick that comes next.
func (c *Cluster) Now() int { return c.tick }

// Last is the decision that was made last by any leader.
func (c *Cluster) Last() rollout.Decision { return c.store.last }

// Led is whether a process is at work.
func (c *Cluster) Led() bool {
	return slices.ContainsFunc(c.leaders, func(l *leader) bool { return c.tick >= l.resumes })
}

// State is what is recorded.
func (c *Cluster) State() rollout.State { return c.store.state() }

// Policy is the policy in force.
func (c *Cluster) Policy() rollout.Policy { return c.opts.Policy }

// Live is the DaemonSet as it is.
func (c *Cluster) Live() rollout.Live {
	s := c.daemonSet.spec
	return rollout.Live{Digest: s.template.digest, Won: s.template.won, Gated: s.template.gated, OnDelete: s.onDelete, Surging: s.surge && !s.onDelete, Observed: c.daemonSet.observed()}
}

// Fleet is the fleet as it is, not as a cache shows it, and every agent has the
// digest that it really runs.
func (c *Cluster) Fleet() []health.Node {
	out := make([]health.Node, 0, len(c.nodes))
	by := c.viewOf(c.store.status, c.wanted())
	for _, n := range c.nodes {
		v := c.viewNode(n, by)
		for _, p := range n.pods {
			a := c.viewPod(n, p)
			a.Digest = p.made.digest
			v.Agents = append(v.Agents, a)
		}
		c.placed(&v)
		out = append(out, v)
	}
	return out
}

// at is the time of a tick.
func (c *Cluster) at(tick int) time.Time {
	return c.opts.Start.Add(time.Duration(tick) * time.Second)
}

func (c *Cluster) changed() { c.version++ }

func (c *Cluster) uid(prefix string) types.UID {
	c.made++
	return types.UID(fmt.Sprintf("%s%d", prefix, c.made))
}

func (c *Cluster) tell(f Fact) {
	f.Tick = c.tick
	c.opts.Trace(f)
}

func (c *Cluster) node(name string) *node {
	i, found := slices.BinarySearchFunc(c.nodes, name, func(n *node, name string) int { return cmp.Compare(n.name, name) })
	if !found {
		return nil
	}
	return c.nodes[i]
}

func nodeName(i int) string { return fmt.Sprintf("n%02d", i) }

func groupName(i int) string { return string(rune('a' + i)) }
