package git

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"time"
)

// answerAge is how long an answer is kept for others.
const answerAge = time.Hour

// polls are the answers of servers that several callers share. The zero value is ready.
type polls struct {
	mu      sync.Mutex
	answers []*answer
	quiet   []quiet
}

// answer is what a server said, or is about to say, to one question.
type answer struct {
	source Source
	asked  time.Time
	done   chan struct{}
	tip    Tip
	err    error
}

// quiet is a server that wants to be left alone by these credentials until then.
type quiet struct {
	source Source
	until  time.Time
}

// Poll is Ask for many: callers with an equal source, the credentials among it, share an answer, a failure too. The
// question must have gone out after a time; otherwise it is asked again, so that nobody is told what was so before. A
// server that wants to be left alone is not asked before that is over. Tip.Asked is told with a failure too. The error
// is an *Error.
func (c *Client) Poll(ctx context.Context, s Source, after time.Time) (Tip, error) {
	if err := s.checkVerify(); err != nil {
		return Tip{Asked: time.Now()}, err
	}
	s.Verify = nil // whose signature is wanted is no part of the question
	for {
		a, mine, err := c.polls.join(s, after)
		if err != nil {
			return Tip{Asked: time.Now()}, err
		}
		if mine {
			a.tip, a.err = c.Ask(ctx, s)
			a.tip.Asked = a.asked
			close(a.done)
		}
		select {
		case <-a.done:
		case <-ctx.Done():
			return Tip{Asked: a.asked}, s.errorf(Unreachable, "stopped while waiting for the server").because(ctx.Err())
		}
		if errors.Is(a.err, context.Canceled) && ctx.Err() == nil {
			after = a.asked // whoever asked has gone away
			continue
		}
		return a.tip, a.err
	}
}

// join returns an answer that is recent enough, or a new one that the caller has to get.
func (p *polls) join(s Source, after time.Time) (a *answer, mine bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.answers = slices.DeleteFunc(p.answers, func(a *answer) bool { return now.Sub(a.asked) > answerAge })
	p.quiet = slices.DeleteFunc(p.quiet, func(q quiet) bool { return !now.Before(q.until) })
	at := slices.IndexFunc(p.answers, func(a *answer) bool { return sameSource(a.source, s) })
	if at >= 0 && p.answers[at].asked.After(after) {
		return p.answers[at], false, nil
	}
	if q := slices.IndexFunc(p.quiet, func(q quiet) bool { return sameSource(q.source, s.server()) }); q >= 0 {
		return nil, false, s.errorf(Unreachable, "the server wants to be asked no sooner than %s", clock(p.quiet[q].until)).retryAt(p.quiet[q].until)
	}
	a = &answer{source: s, asked: now, done: make(chan struct{})}
	if at >= 0 {
		p.answers[at] = a
	} else {
		p.answers = append(p.answers, a)
	}
	return a, true, nil
}

// heed notes when a server that an error came from wants to be asked again.
func (p *polls) heed(s Source, err error) {
	e, own := errors.AsType[*Error](err)
	if !own || e.RetryAt.IsZero() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.quiet = append(p.quiet, quiet{s.server(), e.RetryAt})
}

// forget drops the answers about sources that nobody follows.
func (p *polls) forget(followed []Source) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers = slices.DeleteFunc(p.answers, func(a *answer) bool {
		return !slices.ContainsFunc(followed, func(s Source) bool { return sameSource(a.source, s) })
	})
}

// sameSource is whether two sources are one in every field, whatever is added to them: what differs in a credential must not
// share an answer.
func sameSource(a, b Source) bool {
	return reflect.DeepEqual(a, b)
}
