package main

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/apply/rollout/sim"
	"github.com/rollcall-dev/rollcall/health"
)

// setting is everything that a simulation depends on.
type setting struct {
	policy rollout.Policy
	fleet  []health.Node
	// faults are by node name.
	faults     map[string]string
	readyAfter time.Duration
	start      time.Time
	// limit is until when, maxDecisions how long the simulation goes on.
	limit        time.Duration
	maxDecisions int
	unrest       *unrest
}

// The versions of every simulation, as messages name them.
const (
	oldVersion  = "v1"
	nextVersion = "v2"
)

// rehearsal is a simulation in progress.
type rehearsal struct {
	setting
	cluster   *sim.Cluster
	out       *simulation
	decisions int
	touched   map[types.UID]bool
	// wave is the start of the last one.
	wave time.Time
	// proven and quiet are the ticks of the proof, and since when nothing has moved; held is
	// since when a rollout is held, whatever else moves in the fleet.
	proven, quiet, held int
}

// simulate plays the rollout of a new version until its end.
func simulate(ctx context.Context, s setting) (*simulation, error) {
	r := &rehearsal{setting: s, out: s.expected(), touched: map[types.UID]bool{}, proven: sim.Never, quiet: sim.Never, held: sim.Never}
	o := sim.Options{Fleet: s.fleet, Faults: s.faults, Proven: oldVersion, Policy: s.policy, Start: s.start, ReadyAfter: seconds(s.readyAfter), Trace: r.hear}
	o.Decide = func(in rollout.Input) rollout.Decision {
		r.decisions++
		return rollout.Decide(in)
	}
	r.cluster = sim.New(o)
	for _, command := range []string{"commit " + nextVersion, "approve"} {
		if err := r.cluster.Do(command); err != nil {
			return nil, fmt.Errorf("simulate: %w", err)
		}
	}
	r.sample()
	for !r.over() {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("simulate: %w", err)
		}
		if err := r.step(); err != nil {
			return nil, fmt.Errorf("simulate: %w", err)
		}
	}
	r.judge()
	return r.out, nil
}

// seconds rounds up.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// step lets time pass until something happens, and that happen.
func (r *rehearsal) step() error {
	c := r.cluster
	limit := seconds(r.limit)
	c.SkipTo(min(c.Next(), r.unrest.next(), limit))
	if c.Now() >= limit {
		return nil
	}
	if err := r.unrest.happen(c); err != nil {
		return err
	}
	c.Tick()
	r.sample()
	return nil
}

// patience is for how long a rollout that rests is looked at while the fleet
// does not.
const patience = 600

// over is whether there is nothing left to see.
func (r *rehearsal) over() bool {
	c := r.cluster
	if r.proven != sim.Never && len(c.State().InFlight) == 0 {
		return true // what is left are labels
	}
	if c.Next() != sim.Never {
		r.quiet = sim.Never
	} else if r.quiet == sim.Never {
		r.quiet = c.Now()
	}
	if r.settled() {
		r.quiet = min(r.quiet, max(r.held, r.lastChange()))
		return true
	}
	waits := r.unrest.next() != sim.Never && c.Now() < r.quiet+patience
	return r.quiet != sim.Never && !waits || c.Now() >= seconds(r.limit) || r.decisions >= r.maxDecisions
}

// settled is whether the rollout has come to an end that it does not leave by itself,
// and nothing of it has changed for long enough, though the fleet never rests.
func (r *rehearsal) settled() bool {
	if r.unrest.next() == sim.Never || r.held == sim.Never {
		return false
	}
	return r.cluster.Now() >= max(r.held, r.lastChange())+patience
}

// lastChange is when the census last was another one.
func (r *rehearsal) lastChange() int { return r.out.Series[len(r.out.Series)-1].Seconds }

// hear learns what the census does not show.
func (r *rehearsal) hear(f sim.Fact) {
	switch f.Event {
	case sim.Deleted, sim.Opened: // in a surge nothing is deleted
		if f.By == sim.Rollcall && f.Why == rollout.ForReplace {
			r.touched[f.NodeUID] = true
		}
	case sim.Recorded:
		r.hearEnd(f.Tick, f.Decision)
		r.hearRecord(f.Tick, f.Decision.Next)
	case sim.Ran, sim.BecameReady, sim.Wrote, sim.Decided, sim.Asked, sim.Died, sim.NodeLeft:
	}
}

// hearEnd learns since when the rollout is rejected, or held and waits for no time. On
// its way back it may be from time to time, for what the fleet does to its nodes.
func (r *rehearsal) hearEnd(tick int, d rollout.Decision) {
	rejected := len(d.Next.Rejected) > 0
	switch {
	case d.Phase == rollout.Rejected, d.Phase == rollout.Held && d.Wake.IsZero(), rejected && r.held != sim.Never:
		r.held = min(r.held, tick)
	default:
		r.held = sim.Never
	}
}

func (r *rehearsal) hearRecord(tick int, s rollout.State) {
	if s.Proven != nil && s.Proven.Digest == nextVersion {
		r.proven = min(r.proven, tick)
	}
	if s.WaveStarted.IsZero() || s.WaveStarted.Equal(r.wave) || s.Wave >= len(r.out.Waves) {
		return
	}
	r.wave = s.WaveStarted
	w := &r.out.Waves[s.Wave]
	if w.Started != nil {
		return // it is begun anew for nodes that left
	}
	w.Nodes = 0
	for _, record := range s.Records {
		if record.Wave == s.Wave {
			w.Nodes++
		}
	}
	w.Started = elapsed(tick)
}

// elapsed is the time from the start to the tick.
func elapsed(tick int) *metav1.Duration {
	return &metav1.Duration{Duration: time.Duration(tick) * time.Second}
}

// sample takes a census, and keeps it if it is another one.
func (r *rehearsal) sample() {
	c := r.cluster.Count()
	p := point{Seconds: r.cluster.Now(), Candidate: c.Candidate, Unavailable: c.Unavailable, Hurt: c.Hurt}
	r.out.MostUnavailable = max(r.out.MostUnavailable, c.Unavailable)
	last := len(r.out.Series) - 1
	if last >= 0 && r.out.Series[last].same(p) {
		return
	}
	r.out.Series = append(r.out.Series, p)
}

// judge says how it ended.
func (r *rehearsal) judge() {
	c, out := r.cluster, r.out
	d := c.Last()
	end := c.Now()
	out.Reason, out.Message = d.Reason, d.Message
	switch failed := c.Rejection(nextVersion); {
	case r.proven != sim.Never:
		out.Verdict, end = simProven, r.proven
		out.Reason, out.Message = rollout.ReasonProven, fmt.Sprintf("%s passed every wave", nextVersion)
	case failed != nil:
		out.Verdict, end = simRejected, seconds(failed.At.Sub(r.start))
		out.Reason = failed.Reason
	case r.quiet != sim.Never:
		out.Verdict, end = simHeld, r.quiet
	default:
		out.Verdict = simUnfinished
		out.Message = fmt.Sprintf("%s after %s: %s", r.stopped(), human(time.Duration(end)*time.Second), d.Message)
		out.Hint = out.wayOut(time.Duration(end) * time.Second)
	}
	out.Duration, out.Simulated = *elapsed(end), *elapsed(min(c.Now(), r.quiet))
	if out.Verdict == simProven {
		out.Simulated = *elapsed(c.Now())
	}
	out.Touched, out.Hurt = len(r.touched), out.Series[len(out.Series)-1].Hurt
	out.Decisions, out.Writes = r.decisions, c.Writes()
	out.endWaves(end)
}

func (r *rehearsal) stopped() string {
	if r.decisions >= r.maxDecisions {
		return fmt.Sprintf("stopped by --max-decisions %d", r.maxDecisions)
	}
	return "stopped by --limit"
}
