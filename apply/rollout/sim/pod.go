package sim

import (
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/health"
)

// pod is one pod of the DaemonSet.
type pod struct {
	uid types.UID
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
			if !p.terminating && !p.gated && !n.dead && !p.failed {
				c.runPod(n, p)
			}
		}
	}
}

func (c *Cluster) isGone(n *node, p *pod) bool {
	gone := p.terminating && c.tick >= p.goneAt && (!n.dead || p.started == 0)
	if gone {
		c.changed()
	}
	return gone
}

// runPod moves one pod that may run: start, Ready, and its fault.
func (c *Cluster) runPod(n *node, p *pod) {
	fault := faultOn(p.made.digest, n.group)
	switch {
	case p.started == 0:
		if c.tick > p.opened && c.schedulable(n) {
			p.started = c.tick
			p.changed(c)
			c.tellOf(Ran, n, p)
		}
	case c.tick < p.unreadyUntil:
		p.setReady(c, false)
	case p.restarts > 0, fault == faultStuck:
	case fault == faultBad:
		if c.tick >= p.started+crashAfter {
			p.crash(c)
		}
	case c.tick >= p.started+c.readyAfter(fault):
		c.work(n, p, fault)
	}
}

func (c *Cluster) readyAfter(fault string) int {
	if fault == faultSlow {
		return c.opts.ReadyAfter + slowStart
	}
	return c.opts.ReadyAfter
}

// work is an agent that does what it is there for: it gives a cut node its
// network back, is Ready if the node is, and may fail later.
func (c *Cluster) work(n *node, p *pod, fault string) {
	if n.cut && fault != faultKiller {
		n.cut = false
		c.setReady(n, true)
	}
	if !p.ready && n.ready {
		p.setReady(c, true)
		c.tellOf(BecameReady, n, p)
	}
	if p.ready {
		c.failLater(n, p, fault)
	}
}

func (c *Cluster) tellOf(e Event, n *node, p *pod) {
	c.tell(Fact{Event: e, By: Kubelet, Node: n.name, NodeUID: n.uid, Pod: p.uid, Digest: p.made.digest})
}

// failLater has the faults that show some time after Ready.
func (c *Cluster) failLater(n *node, p *pod, fault string) {
	since := c.tick - p.readySince
	switch {
	case fault == faultFlaky && since >= flakyAfter, fault == faultLate && since >= lateAfter:
		p.crash(c)
	case fault == faultKiller && since >= killerAfter:
		n.cut, n.dead = c.opts.TolerateAll, !c.opts.TolerateAll
		c.setReady(n, false)
	}
}

func (p *pod) crash(c *Cluster) {
	p.setReady(c, false)
	p.restarts, p.trouble = p.restarts+1, "CrashLoopBackOff"
	p.changed(c)
}

func (c *Cluster) viewPod(n *node, p *pod) health.Agent {
	a := health.Agent{
		Name:        "agent-" + string(p.uid),
		UID:         p.uid,
		Version:     strconv.Itoa(p.version),
		Revision:    p.revision,
		Created:     at(p.created),
		Gated:       p.gated,
		Terminating: p.terminating,
		Ready:       p.ready,
		ReadySince:  at(p.readySince),
		Failed:      p.failed,
		Restarts:    p.restarts,
		Trouble:     health.Trouble{Reason: p.trouble},
	}
	if p.started == 0 && !p.gated && !c.schedulable(n) {
		a.Trouble = health.Trouble{Reason: health.ReasonUnschedulable, Message: "untolerated taint " + n.taint()}
	}
	return a
}
