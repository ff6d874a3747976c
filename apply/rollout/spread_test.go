package rollout

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/rollcall-dev/rollcall/health"
)

// fleetOf draws nodes in up to six groups of any size and up to forty of one node,
// in any order.
func fleetOf(t *rapid.T) []*health.Node {
	var nodes []*health.Node
	sizes := rapid.SliceOfN(rapid.IntRange(1, 30), 0, 6).Draw(t, "sizes")
	for range rapid.IntRange(0, 40).Draw(t, "ones") {
		sizes = append(sizes, 1)
	}
	for g, size := range sizes {
		for i := range size {
			name := fmt.Sprintf("n%d-%d", g, i)
			nodes = append(nodes, &health.Node{Name: name, UID: types.UID("uid-" + name), Groups: []string{"zone", fmt.Sprint(g)}})
		}
	}
	return rapid.Permutation(nodes).Draw(t, "order")
}

// However many nodes a wave takes, each group gives its share of them, rounded up
// or down.
func TestEveryPrefixTakesFromEachGroupItsShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := fleetOf(t)
		all := map[string]int{}
		for _, n := range nodes {
			all[n.Groups[1]]++
		}
		taken := map[string]int{}
		for k, n := range spread(nodes, rapid.String().Draw(t, "seed")) {
			taken[n.Groups[1]]++
			for g, size := range all {
				share := float64((k+1)*size) / float64(len(nodes))
				if least, most := int(math.Floor(share)), int(math.Ceil(share)); taken[g] < least || taken[g] > most {
					t.Fatalf("the first %d of %d take %d of the %d in group %s, want %d to %d", k+1, len(nodes), taken[g], size, g, least, most)
				}
			}
		}
	})
}

// Every node comes once, in an order that depends on the seed and the nodes
// alone: a restart has the same canaries, however its caches are sorted.
func TestSpreadIsOneOrderOfAllNodes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes, seed := fleetOf(t), rapid.String().Draw(t, "seed")
		before := slices.Clone(nodes)
		first := namesOf(spread(nodes, seed))
		if !slices.Equal(before, nodes) {
			t.Fatal("the nodes were reordered in place")
		}
		if again := namesOf(spread(rapid.Permutation(nodes).Draw(t, "another order"), seed)); !slices.Equal(first, again) {
			t.Fatalf("two orders for one seed:\n%v\n%v", first, again)
		}
		if got, want := slices.Sorted(slices.Values(first)), slices.Sorted(slices.Values(namesOf(nodes))); !slices.Equal(got, want) {
			t.Fatalf("%v is no order of %v", got, want)
		}
	})
}

// Another candidate has other canaries: no node is the one that every mistake
// is made on.
func TestSpreadDependsOnTheSeed(t *testing.T) {
	var nodes []*health.Node
	for i := range 100 {
		nodes = append(nodes, &health.Node{Name: fmt.Sprint(i), UID: types.UID("uid-" + strings.Repeat("0", 8) + fmt.Sprint(i))})
	}
	firsts := map[string]bool{}
	for i := range 50 {
		firsts[spread(nodes, fmt.Sprint("sha256:", i))[0].Name] = true
	}
	// 50 draws of 100 are 39 different ones on average.
	if len(firsts) < 30 {
		t.Errorf("50 candidates had %d different first canaries", len(firsts))
	}
}

func namesOf(nodes []*health.Node) []string {
	var out []string
	for _, n := range nodes {
		out = append(out, n.Name)
	}
	return out
}
