package sim

import "github.com/rollcall-dev/rollcall/apply/rollout"

// Census counts nodes as they are, whatever a cache shows.
type Census struct {
	Nodes int
	// Candidate are those with an agent that may start of another version than
	// Options.Proven.
	Candidate int
	// Unavailable are those whose available agent rollcall took, and that have had
	// none of a version at rest since.
	Unavailable int
	// Hurt are those on which such an agent failed, took its node with it, or was
	// not Ready when even a slow one would have been.
	Hurt int
}

// Count takes a census. Nodes that are gone do not count any more.
func (c *Cluster) Count() Census {
	out := Census{Nodes: len(c.nodes)}
	for _, n := range c.nodes {
		for _, p := range n.pods {
			if p.made.digest == c.opts.Proven || p.gated {
				continue
			}
			out.Candidate++
			n.hurt = n.hurt || c.fails(n, p)
			break
		}
		if n.taken && n.serving() == nil {
			out.Unavailable++
		}
		if n.hurt {
			out.Hurt++
		}
	}
	return out
}

// fails is whether the pod is not what a healthy one would be by now.
func (c *Cluster) fails(n *node, p *pod) bool {
	until := c.tick
	if p.terminating {
		until = p.goneAt - n.drain - 1
	}
	return p.restarts > 0 || p.started != 0 && !p.ready && until > p.started+c.opts.ReadyAfter+slowStart
}

// Writes counts what rollcall has asked the API server to write so far: its own
// records, the DaemonSet, and pods.
func (c *Cluster) Writes() int { return c.store.recordsRV + c.store.statusRV + c.written }

// Rejection is why the version is rejected; nil if it is not.
func (c *Cluster) Rejection(digest string) *rollout.Rejection {
	for _, r := range c.store.status.Rejected {
		if r.Digest == digest {
			return &r
		}
	}
	return nil
}
