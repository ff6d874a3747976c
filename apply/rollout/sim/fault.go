package sim

import "strings"

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
)

// faultOn is the fault that the digest has on a node of the group.
func faultOn(digest, group string) string {
	_, fault, _ := strings.Cut(digest, ":")
	fault, only, limited := strings.Cut(fault, "@")
	if limited && only != group {
		return ""
	}
	return fault
}
