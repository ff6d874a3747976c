package apply

import (
	"fmt"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// ReasonPolicyInvalid holds a rollout whose policy says something that the API
// server cannot check.
const ReasonPolicyInvalid = "PolicyInvalid"

// readCalendar reads the windows and freezes of a policy. The error names the
// field.
func readCalendar(spec v1alpha1.RolloutPolicySpec) (rollout.Calendar, error) {
	var out rollout.Calendar
	for i, w := range spec.Windows {
		zone := w.TimeZone
		if zone == "" {
			zone = "UTC"
		}
		if _, err := time.LoadLocation(zone); err != nil || zone == "Local" {
			return rollout.Calendar{}, fmt.Errorf("spec.windows[%d].timeZone: %q is no time zone of the IANA database, such as Europe/Berlin", i, zone)
		}
		opens, err := cron.ParseStandard("CRON_TZ=" + zone + " " + w.Schedule)
		if err != nil {
			return rollout.Calendar{}, fmt.Errorf("spec.windows[%d].schedule: %q: %w", i, w.Schedule, err)
		}
		out.Windows = append(out.Windows, rollout.Window{Opens: opens, For: w.Duration.Duration})
	}
	for _, f := range spec.Freezes {
		out.Freezes = append(out.Freezes, rollout.Freeze{Start: f.Start.Time, End: f.End.Time, Reason: f.Reason})
	}
	return out, nil
}
