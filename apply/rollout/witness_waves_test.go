package rollout_test

import (
	"slices"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/health"
)

// limitOf is how many nodes a version may have reached when the wave has begun.
func limitOf(waves []rollout.Wave, wave int, fleet []health.Node) int {
	if wave == len(waves)-1 {
		return 1 << 30
	}
	limit := 0
	for _, size := range sizes(fleet, waves[wave]) {
		limit += share(waves[wave].UpTo, size)
	}
	return limit
}

// sizes counts the eligible nodes among which the wave counts: those of each
// group, or all.
func sizes(fleet []health.Node, w rollout.Wave) map[string]int {
	out := map[string]int{}
	for i := range fleet {
		if fleet[i].Eligible || fleet[i].Won {
			out[countedIn(&fleet[i], w)]++
		}
	}
	return out
}

func countedIn(n *health.Node, w rollout.Wave) string {
	if w.EachGroup {
		return n.Groups[0]
	}
	return ""
}

// seeWaves holds what is recorded of a wave against what the policy says of it:
// which nodes it takes, how many, and that it has any.
func (w *witness) seeWaves(in *rollout.Input, s rollout.State, waves []rollout.Wave) {
	seen := map[types.UID]bool{}
	took := map[string]bool{}
	wave, last := waves[s.Wave], s.Wave == len(waves)-1
	groups := w.reach[s.Candidate.Digest].groups
	for _, r := range s.Records {
		if seen[r.UID] {
			w.accuse("P1", "%s is in two waves", r.Node)
		}
		seen[r.UID] = true
		before := slices.IndexFunc(in.State.Records, func(x rollout.Record) bool { return x.UID == r.UID })
		n := find(in.Fleet, r.UID)
		_, known := groups[r.UID]
		switch {
		case known && before >= 0 && in.State.About == s.About && in.State.Records[before].Wave != r.Wave && !r.KeptOut && goesOn(in.State, s):
			w.accuse("P1", "%s was in wave %d and is in wave %d", r.Node, in.State.Records[before].Wave, r.Wave)
		case (before < 0 || !known) && n != nil && r.Wave == s.Wave:
			took[countedIn(n, wave)] = true
			if !last && r.Node == in.OwnNode && !alone(in.Fleet, r.UID) && s.Proven != nil && (n.Agent() == nil || n.Agent().Digest == s.Proven.Digest) {
				w.accuse("P1", "wave %s takes %s, on which rollcall runs", wave.Name, r.Node)
			}
			if a := in.Approved; wave.Approval && !r.Late && (a == nil || a.Digest != s.Candidate.Digest || a.Wave != "" && a.Wave != wave.Name) {
				w.accuse("P1", "wave %s takes %s without approval", wave.Name, r.Node)
			}
			groups[r.UID] = n.Groups[0]
			if r.Node == in.OwnNode {
				w.reach[s.Candidate.Digest].last[r.UID] = true
			}
			if selector, err := labels.Parse(wave.Select); (err != nil || !selector.Matches(labels.Set(n.Labels))) && !(w.everForgotten && w.runs(r.UID, s.Candidate.Digest)) {
				w.accuse("P1", "wave %s takes %s, which %q does not select", wave.Name, r.Node, wave.Select)
			}
		}
	}
	counts, all := members(in.Fleet, s, wave, s.Wave), sizes(in.Fleet, wave)
	for group := range took {
		if most := share(wave.UpTo, all[group]); !last && counts[group] > most {
			w.accuse("P1", "wave %s has %d nodes of group %q, at most %d of %d allowed", wave.Name, counts[group], group, most, all[group])
		}
	}
	w.seeSkipped(in, s, waves)
	w.seeGroups(in, s, wave)
	w.seeOwn(in, s)
}

// alone is whether no other node could be taken in its stead.
func alone(fleet []health.Node, uid types.UID) bool {
	return !slices.ContainsFunc(fleet, func(n health.Node) bool { return n.UID != uid && n.Eligible && !n.Held })
}

// begins is whether the node is first given the candidate by this decision.
func begins(in *rollout.Input, r rollout.Record) bool {
	return r.Touched.Equal(in.Now) && !r.Ran && !slices.ContainsFunc(in.State.Records, func(x rollout.Record) bool { return x.UID == r.UID && !x.Touched.IsZero() })
}

// seeOwn wants every other node of the waves so far to be done before the one that
// rollcall runs on is begun.
func (w *witness) seeOwn(in *rollout.Input, s rollout.State) {
	for _, r := range s.Records {
		n := find(in.Fleet, r.UID)
		if r.Node != in.OwnNode || !begins(in, r) || alone(in.Fleet, r.UID) || n == nil || n.Agent() == nil || s.Proven == nil || n.Agent().Digest != s.Proven.Digest {
			continue
		}
		for _, other := range s.Records {
			o := find(in.Fleet, other.UID)
			late := other.Late && !slices.ContainsFunc(in.State.Records, func(x rollout.Record) bool { return x.UID == other.UID && !x.Touched.IsZero() })
			if o == nil || other.UID == r.UID || late || other.Failed != "" || other.Excused || o.Held || !o.Eligible && !o.Won || hasLeft(o) {
				continue
			}
			if !healthySince(o, s.Candidate.Digest, in, 0) {
				w.accuse("P1", "%s, on which rollcall runs, is begun, and %s is not done", r.Node, other.Node)
			}
		}
	}
}

// seeGroups wants every node of a group that was begun in the wave to be healthy,
// and to have soaked, before one of another group is begun. A node that ran the
// candidate before the wave began does not begin its group.
func (w *witness) seeGroups(in *rollout.Input, s rollout.State, wave rollout.Wave) {
	attempt := w.reach[s.Candidate.Digest]
	groups, last := attempt.groups, attempt.last
	begun := map[string]bool{}
	for _, r := range s.Records {
		bySelf := w.inSpec && r.Found // and then nobody began its group
		attempt.begun[r.UID] = attempt.begun[r.UID] || begins(in, r) && !bySelf
	}
	for _, r := range in.State.Records {
		if r.Wave == s.Wave && attempt.begun[r.UID] && !r.Touched.IsZero() && in.State.About == s.About {
			begun[groups[r.UID]] = true
		}
	}
	for _, r := range s.Records {
		if !wave.OneGroupAtATime || s.Proven == nil || r.Wave != s.Wave || r.Late || !begins(in, r) {
			continue // one that joined a group that falls back is taken with it
		}
		for _, other := range s.Records {
			n := find(in.Fleet, other.UID)
			if n == nil || other.Wave != s.Wave || groups[other.UID] == groups[r.UID] || !begun[groups[other.UID]] {
				continue
			}
			done := other.Late || other.Node == in.OwnNode || last[other.UID] || other.Failed != "" || other.Excused || n.Held || !n.Eligible && !n.Won || hasLeft(n) || healthySince(n, s.Candidate.Digest, in, wave.Soak)
			if !done {
				w.accuse("P1", "%s of group %s is begun, and %s of group %s is not done", r.Node, groups[r.UID], other.Node, groups[other.UID])
			}
		}
	}
}

// goesOn is whether the waves of the one state are those of the other.
func goesOn(before, after rollout.State) bool {
	return !before.WaveStarted.IsZero() && after.Wave >= before.Wave
}

// members counts the nodes in waves up to that one.
func members(fleet []health.Node, s rollout.State, w rollout.Wave, upTo int) map[string]int {
	out := map[string]int{}
	for _, r := range s.Records {
		if n := find(fleet, r.UID); n != nil && r.Wave <= upTo {
			out[countedIn(n, w)]++
		}
	}
	return out
}

// seeSkipped wants a reason for each wave that was passed without a node.
func (w *witness) seeSkipped(in *rollout.Input, s rollout.State, waves []rollout.Wave) {
	first := in.State.Wave
	if !in.State.WaveStarted.IsZero() {
		first++
	}
	if w.reach[s.Candidate.Digest] == nil || in.State.Candidate == nil || in.State.Candidate.Digest != s.Candidate.Digest || s.HandledRetry != in.State.HandledRetry && in.Retry == s.Candidate.Digest {
		first = 0
	}
	for i := first; i < s.Wave; i++ {
		taken := slices.ContainsFunc(s.Records, func(r rollout.Record) bool { return r.Wave == i })
		if !taken && !waves[i].AllowEmpty && w.asks(in, s, waves[i], i) {
			w.accuse("P3", "wave %s is passed without a node", waves[i].Name)
		}
	}
}

// asks is whether the wave wants more nodes than the waves up to it have, and one
// could come.
func (w *witness) asks(in *rollout.Input, s rollout.State, wave rollout.Wave, index int) bool {
	counts, open, all := members(in.Fleet, s, wave, index), false, 0
	for group, size := range sizes(in.Fleet, wave) {
		want := min(share(wave.UpTo, size), size)
		open = open || counts[group] < want
		all += want
	}
	for _, count := range counts {
		all -= count
	}
	open = open && all > 0 // labels moved since may have left a group without a node of its own
	left := slices.ContainsFunc(in.Fleet, func(n health.Node) bool {
		return n.Eligible && !n.Held && n.Name != in.OwnNode && !slices.ContainsFunc(s.Records, func(r rollout.Record) bool { return r.UID == n.UID && r.Wave <= index })
	})
	return open && (left || wave.Select != "")
}
