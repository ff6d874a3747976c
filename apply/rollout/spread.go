package rollout

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/health"
)

// spread orders nodes so that every prefix takes from each group in proportion
// to the group's size. Within a group the order is by hash of the seed and the
// node's UID: another candidate has other canaries, a restart has the same.
func spread(nodes []*health.Node, seed string) []*health.Node {
	type ranked struct {
		node *health.Node
		hash uint64
		key  float64
	}
	groups := map[string][]*ranked{}
	all := make([]ranked, len(nodes))
	for i, n := range nodes {
		all[i] = ranked{node: n, hash: hash(seed, string(n.UID))}
		g := strings.Join(n.Groups, "\x00")
		groups[g] = append(groups[g], &all[i])
	}
	for _, g := range groups {
		slices.SortFunc(g, func(a, b *ranked) int { return cmp.Compare(a.hash, b.hash) })
		for i, r := range g {
			r.key = (float64(i) + 0.5) / float64(len(g))
		}
	}
	slices.SortFunc(all, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.hash, b.hash), cmp.Compare(a.node.Name, b.node.Name))
	})
	out := make([]*health.Node, len(all))
	for i, r := range all {
		out[i] = r.node
	}
	return out
}

func hash(parts ...string) uint64 {
	h := fnv.New64a()
	for _, s := range parts {
		_, _ = h.Write([]byte(s))
		_, _ = h.Write([]byte{0})
	}
	// FNV's high bits hardly differ for UIDs that differ in their last
	// characters; this finalizer (murmur3's) mixes them.
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return x
}
