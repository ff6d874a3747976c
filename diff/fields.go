package diff

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// fields returns how two objects differ, but for what the API server writes itself. From may be nil: then every field
// is new. The values of Secrets are masked.
func fields(from, to map[string]any) []FieldChange {
	maskedFrom, maskedTo := masked(withoutBookkeeping(from), withoutBookkeeping(to))
	var c comparison
	c.maps("", maskedFrom, maskedTo)
	slices.SortStableFunc(c.changes, func(a, b FieldChange) int { return strings.Compare(a.Path, b.Path) })
	return c.changes
}

// withoutBookkeeping returns a copy without what the API server writes itself.
func withoutBookkeeping(object map[string]any) map[string]any {
	out := maps.Clone(object)
	delete(out, "status")
	metadata := cloneMap(out, "metadata")
	for _, key := range []string{"managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink"} {
		delete(metadata, key)
	}
	return out
}

// comparison collects the fields in which two trees differ. A missing branch counts as an empty one, so that every
// change is that of a leaf.
type comparison struct {
	changes []FieldChange
}

func (c *comparison) values(path string, from, to any) {
	mapFrom, fromIsMap := from.(map[string]any)
	mapTo, toIsMap := to.(map[string]any)
	listFrom, fromIsList := from.([]any)
	listTo, toIsList := to.([]any)
	switch {
	case reflect.DeepEqual(from, to):
	case (fromIsMap || from == nil) && (toIsMap || to == nil) && len(mapFrom)+len(mapTo) > 0:
		c.maps(path, mapFrom, mapTo)
	case (fromIsList || from == nil) && (toIsList || to == nil) && len(listFrom)+len(listTo) > 0:
		c.lists(path, listFrom, listTo)
	default:
		c.changes = append(c.changes, FieldChange{Path: path, From: spell(from), To: spell(to)})
	}
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
