package rollout

import (
	"fmt"
	"time"

	"github.com/robfig/cron/v3"
)

// Calendar says when a rollout may take another node. Its zero value is always
// open.
type Calendar struct {
	// Windows are the times at which nodes may be replaced; at any time if there
	// are none.
	Windows []Window
	// Freezes are the times at which none is, whatever the windows say.
	Freezes []Freeze
}

// Window opens again and again.
type Window struct {
	// Opens is in the window's own time zone. An opening that the clock skips
	// when summer time begins does not take place; one that comes twice when it
	// ends opens the window twice.
	Opens cron.Schedule
	// For is how long it stays open.
	For time.Duration
}

// Freeze is one span of time; End does not belong to it.
type Freeze struct {
	Start, End time.Time
	Reason     string
}

// Closed says why nothing new is replaced now, and until when; nil if it may be.
func (c Calendar) Closed(now time.Time) *Block {
	f, open := c.freeze(now), c.open(now)
	if f == nil && open {
		return nil
	}
	opens := c.opensAfter(now)
	if opens.IsZero() {
		return &Block{Reason: ReasonNeverOpens, Message: "no window of the policy ever opens: correct their schedules; returns go on"}
	}
	when := opens.Format("Mon 2006-01-02 15:04 MST")
	if f != nil {
		return &Block{Reason: ReasonFrozen, Until: opens, Message: fmt.Sprintf("frozen until %s (%s); no node is taken before %s, returns go on", f.End.UTC().Format(time.RFC3339), f.Reason, when)}
	}
	return &Block{Reason: ReasonWindowClosed, Until: opens, Message: fmt.Sprintf("outside of the policy's windows: no node is taken before %s, returns go on", when)}
}

// freeze is the one in force, or nil.
func (c Calendar) freeze(now time.Time) *Freeze {
	for i := range c.Freezes {
		if f := &c.Freezes[i]; !now.Before(f.Start) && now.Before(f.End) {
			return f
		}
	}
	return nil
}

// open is whether a window is, freezes left aside.
func (c Calendar) open(now time.Time) bool {
	for _, w := range c.Windows {
		if last := w.Opens.Next(now.Add(-w.For)); !last.IsZero() && !last.After(now) {
			return true
		}
	}
	return len(c.Windows) == 0
}

// opensAfter is the first time from now on that is in a window and in no freeze;
// zero if there is none.
func (c Calendar) opensAfter(now time.Time) time.Time {
	for t := now; !t.IsZero(); {
		switch f := c.freeze(t); {
		case f != nil:
			t = f.End
		case c.open(t):
			return t
		default:
			t = c.nextOpening(t)
		}
	}
	return time.Time{}
}

// nextOpening is the first opening of a window after t; zero if there is none.
func (c Calendar) nextOpening(t time.Time) (first time.Time) {
	for _, w := range c.Windows {
		if n := w.Opens.Next(t); !n.IsZero() && (first.IsZero() || n.Before(first)) {
			first = n
		}
	}
	return first
}
