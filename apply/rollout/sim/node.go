package sim

import (
	"cmp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/health"
)

// node is one machine with the DaemonSet's pods on it, or meant for it.
type node struct {
	name       string
	uid        types.UID
	groups     []string
	labels     map[string]string
	created    int
	ready      bool
	readySince int
	// dead nodes have no kubelet: nothing on them starts, stops or ends.
	dead bool
	// cut nodes are NotReady until an agent works on them again.
	cut bool
	// needs is whether it becomes so when it has had no agent since bareSince for long
	// enough; 0 for one that has.
	needs     bool
	bareSince int
	cordoned  bool
	// leaving nodes carry an autoscaler's NoSchedule taint.
	leaving bool
	held    bool
	// excluded nodes carry a lasting NoSchedule taint: no new pods, the old stay.
	excluded bool
	// virtual nodes are not eligible, get pods all the same, and start none.
	virtual bool
	// drain is how much longer than usual pods take to terminate here.
	drain int
	// taken nodes had an available agent until rollcall deleted it, and have had
	// none since that was not made from a candidate; hurt ones a candidate's that
	// failed. Both are for the census.
	taken, hurt bool
	pods        []*pod
}

// groupLabel is the label of a node that a story makes.
func groupLabel(groups []string) map[string]string {
	return map[string]string{"group": strings.Join(groups, "/")}
}

func (c *Cluster) newNode(name string, groups []string) *node {
	return &node{name: name, uid: c.uid("node-"), groups: groups, labels: groupLabel(groups), created: c.tick, ready: true, readySince: c.tick}
}

func (c *Cluster) join(name string, groups []string) {
	n := c.newNode(name, groups)
	i, _ := slices.BinarySearchFunc(c.nodes, name, func(n *node, name string) int { return cmp.Compare(n.name, name) })
	c.nodes = slices.Insert(c.nodes, i, n)
	c.changed()
}

func (c *Cluster) leave(n *node) {
	c.nodes = slices.DeleteFunc(c.nodes, func(o *node) bool { return o == n })
	c.changed()
	c.tell(Fact{Event: NodeLeft, By: Adversary, Node: n.name, NodeUID: n.uid})
}

// setReady turns the node's Ready condition; the pods of a NotReady node are
// marked so too, as the node lifecycle controller does.
func (c *Cluster) setReady(n *node, ready bool) {
	if n.ready == ready {
		return
	}
	n.ready, n.readySince = ready, c.tick
	if !ready {
		for _, p := range n.pods {
			p.setReady(c, false)
		}
	}
	c.changed()
}

// schedulable is whether the DaemonSet controller would make a pod here now.
func (c *Cluster) schedulable(n *node) bool {
	return !n.excluded && !n.leaving && (n.ready || c.opts.TolerateAll)
}

// staying are the pods that were not told to go.
func (n *node) staying() []*pod {
	return slices.DeleteFunc(slices.Clone(n.pods), func(p *pod) bool { return p.terminating })
}

// starts is whether a pod that waits for nothing else starts here now.
func (c *Cluster) starts(n *node) bool { return c.schedulable(n) && !n.virtual }

// serving is the node's agent if it is available.
func (n *node) serving() *pod {
	for _, p := range n.pods {
		if !p.terminating {
			if p.ready && n.ready {
				return p
			}
			return nil
		}
	}
	return nil
}

func (c *Cluster) viewNode(n *node, by view) health.Node {
	v := health.Node{
		Name:        n.name,
		UID:         n.uid,
		Groups:      n.groups,
		Labels:      n.labels,
		Created:     c.at(n.created),
		Ready:       n.ready,
		ReadySince:  c.at(n.readySince),
		Unreported:  n.dead && !n.ready,
		Cordoned:    n.cordoned,
		Leaving:     n.cordoned || n.leaving,
		Held:        n.held,
		Virtual:     n.virtual,
		Schedulable: c.schedulable(n),
	}
	by.mark(n, &v)
	if !v.Schedulable {
		v.Taint = n.taint()
	}
	return v
}

func (n *node) taint() string {
	switch {
	case n.leaving:
		return "ToBeDeletedByClusterAutoscaler=1:NoSchedule"
	case n.excluded:
		return "dedicated=other:NoSchedule"
	default:
		return "node.kubernetes.io/not-ready=:NoSchedule"
	}
}
