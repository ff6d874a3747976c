package rollout

import (
	"cmp"
	"container/heap"
	"slices"

	"github.com/rollcall-dev/rollcall/health"
)

// spread orders nodes so that every prefix takes from each group its share, less
// than one node off. Within a group the order is by hash of the seed and the
// node's UID: another candidate has other canaries, a restart has the same.
//
// The j-th node (from 0) of a group of g among n has its place from ⌊j·n/g⌋ on
// and before ⌈(j+1)·n/g⌉. Each place goes to the node, of those whose turn it may
// be, that has to have one first. (Baruah, Cohen, Plaxton and Varvel,
// Proportionate Progress, 1996, have the proof that no node comes too late.)
func spread(nodes []*health.Node, seed string) []*health.Node {
	all := turns(nodes, seed)
	slices.SortFunc(all, func(a, b turn) int { return cmp.Compare(a.from, b.from) })
	var due byDeadline
	out := make([]*health.Node, 0, len(all))
	for place := range len(nodes) {
		for len(all) > 0 && all[0].from <= place {
			heap.Push(&due, &all[0])
			all = all[1:]
		}
		out = append(out, heap.Pop(&due).(*turn).node)
	}
	return out
}

// turn is when a node's place in the order may be: from the one, before the other.
type turn struct {
	node         *health.Node
	hash         uint64
	from, before int
}

func turns(nodes []*health.Node, seed string) []turn {
	places := map[string]int{}
	var groups [][]turn
	var key []byte
	for _, n := range nodes {
		key = appendGroup(key[:0], n)
		i, known := places[string(key)]
		if !known {
			i = len(groups)
			places[string(key)], groups = i, append(groups, nil)
		}
		groups[i] = append(groups[i], turn{node: n, hash: hash(seed, string(n.UID))})
	}
	all := make([]turn, 0, len(nodes))
	for _, g := range groups {
		slices.SortFunc(g, byHash)
		for j := range g {
			g[j].from = j * len(nodes) / len(g)
			g[j].before = ((j+1)*len(nodes) + len(g) - 1) / len(g)
		}
		all = append(all, g...)
	}
	return all
}

func byHash(a, b turn) int {
	if a.hash != b.hash {
		return cmp.Compare(a.hash, b.hash)
	}
	return cmp.Compare(a.node.Name, b.node.Name)
}

// byDeadline is a heap of turns, the one that must be given first on top.
type byDeadline []*turn

func (h byDeadline) Len() int      { return len(h) }
func (h byDeadline) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *byDeadline) Push(x any)   { *h = append(*h, x.(*turn)) }

func (h byDeadline) Less(i, j int) bool {
	if h[i].before != h[j].before {
		return h[i].before < h[j].before
	}
	return byHash(*h[i], *h[j]) < 0
}

func (h *byDeadline) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

// hash is FNV-1a's, mixed: its high bits hardly differ for UIDs that differ in their
// last characters, and this finalizer (murmur3's) mixes them.
func hash(parts ...string) uint64 {
	x := uint64(14695981039346656037)
	for _, s := range parts {
		for i := range len(s) {
			x = (x ^ uint64(s[i])) * 1099511628211
		}
		x *= 1099511628211 // a zero ends each part
	}
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return x
}
