package sim

// Never is the tick of what does not happen.
const Never = never

// Next is the first tick in which something happens by itself; Never if nothing
// ever does.
func (c *Cluster) Next() int {
	next := min(c.nextKubelet(), c.nextController())
	for _, l := range c.leaders {
		next = min(next, l.next())
	}
	return min(max(next, c.tick), Never)
}

// SkipTo lets the time until the tick pass. Nothing happens in it, so that Next
// must not be before.
func (c *Cluster) SkipTo(tick int) { c.tick = max(c.tick, tick) }

// nextKubelet is the first tick at which a pod does something by itself.
func (c *Cluster) nextKubelet() int {
	first := never
	for _, n := range c.nodes {
		for _, p := range n.pods {
			_, at := c.next(n, p)
			first = min(first, at, goneAt(n, p))
		}
	}
	return first
}

// nextController is the first tick at which the DaemonSet controller does.
func (c *Cluster) nextController() int {
	k, d := &c.controller, &c.daemonSet
	switch {
	case !d.exists:
		return never
	case k.synced != c.version:
		return max(c.tick, k.stoppedUntil)
	case k.seenGeneration != d.generation:
		return max(k.stoppedUntil, d.written+c.opts.ControllerLag)
	default:
		return never
	}
}

// next is the first tick at which the process does.
func (l *leader) next() int {
	c := l.c
	at := never
	switch {
	case !c.daemonSet.exists:
		return never
	case l.died, l.pass != nil, l.decided != l.seen:
		at = c.tick
	case l.wake != 0:
		at = l.wake
	}
	if l.seen != c.version {
		at = min(at, l.refreshed+c.opts.CacheLag)
	}
	return max(at, l.resumes)
}
