package apply

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-dev/rollcall/health"
)

// Until the cache shows a write, the fleet is shown as if it did.
func TestWritesAreSeenBeforeTheCacheShowsThem(t *testing.T) {
	t.Parallel()
	var w Written
	w.note("deleted", func(x *write) { x.deleted = true })
	w.note("opened", func(x *write) { x.opened = true })
	w.note("relabelled", func(x *write) { x.revision = "new" })
	fleet := []health.Node{{Name: "n1", Agents: []health.Agent{
		{UID: "deleted", Revision: "old"}, {UID: "opened", Revision: "old", Gated: true}, {UID: "relabelled", Revision: "old"}, {UID: "other", Revision: "old", Gated: true},
	}}}

	got := w.overlay(fleet)

	want := []health.Agent{
		{UID: "deleted", Revision: "old", Terminating: true}, {UID: "opened", Revision: "old"}, {UID: "relabelled", Revision: "new"}, {UID: "other", Revision: "old", Gated: true},
	}
	if diff := cmp.Diff(want, got[0].Agents); diff != "" {
		t.Errorf("agents (-want +got):\n%s", diff)
	}
}
