package sync

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/rollcall-dev/rollcall/diff"
)

// A fight is over an object that was as the commit declares it, and that somebody
// changes back again and again:
//
//	reverts 1, 2, 3 ..... put right at once: a person who edits, and learns
//	reverts 4, 5, 6 ... . put right 10 s, 20 s, 40 s ... after, at most 10 min
//	the other one stops . it is put right once more, and shown no more when it
//	                      has stayed so for 30 s
//	a new declaration ... is written at once, and nothing is counted any more
//
// It is this process's knowledge: another one counts anew.
type fight struct {
	// declared names what Git says of the object.
	declared string
	// reverts are those so far, since the first.
	reverts int
	first   time.Time
	// until is when it is put right.
	until time.Time
	// field is the first one that was changed, and manager who wrote it.
	field, manager string
}

const (
	// patientReverts are put right at once.
	patientReverts = 3
	firstWait      = 10 * time.Second
	lastWait       = 10 * time.Minute
	// shownAfter is how long a fight is shown after the last time that the object
	// was to be put right, and countedFor how long its reverts are remembered.
	shownAfter = 30 * time.Second
	countedFor = 2 * lastWait
)

// backoff is how long after its revert an object is put right.
func backoff(reverts int) time.Duration {
	if reverts <= patientReverts {
		return 0
	}
	return min(firstWait<<min(reverts-patientReverts-1, 10), lastWait)
}

// fought is whether somebody changes the object back, and not only once or so.
func (f *fight) fought() bool { return f.reverts > patientReverts }

// shown is whether it is going on.
func (f *fight) shown(now time.Time) bool {
	return f.fought() && now.Before(f.until.Add(shownAfter))
}

// fights are all of one GitSync.
type fights map[diff.ID]*fight

// revert notes that somebody has changed back what is declared.
func (all fights) revert(id diff.ID, declared, field, manager string, now time.Time) {
	f := all[id]
	if f == nil || f.declared != declared {
		f = &fight{declared: declared, first: now}
		all[id] = f
	}
	f.reverts++
	f.field, f.manager = field, manager
	f.until = now.Add(backoff(f.reverts))
}

// waiting names what is declared of the objects that are not put right yet.
func (all fights) waiting(now time.Time) map[diff.ID]string {
	out := map[diff.ID]string{}
	for id, f := range all {
		if now.Before(f.until) {
			out[id] = f.declared
		}
	}
	return out
}

// forget drops the fights that nobody has gone on with for long, and those over
// what Git says something else of now, or nothing.
func (all fights) forget(declared func(diff.ID) string, now time.Time) {
	for id, f := range all {
		if now.Sub(f.until) >= countedFor || declared(id) != f.declared {
			delete(all, id)
		}
	}
}

// next is when something is to be put right, shown no more or counted no more; zero
// for never.
func (all fights) next(now time.Time) time.Time {
	var out time.Time
	for _, f := range all {
		for _, at := range []time.Time{f.until, f.until.Add(shownAfter), f.until.Add(countedFor)} {
			if f.fought() && now.Before(at) && (out.IsZero() || at.Before(out)) {
				out = at
			}
		}
	}
	return out
}

// fought counts the objects that were changed back more often than anybody does by
// hand, also those that are as declared now.
func (all fights) fought() int {
	count := 0
	for _, f := range all {
		if f.fought() {
			count++
		}
	}
	return count
}

// maxFights is how many of them a message spells out.
const maxFights = 3

// spell says what is fought over now, and by whom; empty when nothing is.
func (all fights) spell(now time.Time) string {
	var ids []diff.ID
	for id, f := range all {
		if f.shown(now) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return ""
	}
	slices.SortFunc(ids, diff.ID.Compare)
	out := fmt.Sprintf("%d of its objects are changed back again and again: ", len(ids))
	if len(ids) == 1 {
		out = "1 of its objects is changed back again and again: "
	}
	for _, id := range ids[:min(len(ids), maxFights)] {
		f := all[id]
		out += fmt.Sprintf("%s: %s by %q, %d times since %s, put right at %s; ", id, cmp.Or(f.field, "it is deleted"), cmp.Or(f.manager, "somebody"), f.reverts, clock(f.first), clock(f.until))
	}
	if more := len(ids) - maxFights; more > 0 {
		out += fmt.Sprintf("and %d more; ", more)
	}
	return out + "make that writer stop, or take the field out of Git; the others are as declared"
}

func clock(t time.Time) string { return t.UTC().Format(time.TimeOnly) + "Z" }
