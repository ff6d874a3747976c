package diff

import (
	"maps"
	"reflect"
	"strings"
)

// hidden stands where the value of a Secret stood.
type hidden string

// The forms of a hidden value. Two forms tell that it changes.
const (
	hiddenValue  hidden = "***"
	hiddenBefore hidden = "*** (before)"
	hiddenAfter  hidden = "*** (after)"
)

// masked returns both sides of a comparison without the values of Secrets. It is the only way into a comparison, and
// so the only place that a value could get past.
//
// Of a Secret it shows what it knows to be harmless and hides all else: a field that nobody expects there is more
// likely a secret than worth reading. If either side calls itself a Secret, both are: the kind that the server parsed
// counts as well as the one that was asked for. An annotation of a client-side apply holds a copy of the whole object,
// so it is hidden on every kind.
func masked(from, to map[string]any) (maskedFrom, maskedTo map[string]any) {
	maskedFrom, maskedTo = maps.Clone(from), maps.Clone(to)
	if isSecret(from) || isSecret(to) {
		for _, key := range union(from, to) {
			if !harmless(key) {
				hide(maskedFrom, maskedTo, key)
			}
		}
	}
	fromAnnotations, toAnnotations := cloneMap(maskedFrom, "metadata", "annotations"), cloneMap(maskedTo, "metadata", "annotations")
	for _, key := range union(fromAnnotations, toAnnotations) {
		if strings.HasSuffix(strings.ToLower(key), "last-applied-configuration") {
			hide(fromAnnotations, toAnnotations, key)
		}
	}
	return maskedFrom, maskedTo
}

func isSecret(object map[string]any) bool {
	kind, _ := object["kind"].(string)
	return strings.EqualFold(kind, "Secret")
}

func harmless(key string) bool {
	switch key {
	case "apiVersion", "kind", "metadata", "type", "immutable":
		return true
	default:
		return false
	}
}

// hide replaces the values of a key on both sides; of a map it leaves the keys to see.
func hide(from, to map[string]any, key string) {
	a, inFrom := from[key]
	b, inTo := to[key]
	mapA, isMapA := a.(map[string]any)
	mapB, isMapB := b.(map[string]any)
	switch {
	case (isMapA || !inFrom) && (isMapB || !inTo):
		mapA, mapB = maps.Clone(mapA), maps.Clone(mapB)
		for _, k := range union(mapA, mapB) {
			hide(mapA, mapB, k)
		}
		replace(from, key, inFrom, mapA)
		replace(to, key, inTo, mapB)
	case inFrom && inTo && !reflect.DeepEqual(a, b):
		from[key], to[key] = hiddenBefore, hiddenAfter
	default:
		replace(from, key, inFrom, hiddenValue)
		replace(to, key, inTo, hiddenValue)
	}
}

func replace(object map[string]any, key string, present bool, value any) {
	if present {
		object[key] = value
	}
}

// cloneMap replaces the map at the path by a copy of its own and returns it; nil when there is none.
func cloneMap(object map[string]any, path ...string) map[string]any {
	for _, key := range path {
		child, ok := object[key].(map[string]any)
		if !ok {
			return nil
		}
		child = maps.Clone(child)
		object[key], object = child, child
	}
	return object
}
