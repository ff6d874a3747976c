package main

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
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
	// proven and quiet are the ticks of the proof, and since when nothing has moved.
	proven, quiet int
}

// simulate plays the rollout of a new version until its end.
func simulate(ctx context.Context, s setting) (*simulation, error) {
	r := &rehearsal{setting: s, out: s.expected(), touched: map[types.UID]bool{}, proven: sim.Never, quiet: sim.Never}
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
	waits := r.unrest.next() != sim.Never && c.Now() < r.quiet+patience
	return r.quiet != sim.Never && !waits || c.Now() >= seconds(r.limit) || r.decisions >= r.maxDecisions
}

// hear learns what the census does not show.
func (r *rehearsal) hear(f sim.Fact) {
	switch f.Event {
	case sim.Deleted, sim.Opened: // in a surge nothing is deleted
		if f.By == sim.Rollcall && f.Why == rollout.ForReplace {
			r.touched[f.NodeUID] = true
		}
	case sim.Recorded:
		r.hearRecord(f.Tick, f.Decision.Next)
	case sim.Ran, sim.BecameReady, sim.Wrote, sim.Decided, sim.Asked, sim.Died, sim.NodeLeft:
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

// unrest is what goes on in a fleet beside the rollout. A nil one is none.
type unrest struct {
	// churn is how many nodes an hour are replaced by new ones, evict how many pods
	// are evicted.
	churn, evict int
	chance       *rand.Rand
	names        []string
	// groups are those of the node that a new one takes the place of.
	groups map[string]string
	// leave is when a node that was announced to go does.
	leave                        int
	leaving                      string
	nextChurn, nextEvict, joined int
}

// notice is for how long a node is announced to go.
const notice = 30

func newUnrest(churn, evict int, fleet []health.Node, chance *rand.Rand) *unrest {
	if churn+evict == 0 {
		return nil
	}
	u := &unrest{churn: churn, evict: evict, chance: chance, groups: map[string]string{}, leave: sim.Never, nextChurn: every(churn, 0), nextEvict: every(evict, 0)}
	for _, n := range fleet {
		u.names = append(u.names, n.Name)
		u.groups[n.Name] = cmp.Or(strings.Join(n.Groups, ","), "-")
	}
	return u
}

// every is when it happens next that does so many times an hour.
func every(anHour, now int) int {
	if anHour == 0 {
		return sim.Never
	}
	return now + max(1, 3600/anHour)
}

func (u *unrest) next() int {
	if u == nil {
		return sim.Never
	}
	return min(u.nextChurn, u.nextEvict, u.leave)
}

// happen lets happen what is due.
func (u *unrest) happen(c *sim.Cluster) error {
	if u == nil {
		return nil
	}
	var commands []string
	if c.Now() >= u.leave {
		u.joined++
		name := fmt.Sprintf("%s-new-%d", strings.SplitN(u.leaving, "-new-", 2)[0], u.joined)
		commands = append(commands, "leave "+u.leaving, "join "+name+" "+u.groups[u.leaving])
		u.groups[name] = u.groups[u.leaving]
		u.names, u.leave = append(u.names, name), sim.Never
	}
	if c.Now() >= u.nextChurn && u.leave == sim.Never && len(u.names) > 0 {
		i := u.chance.IntN(len(u.names))
		u.leaving, u.leave = u.names[i], c.Now()+notice
		u.names[i] = u.names[len(u.names)-1]
		u.names, u.nextChurn = u.names[:len(u.names)-1], every(u.churn, c.Now())
		commands = append(commands, "announce "+u.leaving)
	}
	if c.Now() >= u.nextEvict && len(u.names) > 0 {
		u.nextEvict = every(u.evict, c.Now())
		commands = append(commands, "evict "+u.names[u.chance.IntN(len(u.names))])
	}
	for _, command := range commands {
		if err := c.Do(command); err != nil {
			return err
		}
	}
	return nil
}
