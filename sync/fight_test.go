package sync

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-dev/rollcall/diff"
)

func TestFightsAreBackedOff(t *testing.T) {
	t.Parallel()
	var waits []time.Duration
	for reverts := range 14 {
		waits = append(waits, backoff(reverts+1))
	}
	want := []time.Duration{0, 0, 0, 10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second, 320 * time.Second,
		10 * time.Minute, 10 * time.Minute, 10 * time.Minute, 10 * time.Minute, 10 * time.Minute}
	if d := cmp.Diff(want, waits); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if backoff(1000) != lastWait {
		t.Errorf("after 1000 reverts it waits %s", backoff(1000))
	}
}

func TestFight(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	id := diff.ID{Namespace: "a", Name: "settings", Kind: "ConfigMap"}
	all := fights{}
	for second := range 3 {
		all.revert(id, "v1", "data.key", "node-tuner", at(second))
	}
	if waits := all.waiting(at(2)); len(waits) > 0 || all.spell(at(2)) != "" || all.fought() != 0 || !all.next(at(2)).IsZero() {
		t.Errorf("three reverts wait for %v and are spelled %q", waits, all.spell(at(2)))
	}
	all.revert(id, "v1", "data.key", "node-tuner", at(3))
	if d := cmp.Diff(map[diff.ID]string{id: "v1"}, all.waiting(at(12))); d != "" {
		t.Errorf("the fourth revert waits for (-want +got):\n%s", d)
	}
	want := `1 of its objects is changed back again and again: ConfigMap a/settings: data.key by "node-tuner", 4 times since 09:00:00Z, put right at 09:00:13Z; ` +
		"make that writer stop, or take the field out of Git; the others are as declared"
	if d := cmp.Diff(want, all.spell(at(4))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for second, next := range map[int]time.Time{4: at(13), 12: at(13), 13: at(43), 42: at(43), 43: at(13).Add(countedFor)} {
		if got := all.next(at(second)); !got.Equal(next) {
			t.Errorf("at %d s it is next %s, want %s", second, got, next)
		}
	}
	if len(all.waiting(at(13))) > 0 {
		t.Error("it is not put right when it is time")
	}
	if all.spell(at(42)) == "" || all.spell(at(43)) != "" || all.fought() != 1 {
		t.Error("it is to be shown for half a minute after it was put right, and counted for longer")
	}

	same := func(diff.ID) string { return "v1" }
	all.forget(same, at(12).Add(countedFor))
	if len(all) != 1 {
		t.Error("it is forgotten while it counts")
	}
	all.forget(same, at(13).Add(countedFor))
	if len(all) != 0 {
		t.Error("it is never forgotten")
	}
}

func TestAFightEndsWithAnotherDeclaration(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	id := diff.ID{Name: "settings", Kind: "ConfigMap"}
	all := fights{}
	for range 9 {
		all.revert(id, "v1", "data.key", "x", now)
	}
	all.revert(id, "v2", "data.key", "x", now)
	if f := all[id]; f.reverts != 1 || len(all.waiting(now)) > 0 {
		t.Errorf("what another commit declares inherits %+v", f)
	}
	all.forget(func(diff.ID) string { return "" }, now)
	if len(all) != 0 {
		t.Error("what Git declares no more is fought over")
	}
}

func TestManyFights(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	all := fights{}
	for _, name := range []string{"e", "d", "c", "b", "a"} {
		for range 4 {
			all.revert(diff.ID{Name: name, Kind: "ConfigMap"}, "v1", "", "", now)
		}
	}
	got := all.spell(now)
	for _, part := range []string{`5 of its objects are changed back again and again: ConfigMap a: it is deleted by "somebody", 4 times`, "; ConfigMap b: ", "; ConfigMap c: ", "; and 2 more; "} {
		if !strings.Contains(got, part) {
			t.Errorf("%q is not in %q", part, got)
		}
	}
	if strings.Contains(got, "ConfigMap d") {
		t.Errorf("it spells out too many: %q", got)
	}
}
