package git

import (
	"context"
	"errors"
	"sync"
	"time"
)

// tokens are those of the installations of GitHub Apps, until they are about to expire.
type tokens struct {
	mu   sync.Mutex
	held map[App]token
}

type token struct {
	value   string
	expires time.Time
}

// of is a token that is valid until then.
func (t *tokens) of(app App, until time.Time) (token, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	held, ok := t.held[app]
	return held, ok && until.Before(held.expires)
}

// hold keeps a token, and forgets those that have expired.
func (t *tokens) hold(app App, fresh token, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := map[App]token{app: fresh}
	for other, held := range t.held {
		if other != app && now.Before(held.expires) {
			kept[other] = held
		}
	}
	t.held = kept
}

// drop forgets a token, unless there is a newer one.
func (t *tokens) drop(app App, value string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held[app].value == value {
		delete(t.held, app)
	}
}

// open begins a session with what the source authenticates by. A token that was held and is not accepted may have
// been taken back: it is dropped, and a new one is tried, once.
func (c *Client) open(ctx context.Context, s Source, l Limits) (*session, error) {
	return c.session(ctx, s, l, false)
}

// openAll is open with the whole list of refs.
func (c *Client) openAll(ctx context.Context, s Source, l Limits) (*session, error) {
	return c.session(ctx, s, l, true)
}

func (c *Client) session(ctx context.Context, s Source, l Limits, everything bool) (*session, error) {
	authorized, held, err := c.authorize(ctx, s, l)
	if err != nil {
		return nil, err
	}
	conversation, err := open(ctx, authorized, l, everything)
	if s.Auth.App == (App{}) || !errors.Is(err, AuthenticationFailed) {
		return conversation, err
	}
	c.tokens.drop(s.Auth.App, authorized.Auth.Password)
	if !held {
		return conversation, err
	}
	if authorized, _, err = c.authorize(ctx, s, l); err != nil {
		return nil, err
	}
	return open(ctx, authorized, l, everything)
}

// Authorize returns the source with what can be shown to a Git server: in place of a GitHub App and its key, a token of
// its installation that outlives one fetch. Other sources are returned as they are. The error is an *Error.
func (c *Client) Authorize(ctx context.Context, s Source) (Source, error) {
	limits := c.Limits.orDefaults()
	ctx, cancel := context.WithTimeout(ctx, limits.ResolveTimeout)
	defer cancel()
	authorized, _, err := c.authorize(ctx, s, limits)
	return authorized, err
}

// authorize also returns whether the token is one from before.
func (c *Client) authorize(ctx context.Context, s Source, l Limits) (_ Source, held bool, _ error) {
	if s.Auth.App == (App{}) {
		return s, false, nil
	}
	u, err := s.check()
	if err != nil {
		return s, false, err
	}
	if u.Scheme == "ssh" {
		return s, false, nil
	}
	valid, held := c.tokens.of(s.Auth.App, time.Now().Add(l.FetchTimeout))
	if !held {
		if valid, err = s.exchange(ctx, u, l); err != nil {
			return s, false, err
		}
		c.tokens.hold(s.Auth.App, valid, time.Now())
	}
	s.Auth.App, s.Auth.Username, s.Auth.Password = App{}, githubUser, valid.value
	return s, held, nil
}
