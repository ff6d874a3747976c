package rollout

import (
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/rollcall-dev/rollcall/health"
)

// Policy is how a change moves.
type Policy struct {
	Name string
	// Waves in order; the last takes every node. Never empty.
	Waves []Wave
	// GroupBy are the keys of the labels whose values are a node's Groups.
	GroupBy []string
	// MaxUnavailable is a count or a percentage of the eligible nodes.
	MaxUnavailable intstr.IntOrString
	// MaxUnavailablePerGroup is a count or a percentage of the eligible nodes of each
	// group; the zero value bounds none.
	MaxUnavailablePerGroup intstr.IntOrString
	Health                 health.Rule
	// FailureBudget is how many touched nodes may fail.
	FailureBudget int
	// NewPodsCandidate gives the candidate, not the proven version, to pods that
	// appear by themselves in the middle of a rollout.
	NewPodsCandidate bool
	// Surge gives a node its next agent before it takes the old one away. No more
	// than MaxUnavailable nodes are given one at a time.
	Surge bool
	// InstallAll gives the first version to every node at once.
	InstallAll bool
	// HoldOnFailure leaves touched nodes as they are after a rejection.
	HoldOnFailure bool
	// MaxSick is how much of the fleet may be sick, as a count or a percentage, before
	// nothing is begun any more; nil for any.
	MaxSick  *intstr.IntOrString
	Calendar Calendar
	// Grace is the longest termination grace period of the versions at hand; a
	// pulse waits that long and a little more for its old pods to go.
	Grace time.Duration
}

// Wave is one step of the way.
type Wave struct {
	Name string
	// UpTo is cumulative.
	UpTo intstr.IntOrString
	// EachGroup is whether UpTo counts in each group of nodes.
	EachGroup bool
	// Select are the labels of the nodes that it takes, as a selector is written;
	// empty for any.
	Select string
	// AllowEmpty is whether it passes without a node.
	AllowEmpty bool
	// OneGroupAtATime is whether a group of nodes has to be healthy, and to have
	// soaked, before one of the next group is replaced.
	OneGroupAtATime bool
	// Approval is whether a person has to let it begin.
	Approval bool
	Soak     time.Duration
}

// selector is what the wave selects; nothing if that cannot be read.
func (w Wave) selector() labels.Selector {
	s, err := labels.Parse(w.Select)
	if err != nil {
		return labels.Nothing()
	}
	return s
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
