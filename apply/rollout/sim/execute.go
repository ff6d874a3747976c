package sim

import (
	"strconv"
	"strings"

	"github.com/rollcall-dev/rollcall/apply/rollout"
)

// execute takes one step. It returns false where the API server would answer
// with a conflict that ends the pass; a refusal keeps no other step waiting.
func (l *leader) execute(p *pass, s rollout.Step) bool {
	c := l.c
	c.written++
	next := c.daemonSet.spec
	switch s.Action {
	case rollout.SetOnDelete:
		next.onDelete, next.surge = true, false
		return l.writeDaemonSet(p, next, Fact{By: Rollcall})
	case rollout.WriteTemplate:
		return l.writeTemplate(p, s)
	case rollout.DeletePod:
		return c.forbidden["delete"] || l.delete(s)
	case rollout.OpenGate:
		if !c.forbidden["open"] {
			l.open(s)
		}
	case rollout.NameRevision:
		c.nameRevision(p.revision, s.Revision)
	case rollout.Relabel:
		l.relabel(s)
	default:
		panic("sim: unknown action " + string(s.Action))
	}
	return true
}

// nameRevision gives a revision another label.
func (c *Cluster) nameRevision(revision, label string) {
	if c.controller.revisions[revision] != label {
		c.controller.revisions[revision] = label
		c.changed()
	}
}

func (l *leader) relabel(s rollout.Step) {
	if _, agent := l.c.pod(s.Node, s.PodUID); agent != nil && agent.revision != s.Revision {
		agent.revision = s.Revision
		agent.changed(l.c)
	}
	l.note(s.PodUID, func(did *change) { did.revision = s.Revision })
}

// writeTemplate fails as writeDaemonSet does, and when nobody knows the template
// any more. A pulse whose pod may not be deleted is refused in a dry run.
func (l *leader) writeTemplate(p *pass, s rollout.Step) bool {
	if !l.known(p)[s.Digest] {
		return false
	}
	if s.Pod != "" && l.c.forbidden["delete"] {
		return true
	}
	next := l.c.daemonSet.spec
	next.template = template{digest: s.Digest, gated: s.Gated, won: s.Won}
	if proven := p.read.state.Proven; s.Moved && proven != nil {
		next.template.from = proven.Digest
	}
	next.onDelete, next.surge = !s.Surge, s.Surge
	return l.writeDaemonSet(p, next, Fact{By: Rollcall})
}

// writeDaemonSet fails when somebody wrote the DaemonSet since it was read.
func (l *leader) writeDaemonSet(p *pass, next spec, by Fact) bool {
	if l.c.daemonSet.resourceVersion != p.resourceVersion {
		return false
	}
	l.c.write(next, by)
	return true
}

// delete fails when the pod has changed since it was read, if that matters.
func (l *leader) delete(s rollout.Step) bool {
	if n, victim := l.c.pod(s.Node, s.PodUID); victim != nil {
		if s.PodVersion != "" && s.PodVersion != strconv.Itoa(victim.version) {
			return false
		}
		l.c.remove(n, victim, Fact{By: Rollcall, Why: s.Why})
	}
	l.note(s.PodUID, func(did *change) { did.deleted = true })
	return true
}

func (l *leader) open(s rollout.Step) {
	c := l.c
	if n, p := c.pod(s.Node, s.PodUID); p != nil && p.gated {
		p.gated, p.opened = false, c.tick
		p.changed(c)
		c.tell(Fact{Event: Opened, By: Rollcall, Node: n.name, NodeUID: n.uid, Pod: p.uid, Digest: p.made.digest, Why: s.Why})
	}
	l.note(s.PodUID, func(did *change) { did.opened = true })
}

// versionOf is the version of a revision, as rollcall finds it by comparing
// templates without the gate.
func versionOf(revision string) string {
	digest, _, _ := strings.Cut(strings.TrimSuffix(revision, "+gate"), "~")
	return digest
}
