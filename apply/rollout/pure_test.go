package rollout_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rollcall-dev/rollcall/apply/rollout"
)

// TestDecideIsPure decides twice on what any story leads to: the answers are
// the same, and the question is as it was.
func TestDecideIsPure(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		asked := 0
		decide := func(in rollout.Input) rollout.Decision {
			d := rollout.Decide(in)
			if asked++; asked%7 != 0 {
				return d
			}
			before := clone(in)
			if again := rollout.Decide(in); !reflect.DeepEqual(d, again) {
				t.Fatalf("two answers to one question:\n%s", cmp.Diff(d, again))
			}
			if !reflect.DeepEqual(before, in) {
				t.Fatalf("the input was changed:\n%s", cmp.Diff(before, in))
			}
			return d
		}
		if err := tell(stories().Draw(t, "story"), decide); err != nil {
			t.Fatal(err)
		}
	})
}

// clone copies whatever a decision could write to.
func clone(in rollout.Input) rollout.Input {
	in.State.Proven, in.State.Candidate, in.Want = copyOf(in.State.Proven), copyOf(in.State.Candidate), copyOf(in.Want)
	in.State.Rejected, in.State.Records, in.State.InFlight = slices.Clone(in.State.Rejected), slices.Clone(in.State.Records), slices.Clone(in.State.InFlight)
	in.Policy.Waves = slices.Clone(in.Policy.Waves)
	in.Block, in.Unknown = copyOf(in.Block), copyOf(in.Unknown)
	in.Fleet = slices.Clone(in.Fleet)
	for i := range in.Fleet {
		n := &in.Fleet[i]
		n.Groups, n.Agents = slices.Clone(n.Groups), slices.Clone(n.Agents)
	}
	return in
}

func copyOf[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}
