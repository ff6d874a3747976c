package git

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
)

// flights are the fetches under way. The zero value is ready.
type flights struct {
	mu  sync.Mutex
	all []*flight
}

// flight is one fetch that several callers wait for.
type flight struct {
	source Source
	commit string
	done   chan struct{}
	got    *Snapshot
	err    error
}

// FetchTip is Fetch after Poll, which has proven the credentials: a commit that was fetched before is taken without
// asking the server. Callers with an equal source, the credentials among it, fetch a commit once, and share what went
// wrong. The error is an *Error.
func (c *Client) FetchTip(ctx context.Context, s Source, tip Tip) (*Snapshot, error) {
	commit := plumbing.NewHash(tip.Commit)
	for {
		if kept, err := c.kept(s, commit); err == nil {
			return kept, nil
		}
		f, mine := c.flights.join(s, tip.Commit)
		if mine {
			f.got, f.err = c.Fetch(ctx, s, tip.Commit)
			c.flights.leave(f)
			return f.got, f.err
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, s.errorf(Unreachable, "stopped while waiting for a fetch").because(ctx.Err())
		}
		switch {
		case errors.Is(f.err, context.Canceled) && ctx.Err() == nil: // whoever fetched has gone away
		case f.err != nil:
			return nil, f.err
		default: // the ref may have moved meanwhile; each caller has limits of its own
			commit = plumbing.NewHash(f.got.Commit.Hash)
		}
	}
}

func (f *flights) join(s Source, commit string) (_ *flight, mine bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, other := range f.all {
		if other.commit == commit && same(other.source, s) {
			return other, false
		}
	}
	own := &flight{source: s, commit: commit, done: make(chan struct{})}
	f.all = append(f.all, own)
	return own, true
}

func (f *flights) leave(own *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = slices.DeleteFunc(f.all, func(other *flight) bool { return other == own })
	close(own.done)
}
