package sim

import (
	"slices"

	"github.com/rollcall-dev/rollcall/apply/rollout"
)

// store is what rollcall records, in two objects with a resourceVersion each:
// the fleet-sized records, written first, and the status.
type store struct {
	records []rollout.Record
	owed    []rollout.Owed
	bare    []rollout.Owed
	waves   []rollout.Wave
	// about is the candidate that the records are about.
	about string
	// templates are the digests whose templates are kept beside the records.
	templates []string
	recordsRV int
	// status is everything but the records.
	status   rollout.State
	statusRV int
	last     rollout.Decision
}

// state reads back what is recorded.
func (s *store) state() rollout.State {
	out := s.status
	out.Rejected, out.InFlight = slices.Clone(out.Rejected), slices.Clone(out.InFlight)
	out.Owed, out.Records, out.About, out.Waves = slices.Clone(s.owed), slices.Clone(s.records), s.about, slices.Clone(s.waves)
	out.Bare = slices.Clone(s.bare)
	return out
}

// reading is what a leader has read of the store; it guards the next write.
type reading struct {
	state               rollout.State
	templates           []string
	recordsRV, statusRV int
}

func (s *store) read() reading {
	return reading{state: s.state(), templates: s.templates, recordsRV: s.recordsRV, statusRV: s.statusRV}
}

// writeRecords writes the first half. It returns false when somebody else wrote
// since it was read, and does not even ask when there is nothing to write.
func (s *store) writeRecords(r reading, known map[string]bool, next rollout.State) bool {
	kept := keptTemplates(known, r.state, next)
	if r.state.About == next.About && slices.Equal(r.state.Records, next.Records) && slices.Equal(r.state.Owed, next.Owed) && slices.Equal(r.state.Bare, next.Bare) && slices.Equal(r.state.Waves, next.Waves) && slices.Equal(r.templates, kept) {
		return true
	}
	if s.recordsRV != r.recordsRV {
		return false
	}
	s.records, s.owed, s.about, s.templates = slices.Clone(next.Records), slices.Clone(next.Owed), next.About, kept
	s.waves, s.bare = slices.Clone(next.Waves), slices.Clone(next.Bare)
	s.recordsRV++
	return true
}

// forget is what becomes of it when somebody deletes the object with the records: the
// proven template is found again among the revisions.
func (s *store) forget() {
	s.records, s.owed, s.waves, s.about, s.templates = nil, nil, nil, "", nil
	if p := s.status.Proven; p != nil {
		s.templates = []string{p.Digest}
	}
	s.recordsRV++
}

// keptTemplates are what the way forward and the way back need, in the state
// that is written and in the one that it replaces: the process may die before
// the status is written too.
func keptTemplates(known map[string]bool, now, next rollout.State) []string {
	var out []string
	for _, v := range []*rollout.Version{now.Proven, next.Proven, next.Candidate} {
		if v != nil && known[v.Digest] {
			out = append(out, v.Digest)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// writeStatus writes the second half in the same way.
func (s *store) writeStatus(r reading, next rollout.State) bool {
	if sameStatus(r.state, next) {
		return true
	}
	if s.statusRV != r.statusRV {
		return false
	}
	s.status = next
	s.status.Records, s.status.Owed, s.status.Bare, s.status.About, s.status.Waves = nil, nil, nil, "", nil
	s.statusRV++
	return true
}

func sameStatus(a, b rollout.State) bool {
	return sameVersion(a.Proven, b.Proven) && sameVersion(a.Candidate, b.Candidate) &&
		a.HandledRetry == b.HandledRetry && a.Wave == b.Wave && a.WaveStarted.Equal(b.WaveStarted) &&
		slices.Equal(a.Rejected, b.Rejected) && slices.Equal(a.InFlight, b.InFlight)
}

func sameVersion(a, b *rollout.Version) bool {
	return a == b || a != nil && b != nil && *a == *b
}
