package main

import (
	"math/rand/v2"
	"testing"
	"time"
)

// A fleet that never rests keeps no simulation going whose rollout has come to an end
// that it does not leave by itself.
func TestSimulationEndsThoughTheFleetNeverRests(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		hold bool
		want simVerdict
	}{
		"touched nodes went back":     {want: simRejected},
		"touched nodes stay, by hold": {hold: true, want: simRejected},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := settingOf(30, "100%:bad")
			s.policy.HoldOnFailure = c.hold
			s.unrest = newUnrest(0, 720, s.fleet, rand.New(rand.NewPCG(7, 0))) //nolint:gosec // it has to be the same again
			out := simulated(t, s)
			if out.Verdict != c.want || out.Simulated.Duration > time.Hour || out.Decisions > 2000 {
				t.Errorf("%s after %s and %d decisions: %s", out.Verdict, out.Simulated.Duration, out.Decisions, out.Message)
			}
		})
	}
}
