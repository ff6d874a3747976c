package rollout

import (
	"cmp"
	"slices"
	"sort"
)

// finger is a place in a list that is sorted by node name: where the search before
// has ended. Whoever goes through the fleet asks for one name after the other, and
// the answer is there or next to it. It is only where to look first: the answer is
// that of a binary search, whatever has become of the list since.
type finger int

// find returns the first place in the list whose name is not less than the one
// asked for, length if there is none. It looks further and further ahead.
func (f *finger) find(name string, length int, nameAt func(int) string) int {
	from := min(int(*f), length)
	low, high := from, from // the answer is none before low and none after high
	for step := 1; high < length && nameAt(high) < name; step *= 2 {
		low, high = high+1, min(high+step, length)
	}
	if low == from && from > 0 && nameAt(from-1) >= name {
		low = 0
	}
	*f = finger(low + sort.Search(high-low, func(i int) bool { return nameAt(low+i) >= name }))
	return int(*f)
}

func mergeRecords(sorted, added []Record) []Record {
	return merge(sorted, added, func(r Record) string { return r.Node })
}

// merge joins two lists that are to be one sorted by node name. The first is; the
// second is sorted here.
func merge[T any](sorted, added []T, name func(T) string) []T {
	if len(added) == 0 {
		return sorted
	}
	slices.SortFunc(added, func(a, b T) int { return cmp.Compare(name(a), name(b)) })
	out := make([]T, 0, len(sorted)+len(added))
	for len(sorted) > 0 && len(added) > 0 {
		if name(added[0]) < name(sorted[0]) {
			out, added = append(out, added[0]), added[1:]
		} else {
			out, sorted = append(out, sorted[0]), sorted[1:]
		}
	}
	return append(append(out, sorted...), added...)
}
