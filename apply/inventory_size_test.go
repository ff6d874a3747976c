package apply

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/diff"
)

// TestInventorySize: an inventory of 1,000 objects with names as long as labels allow fits into a status together with
// everything else, which etcd bounds at 1.5 MiB.
func TestInventorySize(t *testing.T) {
	t.Parallel()
	const limit = 256 << 10
	var plan diff.Plan
	for i := range 1000 {
		id := diff.ID{Namespace: strings.Repeat("n", 63), Name: fmt.Sprintf("%063d", i), Group: "monitoring.example.com", Kind: "PrometheusRuleGroup"}
		plan.Changes = append(plan.Changes, diff.Change{ID: id, Version: "v1alpha1", Declared: true, Operation: diff.Create})
	}
	raw, err := json.Marshal(Inventory(Set{}, plan, nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", len(raw))
	if len(raw) >= limit {
		t.Errorf("1,000 objects take %d bytes, want less than %d", len(raw), limit)
	}
}
