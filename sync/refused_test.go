package sync

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/reader"
	"github.com/rollcall-dev/rollcall/sync/render"
)

func TestRefused(t *testing.T) {
	t.Parallel()
	const took = 30 * time.Second
	at := time.Unix(1_800_000_000, 0)
	from, options := rendered{commit: "abc"}, render.Options{Path: "a"}
	for sentence, c := range map[string]struct {
		err error
		// rests is for how long the same commit is not read again; -1 for ever.
		rests time.Duration
	}{
		"nothing":                                {nil, 0},
		"a file that does not parse":             {&render.Error{Reason: render.InvalidYAML}, -1},
		"several":                                {render.Errors{{Reason: render.InvalidYAML}, {Reason: render.InvalidObject}}, -1},
		"a repository above a limit":             {&git.Error{Reason: git.LimitExceeded}, -1},
		"a link":                                 {&render.Error{Reason: render.BuildFailed, Err: &git.Error{Reason: git.SymlinkUnsupported}}, -1},
		"a clone that lost an object":            {&render.Error{Reason: render.BuildFailed, Err: &git.Error{Reason: git.CorruptRepository}}, 0},
		"a server that does not answer":          {&git.Error{Reason: git.Unreachable}, 0},
		"credentials":                            {&git.Error{Reason: git.AuthenticationFailed}, 0},
		"a process that could not be started":    {&reader.Error{Reason: reader.NotStarted}, 0},
		"memory":                                 {&reader.Error{Reason: reader.MemoryExceeded}, 10 * took},
		"time":                                   {&reader.Error{Reason: reader.DeadlineExceeded}, 10 * took},
		"a crash":                                {fmt.Errorf("read: %w", &reader.Error{Reason: reader.Crashed}), 10 * took},
		"an error that nobody made for anything": {errors.New("no"), 0},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			var r refused
			r.note(from, options, c.err, took, at)
			const long = 1000 * time.Hour
			for _, after := range []time.Duration{0, max(c.rests-1, 0), max(c.rests, 1), long} {
				want := c.rests < 0 || after < c.rests
				if got := r.again(from, options, at.Add(after)); (got != nil) != want {
					t.Errorf("after %s it is refused: %v, want %t", after, got, want)
				}
			}
			if r.again(from.at("def"), options, at) != nil || r.again(from, render.Options{Path: "b"}, at) != nil {
				t.Error("something else is refused too")
			}
		})
	}
}

// TestWhatCostsMuchIsTriedLessAndLess stops at once in an hour.
func TestWhatCostsMuchIsTriedLessAndLess(t *testing.T) {
	t.Parallel()
	var r refused
	at := time.Unix(1_800_000_000, 0)
	err := &reader.Error{Reason: reader.DeadlineExceeded}
	for i, want := range []int{10, 20, 40, 60, 60, 60} {
		r.note(rendered{}, render.Options{}, err, time.Minute, at)
		if got := r.until.Sub(at); got.Minutes() != float64(want) {
			t.Errorf("time %d it rests for %s, want %d min", i, got, want)
		}
	}
	r.note(rendered{}, render.Options{}, nil, time.Minute, at)
	r.note(rendered{}, render.Options{}, err, time.Minute, at)
	if got := r.until.Sub(at); got != 10*time.Minute {
		t.Errorf("after a success it rests for %s", got)
	}
}
