package sim

import (
	"slices"
	"strings"
)

// Faults are read from the digest, as the test cluster reads them from an image
// tag: "v2:bad". With "@b" behind it only the nodes of group b have it.
const (
	// faultBad crash-loops.
	faultBad = "bad"
	// faultStuck is never Ready and never restarts.
	faultStuck = "stuck"
	// faultFlaky fails flakyAfter ticks after Ready.
	faultFlaky = "flaky"
	// faultLate fails lateAfter ticks after Ready.
	faultLate = "late"
	// faultSlow needs slowStart ticks more to become Ready.
	faultSlow = "slow"
	// faultKiller turns its node NotReady killerAfter ticks after Ready.
	faultKiller = "killer"
)

const (
	flakyAfter  = 5
	lateAfter   = 45
	slowStart   = 10
	killerAfter = 20
	crashAfter  = 2
	missedAfter = 6
)

// Faults are all that there are.
func Faults() []string {
	return []string{faultBad, faultStuck, faultFlaky, faultLate, faultSlow, faultKiller}
}

// failsAt is when a Ready pod with the fault fails.
func failsAt(p *pod, fault string) int {
	switch fault {
	case faultFlaky:
		return p.readySince + flakyAfter
	case faultLate:
		return p.readySince + lateAfter
	case faultKiller:
		return p.readySince + killerAfter
	default:
		return never
	}
}

// fault is what the pod does on the node.
func (c *Cluster) fault(n *node, p *pod) string {
	if f := c.opts.Faults[n.name]; f != "" && p.made.digest != c.opts.Proven {
		return f
	}
	return faultOn(p.made.digest, n.groups)
}

// faultOn is the fault that the digest has on a node of the groups.
func faultOn(digest string, groups []string) string {
	_, fault, _ := strings.Cut(digest, ":")
	fault, only, limited := strings.Cut(fault, "@")
	if limited && !slices.Contains(groups, only) {
		return ""
	}
	return fault
}
