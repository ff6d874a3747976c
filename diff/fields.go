package diff

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// fields returns how two objects differ, but for what the API server writes itself. From may be nil: then every field
// is new. The values of Secrets are masked, also in both sides, which it returns too.
func fields(from, to map[string]any) (changes []FieldChange, before, after map[string]any) {
	before, after = masked(withoutBookkeeping(from), withoutBookkeeping(to))
	delete(before, "kind")
	delete(after, "kind")
	var c comparison
	c.maps("", before, after)
	slices.SortStableFunc(c.changes, func(a, b FieldChange) int { return strings.Compare(a.Path, b.Path) })
	return c.changes, before, after
}

// withoutBookkeeping returns a copy without what the API server writes itself and what an ID says already.
func withoutBookkeeping(object map[string]any) map[string]any {
	out := maps.Clone(object)
	for _, key := range []string{"apiVersion", "status"} {
		delete(out, key)
	}
	metadata := cloneMap(out, "metadata")
	for _, key := range []string{"name", "namespace", "managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink"} {
		delete(metadata, key)
	}
	if len(metadata) == 0 {
		delete(out, "metadata")
	}
	return out
}

// comparison collects the fields in which two trees differ. A missing branch counts as an empty one, so that every
// change is that of a leaf.
type comparison struct {
	changes []FieldChange
}

func (c *comparison) values(path string, from, to any) {
	mapFrom, fromIsMap := branch[map[string]any](from)
	mapTo, toIsMap := branch[map[string]any](to)
	listFrom, fromIsList := branch[[]any](from)
	listTo, toIsList := branch[[]any](to)
	switch {
	case reflect.DeepEqual(from, to):
	case fromIsMap && toIsMap && len(mapFrom)+len(mapTo) > 0:
		c.maps(path, mapFrom, mapTo)
	case fromIsList && toIsList && len(listFrom)+len(listTo) > 0:
		c.lists(path, listFrom, listTo)
	default:
		c.changes = append(c.changes, FieldChange{Path: path, From: spell(from), To: spell(to)})
	}
}

// branch returns the value as a map or a list. No value is an empty one.
func branch[T any](value any) (T, bool) {
	out, ok := value.(T)
	return out, ok || value == nil
}

func (c *comparison) maps(path string, from, to map[string]any) {
	for _, key := range union(from, to) {
		c.values(join(path, key), from[key], to[key])
	}
}

// lists compares lists of named elements by name and others by position.
func (c *comparison) lists(path string, from, to []any) {
	namesFrom, namedFrom := names(from)
	namesTo, namedTo := names(to)
	if !namedFrom || !namedTo {
		for i := range max(len(from), len(to)) {
			c.values(position(path, i), at(from, i), at(to, i))
		}
		return
	}
	for i, name := range namesFrom {
		c.values(named(path, name), from[i], at(to, slices.Index(namesTo, name)))
	}
	for i, name := range namesTo {
		if !slices.Contains(namesFrom, name) {
			c.values(named(path, name), nil, to[i])
		}
	}
	// The order of environment variables, of containers and of volume mounts has a meaning.
	before, after := common(namesFrom, namesTo), common(namesTo, namesFrom)
	if !slices.Equal(before, after) {
		c.changes = append(c.changes, FieldChange{Path: path + "[order]", From: spell(anys(before)), To: spell(anys(after))})
	}
}

// names returns the names of the elements of a list, and whether each has one of its own.
func names(list []any) ([]string, bool) {
	out := make([]string, 0, len(list))
	seen := map[string]bool{}
	for _, element := range list {
		object, _ := element.(map[string]any)
		name, ok := object["name"].(string)
		if !ok || seen[name] {
			return nil, false
		}
		seen[name] = true
		out = append(out, name)
	}
	return out, true
}

// common returns the strings of a that b has too, in the order of a.
func common(a, b []string) []string {
	in := map[string]bool{}
	for _, s := range b {
		in[s] = true
	}
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return !in[s] })
}

func anys(list []string) []any {
	out := make([]any, 0, len(list))
	for _, s := range list {
		out = append(out, s)
	}
	return out
}

func at(list []any, i int) any {
	if i < 0 || i >= len(list) {
		return nil
	}
	return list[i]
}

// union returns the keys of both, sorted.
func union(a, b map[string]any) []string {
	return slices.Compact(slices.Sorted(func(yield func(string) bool) {
		for _, m := range []map[string]any{a, b} {
			for key := range m {
				if !yield(key) {
					return
				}
			}
		}
	}))
}
