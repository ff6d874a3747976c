package rollout

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Wherever the finger is, also beyond the end of a list that has become shorter,
// and whatever is asked for in whatever order: it finds what a binary search does.
func TestFingerFindsWhatABinarySearchDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfN(rapid.StringMatching(`[a-d]{0,2}`), 0, 40)
		f := finger(rapid.IntRange(0, 50).Draw(t, "finger"))
		for range 3 {
			list := names.Draw(t, "list")
			slices.Sort(list)
			for _, name := range names.Draw(t, "asked for") {
				want, _ := slices.BinarySearch(list, name)
				if got := f.find(name, len(list), func(i int) string { return list[i] }); got != want {
					t.Fatalf("%q is found at %d of %q, want %d", name, got, list, want)
				}
			}
		}
	})
}
