package rollout

import (
	"fmt"
	"strings"
)

// Sick is how much of the fleet is sick, whatever the cause: nodes that are
// NotReady, or without an available agent of any DaemonSet.
type Sick struct {
	// Nodes are sick of so many that should have an agent of any DaemonSet.
	Nodes, Of int
	// Examples are some of them by name.
	Examples []string
	// Unseen is how many rollouts have not said yet what they see.
	Unseen int
}

// tripped is why the breaker stops everything but the way back; nil while it does
// not. Nodes in flight count as sick like any other: what stops a rollout at its
// own budget is a limit below that.
func (p *pass) tripped() *Block {
	limit := p.in.Policy.MaxSick
	if limit == nil {
		return nil
	}
	s := p.in.Sick
	if s.Unseen > 0 {
		p.d.Waits = true
		return &Block{Reason: ReasonBreakerOpen, Message: fmt.Sprintf("it is not known yet how much of the fleet is sick: %d rollouts have not been looked at since rollcall started; nothing is begun until they are, returns go on", s.Unseen)}
	}
	most := Resolve(*limit, s.Of)
	if s.Nodes <= most {
		return nil
	}
	p.d.Waits = true
	return &Block{Reason: ReasonBreakerOpen, Message: fmt.Sprintf("%d of %d nodes are sick (NotReady, or without an available agent of some DaemonSet), more than the breaker's maxSickNodes (%s: %d)%s: nothing is begun until no more than %d are or the policy allows more, returns go on",
		s.Nodes, s.Of, limit.String(), most, s.examples(), most)}
}

func (s Sick) examples() string {
	if len(s.Examples) == 0 {
		return ""
	}
	return ", such as " + strings.Join(s.Examples, ", ")
}

// SickNodes are the nodes that should have an agent of the DaemonSet, and those of
// them that are sick, both sorted by name. A first version that waits for its wave
// makes no node sick.
func SickNodes(in Input) (sick, eligible []string) {
	first, removed := in.State.Proven == nil, removedFrom(&in.State)
	for i := range in.Fleet {
		n := &in.Fleet[i]
		if _, left := removed[n.UID]; !n.Eligible || vacated(n) || left && standsForNone(n) {
			continue
		}
		eligible = append(eligible, n.Name)
		a := n.Agent()
		if waits := first && n.Ready && (a == nil || a.Gated); !waits && !n.Present() {
			sick = append(sick, n.Name)
		}
	}
	return sick, eligible
}
