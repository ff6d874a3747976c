package main

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/apply/rollout"
)

// simVerdict is how a simulation ended. The set is closed.
type simVerdict string

const (
	simProven     simVerdict = "Proven"     // the new version passed every wave
	simRejected   simVerdict = "Rejected"   // it failed on more nodes than the policy allows
	simHeld       simVerdict = "Held"       // nothing moves, and nothing will by itself
	simUnfinished simVerdict = "Unfinished" // the simulation was ended first
)

// simulation is what came of one.
type simulation struct {
	Policy string `json:"policy"`
	Nodes  int    `json:"nodes"`
	// LeftOut counts exported nodes that taints keep the agent from.
	LeftOut int      `json:"leftOut,omitempty"`
	Faults  []string `json:"faults,omitempty"`
	Seed    uint64   `json:"seed"`

	Verdict simVerdict `json:"verdict"`
	Reason  string     `json:"reason"`
	Message string     `json:"message"`
	// Hint is the way out of a simulation that did not end.
	Hint string `json:"hint,omitempty"`
	// Duration is until the verdict, Simulated until everything rested.
	Duration  metav1.Duration `json:"duration"`
	Simulated metav1.Duration `json:"simulated"`
	// AtLeast is how long a proof takes with nothing in its way: for every wave its
	// soak, and its nodes by the budget, until each has been Ready for long enough.
	AtLeast metav1.Duration `json:"atLeast"`
	// Pulses are how often nodes are taken one after the other in that.
	Pulses int `json:"pulses"`

	Touched int `json:"touched"`
	Hurt    int `json:"hurt"`
	// MaxUnavailable is the budget in nodes, MostUnavailable what was without an
	// available agent at once.
	MaxUnavailable  int `json:"maxUnavailable"`
	MostUnavailable int `json:"mostUnavailable"`
	Decisions       int `json:"decisions"`
	// Writes are requests to the API server.
	Writes int       `json:"writes"`
	Waves  []waveRun `json:"waves"`
	Series []point   `json:"series"`
}

// waveRun is one wave of a simulation.
type waveRun struct {
	Name string          `json:"name"`
	Soak metav1.Duration `json:"soak"`
	// Nodes are those that it took, or would have.
	Nodes int `json:"nodes"`
	// Started is when, nil for a wave that did not; Duration is until its end or
	// that of the rollout.
	Started  *metav1.Duration `json:"started,omitempty"`
	Duration *metav1.Duration `json:"duration,omitempty"`
}

// point is the fleet at a time, and until the next one.
type point struct {
	Seconds     int `json:"seconds"`
	Candidate   int `json:"candidate"`
	Unavailable int `json:"unavailable"`
	Hurt        int `json:"hurt"`
}

func (p point) same(o point) bool {
	o.Seconds = p.Seconds
	return p == o
}

// expected is what can be said of a simulation before it is made.
func (s setting) expected() *simulation {
	nodes := len(s.fleet)
	out := &simulation{Policy: s.policy.Name, Nodes: nodes, MaxUnavailable: rollout.Resolve(s.policy.MaxUnavailable, nodes)}
	each := s.readyAfter + s.policy.Health.ReadyFor
	for _, w := range wavesOf(s.policy.Waves, s.fleet, nextVersion) {
		out.Waves = append(out.Waves, waveRun{Name: w.Name, Soak: w.Soak, Nodes: w.Nodes})
		if w.Nodes == 0 {
			continue
		}
		pulses := (w.Nodes + out.MaxUnavailable - 1) / out.MaxUnavailable
		out.Pulses += pulses
		out.AtLeast.Duration += w.Soak.Duration + time.Duration(pulses)*each
	}
	return out
}

// endWaves says how long each wave took, the last one until the end.
func (s *simulation) endWaves(end int) {
	for i := range s.Waves {
		w := &s.Waves[i]
		if w.Started == nil {
			continue
		}
		until := time.Duration(end) * time.Second
		for _, next := range s.Waves[i+1:] {
			if next.Started != nil {
				until = next.Started.Duration
				break
			}
		}
		w.Duration = &metav1.Duration{Duration: until - w.Started.Duration}
	}
}

// wayOut says what to do about a rollout that did not end in that time.
func (s *simulation) wayOut(took time.Duration) string {
	if took < s.AtLeast.Duration {
		return s.hint()
	}
	return fmt.Sprintf("a proof takes %s at least, so that something keeps it from ending, such as a closed window, faults, or what --churn and --evict ask for; --max-decisions and --limit let the simulation go on", human(s.AtLeast.Duration))
}

// hint is what makes a rollout shorter that takes too long by its policy.
func (s *simulation) hint() string {
	return fmt.Sprintf("with at most %d of %d nodes unavailable this policy takes nodes %d times one after the other, for %s at least: a larger maxUnavailable, such as %s, makes that shorter; --max-decisions and --limit let the simulation go on",
		s.MaxUnavailable, s.Nodes, s.Pulses, human(s.AtLeast.Duration), s.more())
}

// more is a budget larger than that of the policy.
func (s *simulation) more() string {
	for _, percent := range []int{1, 5, 10, 25} {
		if s.Nodes*percent/100 >= 2*s.MaxUnavailable {
			return fmt.Sprintf("%d%%", percent)
		}
	}
	return "50%"
}

// human is a duration with days, for people.
func human(d time.Duration) string {
	const day = 24 * time.Hour
	if d < 2*day {
		return brief(d)
	}
	days := fmt.Sprintf("%dd", d/day)
	if rest := (d % day).Truncate(time.Hour); rest > 0 {
		return days + brief(rest)
	}
	return days
}
