package rollout

import (
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/health"
)

// groupOf names the node's group.
func groupOf(n *health.Node) string {
	return strings.Join(n.Groups, "\x00")
}

// appendGroup appends the name of the node's group.
func appendGroup(to []byte, n *health.Node) []byte {
	for i, g := range n.Groups {
		if i > 0 {
			to = append(to, 0)
		}
		to = append(to, g...)
	}
	return to
}

// quota is how many more nodes a wave may take: of the whole fleet, or of each
// group, and then in all no more than the groups have together. Nodes whose labels
// were moved to another group since would otherwise be taken once more.
type quota struct {
	each bool
	left map[string]int
	all  int
}

// newQuota is the quota of a wave in a fleet of which the members are in waves
// already.
func newQuota(w Wave, eligible, members []*health.Node) quota {
	q := quota{each: w.EachGroup, left: map[string]int{}}
	for _, n := range eligible {
		q.left[q.of(n)]++
	}
	for g, total := range q.left {
		q.left[g] = Resolve(w.UpTo, total)
		q.all += q.left[g]
	}
	q.all -= len(members)
	for _, n := range members {
		q.left[q.of(n)]--
	}
	return q
}

func (q quota) of(n *health.Node) string {
	if q.each {
		return groupOf(n)
	}
	return ""
}

// open is whether any node is asked for.
func (q quota) open() bool {
	for _, left := range q.left {
		if left > 0 && q.all > 0 {
			return true
		}
	}
	return false
}

// take is which of the nodes the quota has room for, the first ones first.
func (q quota) take(nodes []*health.Node) []*health.Node {
	var out []*health.Node
	for _, n := range nodes {
		if q.left[q.of(n)] > 0 && q.all > len(out) {
			q.left[q.of(n)]--
			out = append(out, n)
		}
	}
	return out
}

// Portion is what one wave takes of a fleet.
type Portion struct {
	// Nodes is how many, and Groups of how many groups they are.
	Nodes, Groups int
	// Names are those of the nodes, sorted.
	Names []string
	// Empty waves ask for nodes and find none, and must not be.
	Empty bool
}

// Portions are what the waves would take of the eligible nodes of a fleet if each
// of them could be picked. A wave that is empty and must not be holds the
// rollout; what the waves after it take is then what they would when it is
// allowed to be.
func Portions(waves []Wave, fleet []health.Node, seed string) []Portion {
	var eligible []*health.Node
	for i := range fleet {
		if fleet[i].Eligible {
			eligible = append(eligible, &fleet[i])
		}
	}
	eligible = spread(eligible, seed)
	taken := map[*health.Node]bool{}
	out := make([]Portion, 0, len(waves))
	for i, w := range waves {
		var members, rest []*health.Node
		for _, n := range eligible {
			if taken[n] {
				members = append(members, n)
			} else {
				rest = append(rest, n)
			}
		}
		q, picked := newQuota(w, eligible, members), rest
		asks := q.open()
		if i < len(waves)-1 {
			picked = q.take(matching(rest, w.selector()))
		}
		groups, names := map[string]bool{}, make([]string, 0, len(picked))
		for _, n := range picked {
			groups[groupOf(n)], taken[n] = true, true
			names = append(names, n.Name)
		}
		slices.Sort(names)
		out = append(out, Portion{Nodes: len(picked), Groups: len(groups), Names: names, Empty: asks && len(picked) == 0 && !w.AllowEmpty})
	}
	return out
}
