package rollout

import (
	"testing"
	"time"

	"github.com/robfig/cron/v3"
)

func window(t *testing.T, schedule, zone string, open time.Duration) Window {
	t.Helper()
	s, err := cron.ParseStandard("CRON_TZ=" + zone + " " + schedule)
	if err != nil {
		t.Fatal(err)
	}
	return Window{Opens: s, For: open}
}

func clock(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestCalendar(t *testing.T) {
	office := Calendar{Windows: []Window{window(t, "0 9 * * MON-THU", "Europe/Berlin", 8*time.Hour)}}
	night := Calendar{Windows: []Window{window(t, "0 22 * * *", "Europe/Berlin", 6*time.Hour)}}
	early := Calendar{Windows: []Window{window(t, "30 2 * * *", "Europe/Berlin", time.Hour)}}
	freeze := Freeze{Start: clock(t, "2026-12-20T00:00:00Z"), End: clock(t, "2027-01-04T08:30:00Z"), Reason: "holidays"}
	frozen := Calendar{Windows: office.Windows, Freezes: []Freeze{freeze}}
	always := Calendar{Freezes: []Freeze{freeze}}
	never := Calendar{Windows: []Window{window(t, "0 0 30 2 *", "UTC", time.Hour)}}
	for sentence, c := range map[string]struct {
		calendar Calendar
		now      string
		reason   string // empty when it is open
		until    string // empty for never
	}{
		"a calendar without anything is always open":                    {Calendar{}, "2026-11-26T12:00:00Z", "", ""},
		"a window opens at its minute":                                  {office, "2026-11-26T09:00:00+01:00", "", ""},
		"a moment earlier it is closed and says when it opens":          {office, "2026-11-26T08:59:59+01:00", ReasonWindowClosed, "2026-11-26T09:00:00+01:00"},
		"it is open until its last second":                              {office, "2026-11-26T16:59:59+01:00", "", ""},
		"it closes when its time is over, over the weekend":             {office, "2026-11-26T17:00:00+01:00", ReasonWindowClosed, "2026-11-30T09:00:00+01:00"},
		"a window over midnight is open on both sides of it":            {night, "2026-11-27T03:59:59+01:00", "", ""},
		"a window over midnight closes in the morning":                  {night, "2026-11-27T04:00:00+01:00", ReasonWindowClosed, "2026-11-27T22:00:00+01:00"},
		"a window is as long as it says in the night summer time ends":  {night, "2026-10-25T03:00:00+01:00", ReasonWindowClosed, "2026-10-25T22:00:00+01:00"},
		"an opening that the clock skips does not take place":           {early, "2026-03-29T03:15:00+02:00", ReasonWindowClosed, "2026-03-30T02:30:00+02:00"},
		"an opening that comes twice opens the window the first time":   {early, "2026-10-25T02:45:00+02:00", "", ""},
		"a freeze beats a window":                                       {frozen, "2026-12-21T10:00:00+01:00", ReasonFrozen, "2027-01-04T08:30:00Z"},
		"after a freeze the window has to be open too":                  {Calendar{Windows: office.Windows, Freezes: []Freeze{{Start: freeze.Start, End: clock(t, "2027-01-01T00:00:00Z")}}}, "2026-12-21T10:00:00+01:00", ReasonFrozen, "2027-01-04T09:00:00+01:00"},
		"a freeze to come keeps the next window shut":                   {frozen, "2026-12-18T12:00:00+01:00", ReasonWindowClosed, "2027-01-04T08:30:00Z"},
		"a freeze without windows ends when it ends":                    {always, "2026-12-20T00:00:00Z", ReasonFrozen, "2027-01-04T08:30:00Z"},
		"the end of a freeze does not belong to it":                     {always, "2027-01-04T08:30:00Z", "", ""},
		"a window that never opens is told apart from one that is shut": {never, "2026-11-26T12:00:00Z", ReasonNeverOpens, ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			got := c.calendar.Closed(clock(t, c.now))
			if got == nil {
				got = &Block{}
			} else if got.Message == "" {
				t.Error("the block has no message")
			}
			var until time.Time
			if c.until != "" {
				until = clock(t, c.until)
			}
			if got.Reason != c.reason || !got.Until.Equal(until) {
				t.Errorf("block %q until %s, want %q until %s: %s", got.Reason, got.Until, c.reason, until, got.Message)
			}
		})
	}
}
