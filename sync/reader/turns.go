package reader

import (
	"context"
	"slices"
	"sync"
)

// turns lets so many children run at once. They go in the order in which they were asked for, but for two rules:
//
//   - of one home, which is a directory that a child writes to, one child at a time;
//   - those whose last child was killed, or took long, never take the last place, so that those who hurt nobody wait for each other
//     and not for a deadline that somebody else always takes whole.
//
// The zero value lets one run.
type turns struct {
	// most is how many run at once.
	most int

	mu      sync.Mutex
	running []*turn
	waiting []*turn
	// suspects are those whose last child was killed, or took long.
	suspects map[string]bool
}

// turn is one child that runs or waits to.
type turn struct {
	who, home string
	granted   chan struct{}
}

// take waits for a turn. Whoever got one calls done when the child is gone, with whether it was killed or slow.
func (t *turns) take(ctx context.Context, who, home string) (done func(hog bool), err error) {
	mine := &turn{who: who, home: home, granted: make(chan struct{})}
	t.mu.Lock()
	t.waiting = append(t.waiting, mine)
	t.grant()
	t.mu.Unlock()
	select {
	case <-mine.granted:
	case <-ctx.Done():
		t.drop(mine)
		return nil, ctx.Err()
	}
	return func(hog bool) {
		t.judge(who, hog)
		t.drop(mine)
	}, nil
}

func (t *turns) judge(who string, hog bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.suspects == nil {
		t.suspects = map[string]bool{}
	}
	if hog {
		t.suspects[who] = true
	} else {
		delete(t.suspects, who)
	}
}

// drop forgets a turn, whether it had begun or not.
func (t *turns) drop(mine *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	is := func(other *turn) bool { return other == mine }
	t.running, t.waiting = slices.DeleteFunc(t.running, is), slices.DeleteFunc(t.waiting, is)
	t.grant()
}

// grant begins all turns that may begin now. The caller holds the lock.
func (t *turns) grant() {
	for {
		i := slices.IndexFunc(t.waiting, t.mayRun)
		if i < 0 {
			return
		}
		next := t.waiting[i]
		t.waiting = slices.Delete(t.waiting, i, i+1)
		t.running = append(t.running, next)
		close(next.granted)
	}
}

func (t *turns) mayRun(next *turn) bool {
	suspects := 0
	for _, other := range t.running {
		if other.home == next.home {
			return false
		}
		if t.suspects[other.who] {
			suspects++
		}
	}
	most := max(t.most, 1)
	if len(t.running) >= most {
		return false
	}
	return !t.suspects[next.who] || suspects < max(most-1, 1)
}

// forget drops what is known of whoever asks no more.
func (t *turns) forget(who string) {
	t.judge(who, false)
}
