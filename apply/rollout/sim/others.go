package sim

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply/rollout"
)

// others is what the rollouts of other DaemonSets do, of which the cluster has
// nothing but that. Its maps are replaced, not written to: a pass keeps what it read.
type others struct {
	// claims are the nodes that another rollout is at work on, and until when.
	claims map[string]claim
	// behind are the nodes that a predecessor has not come to; nil when there is no
	// predecessor.
	behind map[string]bool
	// sick is how many nodes of the fleet are.
	sick int
}

type claim struct {
	uid   types.UID
	until int
}

func (c *Cluster) doOthers(verb, name string, ticks int) bool {
	o := &c.asked.others
	n := c.node(name)
	switch verb {
	case "busy":
		if n != nil {
			o.claims = with(o.claims, name, claim{n.uid, c.tick + ticks})
		}
	case "idle":
		o.claims = with(o.claims, name, claim{})
	case "behind", "caught-up":
		o.behind = with(o.behind, name, verb == "behind")
	case "sick":
		o.sick = number(name)
	default:
		return false
	}
	return true
}

// with is the map with one more entry.
func with[V any](m map[string]V, key string, value V) map[string]V {
	out := maps.Clone(m)
	if out == nil {
		out = map[string]V{}
	}
	out[key] = value
	return out
}

func (c *Cluster) busy(o others) []rollout.Busy {
	var out []rollout.Busy
	for name, at := range o.claims {
		if at.until > c.tick {
			out = append(out, rollout.Busy{Node: name, UID: at.uid, By: "default/other", Until: c.opts.Start.Add(time.Duration(at.until) * time.Second)})
		}
	}
	slices.SortFunc(out, func(a, b rollout.Busy) int { return cmp.Compare(a.Node, b.Node) })
	return out
}

func (c *Cluster) after(o others) []rollout.Predecessor {
	if o.behind == nil {
		return nil
	}
	pre := rollout.Predecessor{Name: "default/before"}
	for name, is := range o.behind {
		if is {
			pre.Behind = append(pre.Behind, name)
		}
	}
	slices.Sort(pre.Behind)
	return []rollout.Predecessor{pre}
}

// sicken is how much of the fleet is sick: nodes of this DaemonSet and of others.
func (o others) sicken(in rollout.Input) rollout.Sick {
	sick, eligible := rollout.SickNodes(in)
	return rollout.Sick{Nodes: len(sick) + o.sick, Of: max(len(eligible), len(sick)+o.sick), Examples: sick[:min(len(sick), 3)]}
}
