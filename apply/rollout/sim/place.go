package sim

import (
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/health"
)

// ForPlacement is why the DaemonSet controller deletes a pod: the template does not
// want to run on its node.
const ForPlacement rollout.Why = "Placement"

// Placements are read from the digest, before its fault: "v2/ab" runs on the nodes of
// the groups a and b only, "v2" on all.

// places is whether a version wants to run on the node.
func places(digest string, n *node) bool {
	version, _, _ := strings.Cut(strings.TrimPrefix(digest, rollout.RemovalOf("")), ":")
	_, groups, limited := strings.Cut(version, "/")
	return !limited || len(n.groups) > 0 && strings.Contains(groups, n.groups[0])
}

// places is whether the template wants to run on the node.
func (t template) places(n *node) bool {
	if t.from == "" {
		return places(t.digest, n)
	}
	return places(t.from, n) || slices.Contains(strings.Split(t.won, ","), n.name)
}

// view is by which versions nodes are eligible, lost and won; after is empty when none
// is on its way.
type view struct{ before, after string }

// viewOf is by which versions a leader that has read that sees nodes.
func (c *Cluster) viewOf(s rollout.State, want *rollout.Version) view {
	v := view{before: c.daemonSet.spec.template.digest}
	if s.Proven == nil || c.opts.Foreign {
		return v
	}
	v.before = s.Proven.Digest
	switch {
	case want != nil:
		v.after = want.Digest
	case s.Candidate != nil:
		v.after = s.Candidate.Digest
	}
	return v
}

func (v view) mark(n *node, out *health.Node) {
	was := !n.excluded && !n.virtual && places(v.before, n)
	is := was
	if v.after != "" {
		is = !n.excluded && !n.virtual && places(v.after, n)
	}
	out.Eligible, out.Lost, out.Won = was, was && !is, is && !was
}

// placed has the nodes that are taken in count as eligible, and those that have left
// no more, as the cluster has them.
func (c *Cluster) placed(n *health.Node) {
	s := c.store.status
	switch {
	case s.Candidate == nil:
	case n.Won:
		n.Eligible = slices.Contains(strings.Split(c.daemonSet.spec.template.won, ","), n.Name)
	case n.Lost && len(n.Agents) > 0 && c.Rejection(s.Candidate.Digest) == nil:
		n.Eligible = slices.ContainsFunc(n.Agents, func(a health.Agent) bool { return !a.Gated })
	}
}

// unplaced holds a first version that another one is to follow elsewhere before any is
// proven; nil if nothing does.
func (c *Cluster) unplaced(s rollout.State, want *rollout.Version) *rollout.Block {
	if want == nil {
		want = s.Candidate
	}
	if s.Proven != nil || want == nil || c.opts.Foreign {
		return nil
	}
	for _, n := range c.nodes {
		if places(c.daemonSet.spec.template.digest, n) != places(want.Digest, n) {
			return &rollout.Block{Reason: rollout.ReasonPlacementChange, Message: "another first version would run elsewhere"}
		}
	}
	return nil
}

// removeAll removes the pods of a node where the template does not want to run.
func (c *Cluster) removeAll(n *node) {
	for _, p := range n.pods {
		c.remove(n, p, Fact{By: Controller, Why: ForPlacement})
	}
}
