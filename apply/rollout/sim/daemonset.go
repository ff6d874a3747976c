package sim

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// template is a pod template: its content apart from rollcall's gate, and
// whether it has the gate.
type template struct {
	digest string
	gated  bool
	// from is the version whose placement it has, with the nodes won, by name and
	// joined by commas; empty for its own.
	from, won string
}

// revision names the ControllerRevision of the template: the gate makes another
// one, though the version is the same to rollcall.
func (t template) revision() string {
	out := t.digest
	if t.from != "" {
		out += "~" + t.from + "~" + t.won
	}
	if t.gated {
		out += "+gate"
	}
	return out
}

// spec is what is written to the DaemonSet.
type spec struct {
	template template
	onDelete bool
	// surge is whether the strategy, which is not OnDelete then, has maxSurge 100% and
	// maxUnavailable 0; otherwise maxSurge 0 and maxUnavailable 1.
	surge bool
}

// daemonSet is the object that the API server has.
type daemonSet struct {
	exists             bool
	spec               spec
	generation         int
	observedGeneration int
	// resourceVersion grows with every write, of the status too.
	resourceVersion int
	// written is the tick of the last write of the spec.
	written int
}

func (d *daemonSet) observed() bool { return d.observedGeneration >= d.generation }

// write changes the spec. A write that changes nothing is none.
func (c *Cluster) write(s spec, by Fact) {
	d := &c.daemonSet
	if d.spec == s && d.exists {
		return
	}
	d.exists, d.spec, d.written = true, s, c.tick
	d.generation++
	d.resourceVersion++
	c.changed()
	by.Event, by.Digest, by.Gated = Wrote, s.template.digest, s.template.gated
	c.tell(by)
}

// controller is the DaemonSet controller of kube-controller-manager. It looks
// at pods through its expectations, so they are as they are, and at the
// DaemonSet through a cache.
type controller struct {
	seen           spec
	seenGeneration int
	synced         int
	// stoppedUntil is when a controller-manager without a leader has one again.
	stoppedUntil int
	// revisions are the ControllerRevisions that exist, each with the label by
	// which pods are of it.
	revisions map[string]string
}

func (c *Cluster) runController() {
	k, d := &c.controller, &c.daemonSet
	if !d.exists || c.tick < k.stoppedUntil {
		return
	}
	if c.tick >= d.written+c.opts.ControllerLag && k.seenGeneration != d.generation {
		k.seen, k.seenGeneration = d.spec, d.generation
	} else if k.synced == c.version {
		return
	}
	if k.seenGeneration == 0 {
		return // it does not know the DaemonSet yet
	}
	if !c.makeRevision(k.seen.template.revision()) {
		return // it does not get to the pods, or to its status
	}
	c.roll()
	if d.observedGeneration != k.seenGeneration {
		d.observedGeneration = k.seenGeneration
		d.resourceVersion++
		c.changed()
	}
	k.synced = c.version
}

// roll manages each node, and then follows the update strategy.
func (c *Cluster) roll() {
	for _, n := range c.nodes {
		if c.controller.seen.template.places(n) {
			c.manage(n)
		} else {
			c.removeAll(n)
		}
	}
	switch seen := c.controller.seen; {
	case seen.onDelete:
	case seen.surge:
		c.surge()
	default:
		c.rollingUpdate()
	}
}

// makeRevision makes the ControllerRevision if it is not there, and says whether
// it is.
func (c *Cluster) makeRevision(r string) bool {
	k := &c.controller
	if _, known := k.revisions[r]; known {
		return true
	}
	if c.forbidden["revisions"] {
		return false
	}
	k.revisions[r] = r
	c.changed()
	return true
}

// hasRevision is whether a revision of the version is there, with the gate or without.
func (c *Cluster) hasRevision(digest string) bool {
	for r := range c.controller.revisions {
		if versionOf(r) == digest {
			return true
		}
	}
	return false
}

// manage is what the controller does on one node before and regardless of the
// update strategy (pkg/controller/daemon podsShouldBeOnNode). It may let the old pod
// and the new one stand beside each other only while it surges.
func (c *Cluster) manage(n *node) {
	var running []*pod
	for _, p := range n.pods {
		switch {
		case p.terminating:
		case p.failed:
			c.remove(n, p, Fact{By: Controller})
		default:
			running = append(running, p)
		}
	}
	slices.SortStableFunc(running, func(a, b *pod) int { return cmp.Or(compareBool(a.gated, b.gated), cmp.Compare(a.created, b.created)) })
	surging := c.controller.seen.surge && !c.controller.seen.onDelete
	switch {
	case len(n.pods) == 0, surging && len(running) == 0:
		if c.schedulable(n) && !c.forbidden["pods"] {
			c.create(n)
		}
	case surging:
		c.manageSurge(n, running)
	default:
		for _, p := range running[min(1, len(running)):] {
			c.remove(n, p, Fact{By: Controller})
		}
	}
}

// manageSurge keeps the oldest pod of the template and the oldest of another one, and
// of the two the new one if the old one is not Ready or the new one is.
func (c *Cluster) manageSurge(n *node, running []*pod) {
	var updated, old *pod
	for _, p := range running {
		switch {
		case c.updated(p) && updated == nil:
			updated = p
		case !c.updated(p) && old == nil:
			old = p
		default:
			c.remove(n, p, Fact{By: Controller})
		}
	}
	if updated != nil && old != nil && (updated.ready || !old.ready || !n.ready) {
		c.remove(n, old, Fact{By: Controller})
	}
}

// surge makes a pod of the template beside each that is of another one (update.go
// rollingUpdate with maxSurge). Of the nodes that get none it takes what they have: at
// once if that is not available, and otherwise as many as more nodes are served than
// shall be.
func (c *Cluster) surge() {
	var spared []*pod
	var of []*node
	spare := 0
	for _, n := range c.nodes {
		running := n.staying()
		spare += c.countSpare(n, running)
		switch {
		case len(running) != 1 || c.updated(running[0]):
		case c.schedulable(n):
			if !c.forbidden["pods"] {
				c.create(n)
			}
		case !running[0].ready:
			c.remove(n, running[0], Fact{By: Controller})
		default:
			spared, of = append(spared, running[0]), append(of, n)
		}
	}
	for i := range min(max(spare, 0), len(spared)) {
		c.remove(of[i], spared[i], Fact{By: Controller})
	}
}

// countSpare is what the node adds to the nodes that are served and takes from those that
// shall be: the pod of another template is Ready or, where there is none, that of it.
func (c *Cluster) countSpare(n *node, running []*pod) int {
	spare := 0
	if c.schedulable(n) {
		spare--
	}
	i := max(0, slices.IndexFunc(running, func(p *pod) bool { return !c.updated(p) }))
	if i < len(running) && running[i].ready {
		spare++
	}
	return spare
}

// updated is whether the pod is of the template, by its label.
func (c *Cluster) updated(p *pod) bool {
	return p.revision == c.controller.revisions[c.controller.seen.template.revision()]
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

func (c *Cluster) create(n *node) {
	t := c.controller.seen.template
	uid := c.uid("p")
	n.pods = append(n.pods, &pod{uid: uid, name: "agent-" + string(uid), made: t, revision: c.controller.revisions[t.revision()], gated: t.gated, created: c.tick, opened: c.tick})
	c.changed()
}

// rollingUpdate is the strategy with maxSurge 0 and maxUnavailable 1: every old
// pod that is not available goes, and of the others what the budget leaves.
func (c *Cluster) rollingUpdate() {
	budget := 1
	hash := c.controller.revisions[c.controller.seen.template.revision()]
	for _, n := range c.nodes {
		if n.serving() != nil {
			continue
		}
		budget--
		for _, p := range n.pods {
			if p.revision != hash {
				c.remove(n, p, Fact{By: Controller})
			}
		}
	}
	for _, n := range c.nodes {
		if p := n.serving(); p != nil && p.revision != hash && budget > 0 {
			budget--
			c.remove(n, p, Fact{By: Controller})
		}
	}
}

// pod finds a pod by the name of its node and by UID, with its node.
func (c *Cluster) pod(name string, uid types.UID) (*node, *pod) {
	n := c.node(name)
	if n == nil {
		return nil, nil
	}
	for _, p := range n.pods {
		if p.uid == uid {
			return n, p
		}
	}
	return nil, nil
}
