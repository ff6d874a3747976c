package watch

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/rollcall-dev/rollcall/health"
)

// Join relates nodes to the pods of one DaemonSet: it returns every node as the
// DaemonSet sees it, sorted by name, each with its pods, oldest first. digestOf
// names the version of a controller-revision-hash.
func Join(nodes []*corev1.Node, pods []*corev1.Pod, p Placement, groupBy []string, digestOf func(revision string) string) []health.Node {
	entries := make([]*entry, 0, len(pods))
	for _, pod := range pods {
		entries = append(entries, newEntry(pod))
	}
	return join(nodes, entries, p, groupBy, digestOf)
}

func join(nodes []*corev1.Node, pods []*entry, p Placement, groupBy []string, digestOf func(revision string) string) []health.Node {
	out := make([]health.Node, 0, len(nodes))
	for _, n := range nodes {
		out = append(out, newNode(n, p, groupBy))
	}
	slices.SortFunc(out, func(a, b health.Node) int { return cmp.Compare(a.Name, b.Name) })
	for _, pod := range slices.SortedFunc(slices.Values(pods), older) {
		i, found := slices.BinarySearchFunc(out, pod.node, func(n health.Node, name string) int { return cmp.Compare(n.Name, name) })
		if !found {
			continue
		}
		a := pod.agent
		a.Digest = digestOf(a.Revision)
		out[i].Agents = append(out[i].Agents, a)
	}
	return out
}

func older(a, b *entry) int {
	return cmp.Or(a.agent.Created.Compare(b.agent.Created), cmp.Compare(a.agent.Name, b.agent.Name))
}
