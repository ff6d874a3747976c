package rollout

import (
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/rollcall-dev/rollcall/health"
)

// Policy is how a change moves.
type Policy struct {
	Name string
	// Waves in order; the last takes every node. Never empty.
	Waves []Wave
	// MaxUnavailable is a count or a percentage of the eligible nodes.
	MaxUnavailable intstr.IntOrString
	Health         health.Rule
	// FailureBudget is how many touched nodes may fail.
	FailureBudget int
	// InstallAll gives the first version to every node at once.
	InstallAll bool
	// HoldOnFailure leaves touched nodes as they are after a rejection.
	HoldOnFailure bool
	Calendar      Calendar
	// Grace is the longest termination grace period of the versions at hand; a
	// pulse waits that long and a little more for its old pods to go.
	Grace time.Duration
}

// Wave is one step of the way.
type Wave struct {
	Name string
	// UpTo is cumulative.
	UpTo intstr.IntOrString
	Soak time.Duration
}

// Resolve turns a count or a percentage of total into a count: rounded down,
// at least 1, at most total; 0 when total is 0.
func Resolve(v intstr.IntOrString, total int) int {
	n, err := intstr.GetScaledValueFromIntOrPercent(&v, total, false)
	if err != nil {
		n = 1
	}
	return min(max(n, 1), total)
}
