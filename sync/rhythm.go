package sync

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// rhythm is when Git is asked without being told to: on an interval, or by a
// schedule.
type rhythm struct {
	every    time.Duration
	schedule cron.Schedule
}

// defaultInterval is that of a GitSync with neither interval nor schedule.
const defaultInterval = time.Minute

// spread bounds by how much a poll may come after its time on the schedule, so that
// two hundred GitSyncs with the same one do not ask in the same second; it is a tenth
// of the time between two polls if that is less.
const spread = time.Minute

// rhythmOf reads it from the spec. What the API server cannot check of a schedule is
// an error, with a rhythm that is as good as never.
func rhythmOf(gs *v1alpha1.GitSync, now time.Time) (rhythm, error) {
	s := gs.Spec.Source
	if s.Schedule == "" {
		return rhythm{every: cmp.Or(s.Interval.Duration, defaultInterval)}, nil
	}
	never := rhythm{every: 24 * time.Hour}
	invalid := func(why string) error {
		return &Failure{Reason: ReasonScheduleInvalid, Message: fmt.Sprintf(`spec.source.schedule %q %s: write five fields of cron, such as "0 * * * *" or "CRON_TZ=Europe/Berlin 0 7 * * MON-FRI"`, s.Schedule, why)}
	}
	zone, fields := "UTC", strings.TrimSpace(s.Schedule)
	if rest, zoned := strings.CutPrefix(fields, "CRON_TZ="); zoned {
		zone, fields, _ = strings.Cut(rest, " ")
	}
	if _, err := time.LoadLocation(zone); err != nil || zone == "" || zone == "Local" {
		return never, invalid(fmt.Sprintf("names %q, which is no time zone of the IANA database", zone))
	}
	fields = strings.TrimSpace(fields)
	if strings.Contains(fields, "=") || strings.HasPrefix(fields, "@every") {
		return never, invalid("is no schedule")
	}
	schedule, err := cron.ParseStandard("CRON_TZ=" + zone + " " + fields)
	switch {
	case err != nil:
		return never, invalid(fmt.Sprintf("is no schedule (%v)", err))
	case schedule.Next(now).IsZero():
		return never, invalid("never comes")
	}
	return rhythm{schedule: schedule}, nil
}

// next is when to ask again after asking at a time: due is when it is time, and at is
// that with a part of chance.
func (r rhythm) next(asked time.Time) (due, at time.Time) {
	if r.schedule == nil {
		return asked.Add(r.every), asked.Add(jittered(r.every))
	}
	due = r.schedule.Next(asked)
	between := r.schedule.Next(due).Sub(due)
	return due, due.Add(rand.N(max(min(spread, between/10), 0) + 1)) //nolint:gosec // it guards nothing
}

// fresh is when the question must have gone out, at the earliest, of an answer that
// will do now.
func (r rhythm) fresh(due, now time.Time) time.Time {
	if r.schedule == nil {
		return now.Add(-r.every)
	}
	if now.Before(due) {
		return time.Time{}
	}
	return due
}
