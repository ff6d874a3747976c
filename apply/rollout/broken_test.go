package rollout_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"github.com/rollcall-dev/rollcall/apply/rollout"
)

type rule = func(rollout.Input) rollout.Decision

// TestBrokenRulesAreCaught breaks one rule at a time. The same stories and the
// same witness that let rollout.Decide pass have to find each of them: a
// property that no mistake can break proves nothing.
func TestBrokenRulesAreCaught(t *testing.T) {
	for what, broken := range map[string]struct {
		promise string
		rule    rule
	}{
		"P1: strays are opened instead of deleted":                   {"P1", opensStrays},
		"P1: the candidate is written without its gate":              {"P", writesUngated},
		"P1: the wave in progress is that of the policy now":         {"P1", followsEdits},
		"P1: a wave takes nodes that it does not select":             {"P1", wavesWith(func(w *rollout.Wave) { w.Select = "" })},
		"P1: a wave takes all of each group":                         {"P1", wavesWith(takesWholeGroups)},
		"P1: all groups of a wave go at once":                        {"P1", wavesWith(func(w *rollout.Wave) { w.OneGroupAtATime = false })},
		"P1: what approves one wave approves all":                    {"P1", approvesAll},
		"P1: rollcall's own node is like any other":                  {"P1", ownsNothing},
		"P1: what is blocked is written":                             {"P1", waitsForTime},
		"P9: a first version asks nobody":                            {"P9", installsAtOnce},
		"P3: a wave may always be empty":                             {"P3", wavesWith(func(w *rollout.Wave) { w.AllowEmpty = true })},
		"P2: the budget is the whole fleet":                          {"P2", ignoresBudget},
		"P2: a group has the budget of the fleet":                    {"P2", ignoresGroups},
		"P2: pods are deleted that are not recorded":                 {"P2", actsBeforeItRecords},
		"P1: nobody looks at the breaker":                            {"P1", ignoresBreaker},
		"P1: stragglers go on though the proven version fails":       {"P1", ignoresProvenFailures},
		"P2: a straggler is done when its agent is Ready":            {"P2", hurriesStragglers},
		"P9: a straggler is a return":                                {"P9", returnsStragglers},
		"P2: two rollouts are at work on one node":                   {"P2", ignoresOthers},
		"P3: nobody waits for a predecessor":                         {"P3", ignoresPredecessors},
		"P2: nodes lost leave all at once":                           {"P2", losesAtOnce},
		"P1: nobody approves a change of placement":                  {"P1", movesUnasked},
		"P1: nodes are won all at once":                              {"P", winsUngated},
		"P2: a surge is a pulse":                                     {"P2", surgesNot},
		"P3: nobody soaks":                                           {"P3", skipsSoak},
		"P3: failures are not counted":                               {"P3", countsNoFailures},
		"P3: what is not known is taken for nothing":                 {"P3", takesUnknownForNothing},
		"P4: the gated template stays":                               {"P4", leavesGate},
		"P4: a pulse waits however long it takes":                    {"P4", isPatient},
		"P5: a rejection is forgotten":                               {"P5", forgetsRejections},
		"P1: nodes go back to what is in the spec":                   {"P1", returnsToSpec},
		"P3: a candidate that came by itself may fail":               {"P3", looksAway},
		"P4: a rejected candidate stays in the spec":                 {"P4", keepsCandidate},
		"P5: what another tool writes is written":                    {"P5", ownsEverything},
		"P9: nobody looks at the calendar":                           {"P9", isAlwaysOpen},
		"P9: a decision says nothing":                                {"P9", isSilent},
		"P10: a node without a pod is not named":                     {"P10", skipsNewNodes},
		"P10: a node that failed is named twice":                     {"P10", callsTwice},
		"P10: a pod is as good as a Ready agent":                     {"P10", countsPods},
		"P10: a node that is down is so since before it was":         {"P10", timesFromTheNode},
		"liveness: nobody asks to be woken":                          {"liveness", sleeps},
		"liveness: nodes in flight stay so though they have arrived": {"liveness", neverLands},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			wantCaught(t, stories(), 10_000, broken.promise, broken.rule)
		})
	}
}

// wantCaught wants one of so many stories to find that a rule breaks a promise, and the
// right rule to keep it there.
func wantCaught(t *testing.T, stories *rapid.Generator[plan], enough int, promise string, broken rule) {
	t.Helper()
	for seed := range enough {
		story := stories.Example(seed)
		err := tell(story, broken)
		if err == nil || !breaks(err, promise) {
			continue
		}
		if err := tell(story, rollout.Decide); err != nil {
			t.Errorf("the story that caught it breaks the right rule too: %v\n%s", err, story)
		}
		return
	}
	t.Errorf("%d stories did not catch it", enough)
}

// breaks is whether the error is about the promise; P stands for any.
func breaks(err error, promise string) bool {
	rest, about := strings.CutPrefix(err.Error(), promise)
	return about && (promise == "P" || rest == "" || rest[0] < '0' || rest[0] > '9')
}

// TestARestartThatGuessesIsCaught breaks P8: a new process takes the template
// that it finds for the proven one instead of reading what is recorded.
func TestARestartThatGuessesIsCaught(t *testing.T) {
	guessing := func() (rule, func()) {
		fresh := false
		decide := func(in rollout.Input) rollout.Decision {
			if fresh && in.Live.Digest != "" {
				in.State.Proven = &rollout.Version{Digest: in.Live.Digest}
			}
			fresh = false
			return rollout.Decide(in)
		}
		return decide, func() { fresh = true }
	}
	commits, crashes := rapid.Custom(drawCommits), rapid.Custom(drawCrashes)
	for seed := range 1000 {
		story, dies := commits.Example(seed), crashes.Example(seed)
		if compareEnds(story, dies, guessing) == nil {
			continue
		}
		if err := compareEnds(story, dies, remembersAll); err != nil {
			t.Errorf("the story that caught it breaks the right rule too: %v\n%s", err, story)
		}
		return
	}
	t.Error("1000 stories did not catch it")
}

func opensStrays(in rollout.Input) rollout.Decision {
	d := rollout.Decide(in)
	for i, s := range d.Steps {
		if s.Why == rollout.ForStray {
			d.Steps[i] = rollout.Step{Action: rollout.OpenGate, Node: s.Node, Pod: s.Pod, PodUID: s.PodUID}
		}
	}
	return d
}

func writesUngated(in rollout.Input) rollout.Decision {
	d := rollout.Decide(in)
	for i := range d.Steps {
		d.Steps[i].Gated = false
	}
	return d
}

func followsEdits(in rollout.Input) rollout.Decision {
	in.State.Waves = nil
	return rollout.Decide(in)
}

// wavesWith decides by other waves than those of the policy. To change them twice
// must be the same as once.
func wavesWith(change func(*rollout.Wave)) rule {
	changed := func(waves []rollout.Wave) []rollout.Wave {
		out := slices.Clone(waves)
		for i := range out {
			change(&out[i])
		}
		return out
	}
	return func(in rollout.Input) rollout.Decision {
		in.Policy.Waves, in.State.Waves = changed(in.Policy.Waves), changed(in.State.Waves)
		return rollout.Decide(in)
	}
}

func approvesAll(in rollout.Input) rollout.Decision {
	if in.Approved != nil {
		in.Approved = &rollout.Approval{Digest: in.Approved.Digest}
	}
	return rollout.Decide(in)
}

func ownsNothing(in rollout.Input) rollout.Decision {
	in.OwnNode = ""
	return rollout.Decide(in)
}

func ignoresBreaker(in rollout.Input) rollout.Decision {
	in.Policy.MaxSick = nil
	return rollout.Decide(in)
}

// ignoresProvenFailures sees no failure at rest.
func ignoresProvenFailures(in rollout.Input) rollout.Decision {
	if in.State.Candidate == nil {
		return countsNoFailures(in)
	}
	return rollout.Decide(in)
}

// hurriesStragglers has a straggler be through as soon as any agent of it is Ready.
func hurriesStragglers(in rollout.Input) rollout.Decision {
	d := rollout.Decide(in)
	for i := range d.Next.InFlight {
		d.Next.InFlight[i].Straggler = false
	}
	return d
}

// returnsStragglers has all that holds the way forward hold no straggler.
func returnsStragglers(in rollout.Input) rollout.Decision {
	if in.State.Candidate == nil {
		in.Policy.Calendar, in.Block, in.Policy.MaxSick = rollout.Calendar{}, nil, nil
	}
	return rollout.Decide(in)
}

func ignoresOthers(in rollout.Input) rollout.Decision {
	in.Busy = nil
	return rollout.Decide(in)
}

func ignoresPredecessors(in rollout.Input) rollout.Decision {
	in.After = nil
	return rollout.Decide(in)
}

func takesWholeGroups(w *rollout.Wave) {
	if w.EachGroup {
		w.UpTo = intstr.FromString("100%")
	}
}

func ignoresBudget(in rollout.Input) rollout.Decision {
	in.Policy.MaxUnavailable = intstr.FromString("100%")
	return rollout.Decide(in)
}

func ignoresGroups(in rollout.Input) rollout.Decision {
	in.Policy.MaxUnavailablePerGroup = intstr.IntOrString{}
	return rollout.Decide(in)
}

// actsBeforeItRecords leaves out of the record what its steps are about to do.
func actsBeforeItRecords(in rollout.Input) rollout.Decision {
	d := rollout.Decide(in)
	if slices.ContainsFunc(d.Steps, func(s rollout.Step) bool { return s.Action == rollout.DeletePod }) {
		d.Next.InFlight = nil
	}
	return d
}

// surgesNot takes the agent of a node before it has the next one.
func surgesNot(in rollout.Input) rollout.Decision {
	in.Policy.Surge = false
	return rollout.Decide(in)
}

func skipsSoak(in rollout.Input) rollout.Decision {
	in.Policy.Waves = slices.Clone(in.Policy.Waves)
	for i := range in.Policy.Waves {
		in.Policy.Waves[i].Soak = 0
	}
	in.Policy.Health.ReadyFor = 0
	return rollout.Decide(in)
}

// countsNoFailures takes every agent that is there for a healthy one.
func countsNoFailures(in rollout.Input) rollout.Decision {
	in.Fleet = slices.Clone(in.Fleet)
	for i := range in.Fleet {
		n := &in.Fleet[i]
		n.Agents = slices.Clone(n.Agents)
		for j := range n.Agents {
			if a := &n.Agents[j]; a.Restarts > 0 {
				a.Restarts, a.Ready, a.Trouble.Reason = 0, true, ""
			}
		}
	}
	return rollout.Decide(in)
}

// takesUnknownForNothing goes back to the proven version because nobody knows
// what Git declares.
func takesUnknownForNothing(in rollout.Input) rollout.Decision {
	in.Unknown = nil
	return rollout.Decide(in)
}

func isPatient(in rollout.Input) rollout.Decision {
	d := rollout.Decide(in)
	if in.Live.Gated && !in.Live.Observed {
		d.Steps = nil
	}
	return d
}

func leavesGate(in rollout.Input) rollout.Decision {
	d := rollout.Decide(in)
	d.Steps = slices.DeleteFunc(d.Steps, func(s rollout.Step) bool { return s.Action == rollout.WriteTemplate && !s.Gated })
	return d
}

func forgetsRejections(in rollout.Input) rollout.Decision {
	kept := in.State.Rejected
	in.State.Rejected = nil
	d := rollout.Decide(in)
	for _, r := range kept {
		if !slices.ContainsFunc(d.Next.Rejected, func(x rollout.Rejection) bool { return x.Digest == r.Digest }) {
			d.Next.Rejected = append(d.Next.Rejected, r)
		}
	}
	if c := d.Next.Candidate; c != nil && len(kept) > 0 {
		d.Next.Records = slices.DeleteFunc(slices.Clone(d.Next.Records), func(r rollout.Record) bool { return r.Failed != "" })
	}
	return d
}

// returnsToSpec does not write the proven version back before nodes go back.
func returnsToSpec(in rollout.Input) rollout.Decision {
	if c := in.State.Candidate; c != nil && in.State.Proven != nil && in.Live.Digest == c.Digest {
		in.Live.Digest = in.State.Proven.Digest
	}
	return rollout.Decide(in)
}

// looksAway sees no failure of a candidate on nodes that are in no wave.
func looksAway(in rollout.Input) rollout.Decision {
	in.Fleet = slices.Clone(in.Fleet)
	for i := range in.Fleet {
		n := &in.Fleet[i]
		if slices.ContainsFunc(in.State.Records, func(r rollout.Record) bool { return r.UID == n.UID }) {
			continue
		}
		n.Agents = slices.Clone(n.Agents)
		for j := range n.Agents {
			if a := &n.Agents[j]; in.State.Candidate != nil && a.Digest == in.State.Candidate.Digest {
				a.Restarts, a.Ready, a.Trouble.Reason = 0, true, ""
			}
		}
	}
	return rollout.Decide(in)
}

// keepsCandidate writes the proven version back over nothing.
func keepsCandidate(in rollout.Input) rollout.Decision {
	d := rollout.Decide(in)
	if in.Policy.NewPodsCandidate && d.Next.Proven != nil {
		d.Steps = slices.DeleteFunc(d.Steps, func(s rollout.Step) bool {
			return s.Action == rollout.WriteTemplate && s.Digest == d.Next.Proven.Digest
		})
	}
	return d
}

func ownsEverything(in rollout.Input) rollout.Decision {
	in.Foreign = false
	return rollout.Decide(in)
}

func isAlwaysOpen(in rollout.Input) rollout.Decision {
	in.Policy.Calendar = rollout.Calendar{}
	return rollout.Decide(in)
}

// waitsForTime takes what blocks for a freeze.
func waitsForTime(in rollout.Input) rollout.Decision {
	if in.Block != nil {
		in.Block, in.Policy.Calendar = nil, rollout.Calendar{Freezes: []rollout.Freeze{{Start: in.Now, End: in.Now.Add(time.Hour)}}}
	}
	return rollout.Decide(in)
}

// installsAtOnce has a first version for all nodes begin whatever holds it.
func installsAtOnce(in rollout.Input) rollout.Decision {
	if in.State.Proven == nil && in.Policy.InstallAll {
		in.Paused, in.Policy.Calendar = false, rollout.Calendar{}
	}
	return rollout.Decide(in)
}

func isSilent(in rollout.Input) rollout.Decision {
	d := rollout.Decide(in)
	d.Message = ""
	return d
}

func sleeps(in rollout.Input) rollout.Decision {
	d := rollout.Decide(in)
	d.Wake = time.Time{}
	return d
}

// neverLands keeps every node in flight that ever was.
func neverLands(in rollout.Input) rollout.Decision {
	d := rollout.Decide(in)
	for _, f := range in.State.InFlight {
		if !slices.ContainsFunc(d.Next.InFlight, func(x rollout.InFlight) bool { return x.NodeUID == f.NodeUID }) {
			d.Next.InFlight = append(d.Next.InFlight, f)
		}
	}
	slices.SortFunc(d.Next.InFlight, func(a, b rollout.InFlight) int { return strings.Compare(a.Node, b.Node) })
	return d
}
