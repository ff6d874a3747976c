package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/rollcall-dev/rollcall/apply/rollout"
)

// Do lets something happen before the next tick:
//
//	commit DIGEST          Git declares another version; with "/ab" behind its name one that
//	                       runs on the nodes of the groups a and b only
//	revert                 Git declares the proven version again
//	remove                 Git declares the DaemonSet no more
//	pause, resume          a person stops and resumes the rollout
//	retry DIGEST           a person wants a rejected version tried again
//	approve WAVE           a person approves the wave of what Git declares; all of them without WAVE
//	own NODE               rollcall runs on that node
//	block REASON, unblock  a window, a freeze, a dependency
//	lose, declare          what Git declares is lost, until it is declared again
//	forget                 what is recorded of the nodes is lost
//	busy NODE TICKS        another DaemonSet's rollout is at work on the node, for so long at most
//	idle NODE              it is through with it
//	behind NODE, caught-up NODE   what the DaemonSet comes after is not there yet, and is
//	sick COUNT             so many nodes of the fleet are sick, for the policy's breaker
//	policy COUNT           maxUnavailable is COUNT from now on
//	waves COUNT            the policy has only its last COUNT waves from now on
//	allow-empty WAVE       the policy lets that wave be empty from now on
//	join NODE GROUP        a new node
//	move NODE GROUP        a node's labels are of another group from now on
//	leave NODE             a node is gone without notice
//	announce NODE          an autoscaler taints the node before it goes
//	virtual NODE GROUP     a new node that is no machine: not eligible, and it starts no pod
//	rejoin NODE            a node registers anew, with the pods it had
//	down NODE, up NODE     the node's kubelet stops, and comes back
//	cordon NODE, uncordon NODE
//	hold NODE, release NODE   rollcall.dev/hold
//	exclude NODE, include NODE   a lasting NoSchedule taint
//	drain NODE TICKS       pods there take so much longer to terminate
//	evict NODE             the node's pod is deleted
//	fail NODE              the node's pod ends with phase Failed
//	unready NODE TICKS     the node's pod is not Ready for so long
//	set-image DIGEST       a person writes another template
//	rolling-update, on-delete  a person sets the update strategy
//	lag TICKS              the leaders' caches are behind
//	controller TICKS       kube-controller-manager has no leader
//	crash AFTER TICKS      the first leader dies after so many calls; 0 ticks: for good
//	stall AFTER TICKS      the same, but it goes on where it was
//	cut NODE               the node is NotReady until an agent works on it
//	need NODE              the node is so whenever it has no agent for a while
//	new-pods candidate, proven  the policy's newPods from now on
//	install all, waves     the policy's firstInstall from now on
//	forbid WHAT, allow     the API server refuses all delete, open, pods or revisions
//	calm                   every node is up, released and included, every cache fresh, all allowed
//	quit                   every process is gone
//	second                 a second process believes to be the leader
//
// A command about a node that is not there does nothing.
func (c *Cluster) Do(command string) error {
	c.tell(Fact{Event: Asked, By: Adversary, Command: command})
	w := append(strings.Fields(command), "", "", "")
	known := c.doGit(w[0], w[1]) || c.doOthers(w[0], w[1], number(w[2])) || c.doPeople(w[0], w[1]) || c.doPolicy(w[0], w[1]) || c.doNode(w[0], c.node(w[1]), w[2]) || c.doPod(w[0], w[1], number(w[2])) ||
		c.doFleet(w[0], w[1], w[2]) || c.doProcess(w[0], number(w[1]), number(w[2]))
	if !known {
		return fmt.Errorf("unknown command %q", command)
	}
	c.changed()
	return nil
}

func (c *Cluster) doGit(verb, arg string) bool {
	if c.opts.Foreign && (verb == "commit" || verb == "revert") {
		return c.doForeign(verb, arg)
	}
	switch verb {
	case "commit":
		c.asked.version, c.asked.unknown = &rollout.Version{Digest: arg}, nil
		if !c.daemonSet.exists {
			c.write(spec{template: template{digest: arg, gated: !c.opts.Policy.InstallAll || c.held()}, onDelete: true}, Fact{By: Rollcall})
		}
	case "revert":
		if p := c.store.status.Proven; p != nil {
			c.asked.version, c.asked.unknown = &rollout.Version{Digest: p.Digest}, nil
		}
	case "remove":
		if p := c.store.status.Proven; p != nil {
			c.asked.version, c.asked.unknown = &rollout.Version{Digest: rollout.RemovalOf(p.Digest)}, nil
		}
	default:
		return c.doLoss(verb)
	}
	return true
}

// doLoss is what people do to what rollcall keeps.
func (c *Cluster) doLoss(verb string) bool {
	switch verb {
	case "lose":
		c.asked.unknown = &rollout.Block{Reason: "Lost", Message: "what Git declares is lost until it is declared again"}
	case "declare":
		c.asked.unknown = nil
	case "forget":
		c.store.forget()
	default:
		return false
	}
	return true
}

// held is whether a first version for all nodes at once may not begin.
func (c *Cluster) held() bool {
	return c.asked.paused || c.asked.block != nil || c.opts.Policy.Calendar.Closed(c.at(c.tick)) != nil
}

// doForeign lets the tool that writes the DaemonSet write its template.
func (c *Cluster) doForeign(verb, arg string) bool {
	if p := c.store.status.Proven; verb == "revert" && p != nil {
		arg = p.Digest
	}
	next := c.daemonSet.spec
	next.template = template{digest: arg}
	c.write(next, Fact{By: Adversary})
	return true
}

func (c *Cluster) doPeople(verb, arg string) bool {
	switch verb {
	case "pause", "resume":
		c.asked.paused = verb == "pause"
	case "retry":
		c.asked.retry = arg
	case "approve":
		c.asked.approved = c.approval(arg)
	case "own":
		c.asked.ownNode = arg
	case "block":
		c.asked.block = &rollout.Block{Reason: arg, Message: "held by " + arg + " until it is over"}
	case "unblock":
		c.asked.block = nil
	default:
		return false
	}
	return true
}

func (c *Cluster) approval(wave string) *rollout.Approval {
	v := c.wanted()
	if v == nil {
		return nil
	}
	return &rollout.Approval{Digest: v.Digest, Wave: wave}
}

// doPolicy edits the policy.
func (c *Cluster) doPolicy(verb, arg string) bool {
	switch verb {
	case "policy":
		c.opts.Policy.MaxUnavailable = intstr.Parse(arg)
	case "allow-empty":
		c.opts.Policy.Waves = slices.Clone(c.opts.Policy.Waves)
		for i := range c.opts.Policy.Waves {
			w := &c.opts.Policy.Waves[i]
			w.AllowEmpty = w.AllowEmpty || w.Name == arg
		}
	case "new-pods":
		c.opts.Policy.NewPodsCandidate = arg == "candidate" && !c.opts.Policy.Surge // which the API server refuses
	case "install":
		c.opts.Policy.InstallAll = arg == "all"
	case "waves":
		w := c.opts.Policy.Waves
		c.opts.Policy.Waves = w[max(0, len(w)-max(1, number(arg))):]
	default:
		return false
	}
	return true
}

func (c *Cluster) doNode(verb string, n *node, group string) bool {
	if n == nil {
		n = &node{} // nobody sees what happens to it
	}
	switch verb {
	case "down":
		n.dead = true
		c.setReady(n, false)
	case "cut":
		n.cut = true
		c.setReady(n, false)
	case "need":
		n.needs = true
	case "up":
		n.dead, n.cut = false, false
		c.setReady(n, true)
	case "cordon", "uncordon", "announce", "hold", "release", "exclude", "include":
		n.mark(verb)
	case "rejoin":
		n.uid, n.created = c.uid("node-"), c.tick
	case "move":
		n.move(group)
	case "leave":
		c.leave(n)
	default:
		return false
	}
	return true
}

// mark is what a taint, a label and a nodeSelector do.
func (n *node) mark(verb string) {
	switch verb {
	case "cordon", "uncordon":
		n.cordoned = verb == "cordon"
	case "announce":
		n.leaving = true
	case "hold", "release":
		n.held = verb == "hold"
	case "exclude", "include":
		n.excluded = verb == "exclude"
	}
}

func (n *node) move(group string) {
	if group != "" {
		n.groups = []string{group}
		n.labels = groupLabel(n.groups)
	}
}

func (c *Cluster) doPod(verb, name string, ticks int) bool {
	n := c.node(name)
	if n == nil {
		n = &node{}
	}
	switch verb {
	case "drain":
		n.drain = ticks
	case "evict":
		for _, p := range n.pods {
			c.remove(n, p, Fact{By: Adversary})
		}
	case "unready":
		for _, p := range n.pods {
			p.unreadyUntil = c.tick + ticks
		}
	case "fail":
		for _, p := range n.pods {
			if p.started != 0 {
				p.failed = true
				p.setReady(c, false)
			}
		}
	default:
		return false
	}
	return true
}

func (c *Cluster) doFleet(verb, arg, group string) bool {
	next := c.daemonSet.spec
	switch verb {
	case "join", "virtual":
		if c.node(arg) == nil && group != "" {
			c.join(arg, strings.Split(group, ","))
			c.node(arg).virtual = verb == "virtual"
		}
	case "calm":
		for _, n := range c.nodes {
			n.dead, n.cut, n.held, n.excluded, n.needs = false, false, false, false, false
			c.setReady(n, true)
		}
		c.opts.CacheLag = 0
		c.asked.others = others{}
		clear(c.forbidden)
	case "forbid":
		c.forbidden[arg] = true
	case "allow":
		clear(c.forbidden)
	case "set-image":
		next.template = template{digest: arg}
		c.write(next, Fact{By: Adversary})
	case "rolling-update", "on-delete":
		next.onDelete, next.surge = verb == "on-delete", false
		c.write(next, Fact{By: Adversary})
	default:
		return false
	}
	return true
}

func (c *Cluster) doProcess(verb string, first, second int) bool {
	l := c.leaders[0]
	switch verb {
	case "lag":
		c.opts.CacheLag = first
	case "controller":
		c.controller.stoppedUntil = c.tick + first
	case "crash", "stall":
		l.fuse, l.pause, l.crash = first, second, verb == "crash"
	case "quit":
		for _, l := range c.leaders {
			l.resumes = never
		}
	case "second":
		c.leaders = append(c.leaders, newLeader(c))
	default:
		return false
	}
	return true
}

// number reads a count; what is none counts as 0.
func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}
