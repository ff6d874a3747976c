package sim

import (
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/health"
)

// pod is one pod of the DaemonSet.
type pod struct {
	uid  types.UID
	name string
	// version grows with every change of it.
	version int
	// made is the template that it was made from; revision is what its label
	// says.
	made     template
	revision string
	gated    bool
	created  int
	// opened is when nothing kept it from starting any more.
	opened     int
	started    int // 0 before
	ready      bool
	readySince int
	// unreadyUntil is until when its probe fails.
	unreadyUntil int
	restarts     int32
	trouble      string
	failed       bool
	// terminating pods are gone at the tick goneAt, if a kubelet is there.
	terminating bool
	goneAt      int
}

func (p *pod) changed(c *Cluster) {
	p.version++
	c.changed()
}

func (p *pod) setReady(c *Cluster, ready bool) {
	if p.ready != ready {
		p.ready, p.readySince = ready, c.tick
		p.changed(c)
	}
}

// remove tells a pod to go.
func (c *Cluster) remove(n *node, p *pod, by Fact) {
	if p.terminating {
		return
	}
	by.Event, by.Node, by.NodeUID, by.Pod, by.Digest, by.Gated = Deleted, n.name, n.uid, p.uid, p.made.digest, p.gated
	by.Served = n.serving() == p
	if by.Served {
		n.taken = by.By == Rollcall
	}
	p.terminating = true
	p.goneAt = c.tick + 1
	if p.started != 0 {
		p.goneAt += n.drain
	}
	p.changed(c)
	c.tell(by)
}

func (c *Cluster) runKubelets() {
	for _, n := range c.nodes {
		n.pods = slices.DeleteFunc(n.pods, func(p *pod) bool { return c.isGone(n, p) })
		for _, p := range n.pods {
			if what, at := c.next(n, p); c.tick >= at {
				c.run(n, p, what)
			}
		}
		c.miss(n)
	}
}

// miss is what becomes of a node that needs its agent and has none.
func (c *Cluster) miss(n *node) {
	switch runs := slices.ContainsFunc(n.pods, func(p *pod) bool { return p.started != 0 }); {
	case runs || !n.needs:
		n.bareSince = 0
	case n.bareSince == 0:
		n.bareSince = c.tick + 1
	case c.tick >= n.bareSince+missedAfter && !n.cut && !n.dead:
		n.cut = true
		c.setReady(n, false)
	}
}

func (c *Cluster) isGone(n *node, p *pod) bool {
	gone := c.tick >= goneAt(n, p)
	if gone {
		c.changed()
	}
	return gone
}

// goneAt is when a pod that was told to go is gone; never while its kubelet is.
func goneAt(n *node, p *pod) int {
	if !p.terminating || n.dead && p.started != 0 {
		return never
	}
	return p.goneAt
}

// deed is what a pod does by itself. The set is closed.
type deed int

const (
	rest  deed = iota
	start      // its containers
	fall       // no longer Ready: its probe fails
	crash      // at once
	work       // it is Ready, if the node is, and gives a cut node its network back
	fail       // some time after Ready
)

// next is what the pod does next if nothing else happens, and from which tick on.
func (c *Cluster) next(n *node, p *pod) (deed, int) {
	fault := c.fault(n, p)
	switch {
	case p.terminating, p.gated, n.dead, p.failed:
		return rest, never
	case p.started == 0:
		if !c.starts(n) {
			return rest, never
		}
		return start, p.opened + 1
	case c.tick < p.unreadyUntil:
		if p.ready {
			return fall, c.tick
		}
		return rest, p.unreadyUntil
	case p.restarts > 0, fault == faultStuck:
		return rest, never
	case fault == faultBad:
		return crash, p.started + crashAfter
	case p.ready:
		return fail, failsAt(p, fault)
	case n.ready, n.cut && fault != faultKiller:
		return work, p.started + c.readyAfter(fault)
	default:
		return rest, never
	}
}

func (c *Cluster) run(n *node, p *pod, what deed) {
	switch what {
	case rest:
	case start:
		p.started = c.tick
		p.changed(c)
		c.tellOf(Ran, n, p)
	case fall:
		p.setReady(c, false)
	case crash:
		p.crash(c)
	case work:
		if n.cut {
			n.cut = false
			c.setReady(n, true)
		}
		p.setReady(c, true)
		n.taken = n.taken && p.made.digest != c.opts.Proven
		c.tellOf(BecameReady, n, p)
	case fail:
		if c.fault(n, p) != faultKiller {
			p.crash(c)
			return
		}
		n.cut, n.dead = c.opts.TolerateAll, !c.opts.TolerateAll
		c.setReady(n, false)
	}
}

func (c *Cluster) readyAfter(fault string) int {
	if fault == faultSlow {
		return c.opts.ReadyAfter + slowStart
	}
	return c.opts.ReadyAfter
}

func (c *Cluster) tellOf(e Event, n *node, p *pod) {
	c.tell(Fact{Event: e, By: Kubelet, Node: n.name, NodeUID: n.uid, Pod: p.uid, Digest: p.made.digest})
}

func (p *pod) crash(c *Cluster) {
	p.setReady(c, false)
	p.restarts, p.trouble = p.restarts+1, "CrashLoopBackOff"
	p.changed(c)
}

func (c *Cluster) viewPod(n *node, p *pod) health.Agent {
	a := health.Agent{
		Name:        p.name,
		UID:         p.uid,
		Version:     strconv.Itoa(p.version),
		Revision:    p.revision,
		Created:     c.at(p.created),
		Gated:       p.gated,
		Unbound:     p.started == 0 && (p.gated || n.virtual),
		Terminating: p.terminating,
		Ready:       p.ready,
		ReadySince:  c.at(p.readySince),
		Failed:      p.failed,
		Restarts:    p.restarts,
		Trouble:     health.Trouble{Reason: p.trouble},
	}
	if p.started == 0 && !p.gated && !c.schedulable(n) {
		a.Trouble = health.Trouble{Reason: health.ReasonUnschedulable, Message: "untolerated taint " + n.taint()}
	}
	return a
}
