package sync

import (
	"testing"

	"github.com/rollcall-dev/rollcall/diff"
)

// A pass that looked and found nothing to keep is not one that did not look: the
// metric of what was kept before would stay.
func TestNothingKeptIsKnown(t *testing.T) {
	t.Parallel()
	none := observed{plan: diff.Plan{Changes: []diff.Change{{Operation: diff.Delete}}}}
	if got := none.kept(); got == nil || len(got) > 0 {
		t.Errorf("kept are %#v, want an empty list", got)
	}
	some := observed{plan: diff.Plan{Changes: []diff.Change{{Declared: true, Operation: diff.Keep}, {Operation: diff.Keep, Reason: diff.ReasonInUse}}}}
	if got := some.kept(); len(got) != 1 || got[0].Reason != diff.ReasonInUse {
		t.Errorf("kept are %v, want what Git does not declare", got)
	}
}
