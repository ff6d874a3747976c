package render

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Digest is "sha256:" and the hex sum of the canonical JSON of a pod template: keys sorted, no space, and
// fields that are null left out, because null says the same as nothing. The order of lists counts.
func Digest(template map[string]any) (string, error) {
	text, err := json.Marshal(withoutNulls(template))
	if err != nil {
		return "", fmt.Errorf("encode template: %w", err)
	}
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// withoutNulls copies a value without the fields that are null.
func withoutNulls(value any) any {
	switch v := value.(type) {
	case map[string]any:
		kept := make(map[string]any, len(v))
		for name, field := range v {
			if field != nil {
				kept[name] = withoutNulls(field)
			}
		}
		return kept
	case []any:
		kept := make([]any, 0, len(v))
		for _, item := range v {
			kept = append(kept, withoutNulls(item))
		}
		return kept
	default:
		return value
	}
}
