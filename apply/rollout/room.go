package rollout

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/rollcall-dev/rollcall/health"
)

// room is how many more nodes may lose their agent: in all, and of each group if the
// policy bounds that. It is less than nothing when too many have lost it already.
type room struct {
	all    int
	groups map[string]int
}

// beside is the room that those nodes leave, which are without an agent.
func (p *pass) beside(down []*health.Node) room {
	out := room{all: p.budget(), groups: p.groupBudgets()}
	for _, n := range down {
		out.take(n)
	}
	return out
}

// groupBudgets is maxUnavailablePerGroup in nodes; nil when there is none. A group is
// the nodes with the same values of all labels of groupBy, by the labels that they have
// now.
func (p *pass) groupBudgets() map[string]int {
	if p.in.Policy.MaxUnavailablePerGroup == (intstr.IntOrString{}) {
		return nil
	}
	out := map[string]int{}
	for i := range p.in.Fleet {
		if n := &p.in.Fleet[i]; n.Eligible {
			out[groupOf(n)]++
		}
	}
	for g, size := range out {
		out[g] = Resolve(p.in.Policy.MaxUnavailablePerGroup, size)
	}
	return out
}

// has is whether the node may lose its agent too.
func (r *room) has(n *health.Node) bool {
	return r.all > 0 && (r.groups == nil || r.groups[groupOf(n)] > 0)
}

// over is whether too many have lost theirs for the node to be one of them.
func (r *room) over(n *health.Node) bool {
	return r.all < 0 || r.groups != nil && r.groups[groupOf(n)] < 0
}

func (r *room) take(n *health.Node) { r.add(n, -1) }

func (r *room) give(n *health.Node) { r.add(n, 1) }

func (r *room) add(n *health.Node, count int) {
	r.all += count
	if r.groups != nil {
		r.groups[groupOf(n)] += count
	}
}

// atOnce is how many of the nodes could lose their agent at once if all have it.
func (p *pass) atOnce(nodes []*Record) int {
	groups := p.groupBudgets()
	if groups == nil {
		return p.budget()
	}
	sum := 0
	for _, r := range nodes {
		if g := groupOf(p.node(r.Node, r.UID)); groups[g] > 0 {
			sum += groups[g]
			groups[g] = 0
		}
	}
	return min(sum, p.budget())
}

// budgetWords are the budget for a message.
func (p *pass) budgetWords() string {
	words := fmt.Sprintf("maxUnavailable (%d)", p.budget())
	if g := p.in.Policy.MaxUnavailablePerGroup; g != (intstr.IntOrString{}) {
		words += fmt.Sprintf(" or maxUnavailablePerGroup (%s)", g.String())
	}
	return words
}
