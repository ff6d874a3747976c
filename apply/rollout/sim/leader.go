package sim

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/health"
)

// leader is one process that believes to be the leader.
type leader struct {
	c *Cluster
	// cache is its view of pods, sorted by node name, as of version seen and the
	// tick refreshed.
	cache     []cached
	seen      int
	refreshed int
	decided   int
	// written is what it did to pods and its cache may not show yet.
	written map[types.UID]change
	// wake is the tick at which to decide without an event; 0 for never.
	wake int
	pass *pass
	// fuse is after how many more operations it stops, until the tick resumes;
	// negative for never. A crash loses the pass and the memory, a stall keeps
	// them.
	fuse    int
	crash   bool
	died    bool
	pause   int
	resumes int
}

// cached are the pods on one node.
type cached struct {
	node string
	pods []pod
}

// change is what was done to one pod.
type change struct {
	deleted, opened bool
	revision        string
}

// pass is one reconcile in progress.
type pass struct {
	stage    int
	read     reading
	asked    asked
	input    rollout.Input
	decision rollout.Decision
	// begun is the tick of the read.
	begun int
	// resourceVersion is that of the DaemonSet that was read, and revision is the
	// revision of its template.
	resourceVersion int
	revision        string
	step            int
}

// never is the tick of a stop without an end.
const never = 1 << 40

func newLeader(c *Cluster) *leader {
	l := &leader{c: c, fuse: -1}
	l.restart()
	return l
}

// restart is a new process: it lists afresh and decides.
func (l *leader) restart() {
	l.pass = nil
	l.decided, l.wake, l.died = -1, 0, false
	l.list()
}

func (l *leader) alive() bool { return l.resumes < never }

// list takes the fleet as it is into the cache, with what this process did.
func (l *leader) list() {
	l.cache, l.written = make([]cached, 0, len(l.c.nodes)), map[types.UID]change{}
	pods := make([]pod, 0, 2*len(l.c.nodes))
	for _, n := range l.c.nodes {
		from := len(pods)
		for _, p := range n.pods {
			pods = append(pods, *p)
		}
		l.cache = append(l.cache, cached{n.name, pods[from:len(pods):len(pods)]})
	}
	l.seen, l.refreshed = l.c.version, l.c.tick
}

// run lets the process act in one tick: go on with a pass, or begin one when
// something changed or the time has come.
func (l *leader) run() {
	c := l.c
	if c.tick < l.resumes || !c.daemonSet.exists {
		return
	}
	if l.died {
		c.tell(Fact{Event: Died, By: Adversary})
		l.restart()
	}
	if l.seen != c.version && c.tick >= l.refreshed+c.opts.CacheLag {
		l.list()
	}
	if l.pass == nil && l.due() {
		l.pass, l.decided = &pass{}, l.seen
	}
	for l.pass != nil {
		if l.fuse == 0 {
			l.stop()
			return
		}
		l.fuse--
		if !l.operate(l.pass) {
			l.pass = nil
		}
	}
}

// due is whether the cache shows something new, or the time has come.
func (l *leader) due() bool {
	return l.decided != l.seen || l.wake != 0 && l.c.tick >= l.wake
}

// stop is a crash, or a pause of the whole process, in the middle of a pass.
func (l *leader) stop() {
	l.fuse, l.resumes = -1, l.c.tick+l.pause
	if l.pause == 0 {
		l.resumes = never
	}
	l.died = l.crash
}

// operate makes the next call of the pass. It returns false after the last.
func (l *leader) operate(p *pass) bool {
	c := l.c
	defer func() { p.stage++ }()
	switch p.stage {
	case 0:
		p.read, p.asked, p.begun = c.store.read(), c.asked, c.tick
	case 1:
		l.decide(p)
	case 2:
		return l.retryUnless(c.store.writeRecords(p.read, l.known(p), p.decision.Next))
	case 3:
		ok := l.retryUnless(c.store.writeStatus(p.read, p.decision.Next))
		if ok {
			l.wake = l.wakeAfter(p)
		}
		if ok && sameStatus(c.store.state(), p.decision.Next) { // or it was overtaken, with nothing to write
			c.store.last = p.decision
			c.tell(Fact{Event: Recorded, By: Rollcall, Decision: p.decision, Input: &p.input})
		}
		return ok && len(p.decision.Steps) > 0
	default:
		if c.tick > p.begun+int(rollout.Fresh/time.Second) {
			return l.retryUnless(false)
		}
		ok := l.retryUnless(l.execute(p, p.decision.Steps[p.step]))
		p.step++
		return ok && p.step < len(p.decision.Steps)
	}
	return true
}

// retryUnless looks again in the next tick after an error.
func (l *leader) retryUnless(ok bool) bool {
	if !ok {
		l.wake = l.c.tick + 1
	}
	return ok
}

func (l *leader) decide(p *pass) {
	c := l.c
	p.resourceVersion = c.daemonSet.resourceVersion
	if c.opts.Foreign { // the template that it reads is what it is asked for
		p.asked.version, p.asked.unknown = c.wanted(), nil
	}
	known := l.known(p)
	live := c.Live()
	if !known[live.Digest] {
		live.Digest = ""
	}
	p.revision = c.daemonSet.spec.template.revision()
	live.Revision = c.controller.revisions[p.revision]
	p.input = rollout.Input{
		Name: "default/agent", Approved: p.asked.approved, OwnNode: p.asked.ownNode, Foreign: c.opts.Foreign,
		Policy: c.opts.Policy, State: p.read.state, Want: p.asked.known(), Unknown: p.asked.unknown, Paused: p.asked.paused, Retry: p.asked.retry, Block: p.asked.block,
		Busy: c.busy(p.asked.others), After: c.after(p.asked.others),
		Live: live, Fleet: l.fleet(known, c.viewOf(p.read.state, p.asked.known())), Now: c.at(c.tick),
	}
	if p.input.Block == nil {
		p.input.Block = c.unplaced(p.read.state, p.input.Want)
	}
	p.input.Sick = p.asked.others.sicken(p.input)
	p.decision = c.opts.Decide(p.input)
	c.tell(Fact{Event: Decided, By: Rollcall, Decision: p.decision, Input: &p.input})
}

// known are the digests whose templates the executor has: those kept, the declared
// one, and the proven one if it is among the revisions.
func (l *leader) known(p *pass) map[string]bool {
	out := map[string]bool{}
	for _, digest := range p.read.templates {
		out[digest] = true
	}
	if v := p.asked.known(); v != nil {
		out[v.Digest] = true
	}
	if v := p.read.state.Proven; v != nil && l.c.hasRevision(v.Digest) {
		out[v.Digest] = true
	}
	return out
}

// fleet shows the nodes as they are with the pods of the cache, overlaid with
// what this process did since.
func (l *leader) fleet(known map[string]bool, by view) []health.Node {
	out := make([]health.Node, 0, len(l.c.nodes))
	agents := make([]health.Agent, 0, 2*len(l.c.nodes))
	rest := l.cache
	for _, n := range l.c.nodes {
		for len(rest) > 0 && rest[0].node < n.name {
			rest = rest[1:]
		}
		from := len(agents)
		if len(rest) > 0 && rest[0].node == n.name {
			for i := range rest[0].pods {
				agents = append(agents, l.view(n, &rest[0].pods[i], known))
			}
		}
		v := l.c.viewNode(n, by)
		v.Agents = agents[from:len(agents):len(agents)]
		out = append(out, v)
	}
	return out
}

// view is a pod of the cache with what this process did to it since.
func (l *leader) view(n *node, p *pod, known map[string]bool) health.Agent {
	a := l.c.viewPod(n, p)
	did := l.written[p.uid]
	a.Terminating = a.Terminating || did.deleted
	a.Gated = a.Gated && !did.opened
	if did.revision != "" {
		a.Revision = did.revision
	}
	if d := versionOf(a.Revision); known[d] {
		a.Digest = d
	}
	return a
}

func (l *leader) wakeAfter(p *pass) int {
	if !p.input.Live.Observed || len(p.decision.Steps) > 0 {
		return l.c.tick + 1
	}
	if p.decision.Wake.IsZero() {
		return 0
	}
	return max(l.c.tick+1, int((p.decision.Wake.Sub(l.c.opts.Start)+time.Second-1)/time.Second))
}

func (l *leader) note(uid types.UID, f func(*change)) {
	did := l.written[uid]
	f(&did)
	l.written[uid] = did
}
