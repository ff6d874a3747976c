package git

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// Client reads repositories into a directory. It is safe for concurrent use.
//
//	DIR/SOURCE/COMMIT/   a bare clone of depth 1; the newest and the one used before it are kept
//	DIR/SOURCE/.new-*    a clone in the making; what a crash leaves is removed by the next fetch
type Client struct {
	// Dir is where the clones lie; it is created when it is missing. Only Fetch needs it. No other process
	// may write to it.
	Dir string
	// Limits bound what a repository may cost. The zero value means the defaults.
	Limits Limits
	// Sent, if it is set, is called for each question (ls-remote) and each fetch that went out, with how it ended.
	Sent func(op string, err error)

	// tokens are those of GitHub Apps.
	tokens tokens
	polls  polls
	// swap is held while a clone is put in place and old ones are removed.
	swap sync.Mutex
}

// Fetch returns the commit that the ref names now, which Snapshot.Commit tells: the ref may have moved since
// Ask. A commit that was fetched before is not fetched again, but the server is asked first, so that the
// credentials are proven each time. When the server cannot be reached, the commit that the caller names is
// taken from an earlier fetch, if there was one; an empty commit names none. A source that is to be verified gives
// no commit that is not: the error is UnverifiedCommit then, and says of which. The error is an *Error.
func (c *Client) Fetch(ctx context.Context, s Source, commit string) (*Snapshot, error) {
	snapshot, err := c.fetch(ctx, s, commit)
	c.sent(s, "fetch", err)
	if err != nil {
		return nil, err
	}
	if err := snapshot.verify(s.Verify, snapshot.ref, time.Now()); err != nil {
		return nil, err
	}
	return snapshot, nil
}

// FetchTip is Fetch after Poll, which has proven the credentials: a commit that was fetched before is taken without
// asking the server. The error is an *Error.
func (c *Client) FetchTip(ctx context.Context, s Source, tip Tip) (*Snapshot, error) {
	kept, err := c.kept(s, plumbing.NewHash(tip.Commit))
	if err != nil || !kept.serves(s, tip.hash()) {
		return c.Fetch(ctx, s, tip.Commit)
	}
	kept.ref = tip.Ref
	if err := kept.verify(s.Verify, kept.ref, time.Now()); err != nil {
		return nil, err
	}
	return kept, nil
}

// sent tells what went out, and heeds what the server wants.
func (c *Client) sent(s Source, op string, err error) {
	c.Heed(s, err)
	if c.Sent != nil && !errors.Is(err, InvalidSource) {
		c.Sent(op, err)
	}
}

// Heed notes that a server wants to be left alone for a while, if the error says so: Poll does not ask it before.
func (c *Client) Heed(s Source, err error) { c.polls.heed(s, err) }

// fetch is Fetch of a commit that may have been signed by anybody.
func (c *Client) fetch(ctx context.Context, s Source, commit string) (*Snapshot, error) {
	limits := c.Limits.orDefaults()
	ctx, cancel := context.WithTimeout(ctx, limits.FetchTimeout)
	defer cancel()
	session, err := c.openFor(ctx, s, limits)
	if errors.Is(err, Unreachable) && plumbing.IsHash(commit) {
		if kept, openErr := c.kept(s, plumbing.NewHash(commit)); openErr == nil {
			return kept, nil
		}
	}
	if err != nil {
		return nil, err
	}
	defer session.close()
	tip, err := session.find()
	if err != nil {
		return nil, err
	}
	if kept, err := c.kept(s, plumbing.NewHash(tip.Commit)); err == nil && kept.serves(s, tip.hash()) {
		kept.ref = tip.Ref
		return kept, nil
	}
	snapshot, err := c.clone(ctx, session, tip.hash())
	if err == nil {
		snapshot.ref = tip.Ref
	}
	return snapshot, err
}

// Keep has the clone of a commit stay, if there is one, when the next commit of the ref is fetched.
func (c *Client) Keep(s Source, commit string) {
	if plumbing.IsHash(commit) {
		_, _ = c.kept(s, plumbing.NewHash(commit)) // one that cannot be read need not stay
	}
}

// Commit returns a commit that the ref has named once: from an earlier fetch, without asking the server, or else from the
// server by its name. Not every server gives what no ref names any more. No signature is asked for: that was the matter
// of Fetch, and the keys may be others now. The error is an *Error.
func (c *Client) Commit(ctx context.Context, s Source, commit string) (*Snapshot, error) {
	if !plumbing.IsHash(commit) {
		return nil, s.errorf(InvalidAnswer, "%q is not the name of a commit", commit)
	}
	hash := plumbing.NewHash(commit)
	if kept, err := c.kept(s, hash); err == nil {
		return kept, nil
	}
	snapshot, err := c.fetchNamed(ctx, s, hash)
	c.sent(s, "fetch", err)
	return snapshot, err
}

// openFor begins a session for a fetch: to get a commit by its name, it may take all that refs lead to.
func (c *Client) openFor(ctx context.Context, s Source, l Limits) (*session, error) {
	if s.Commit != "" {
		return c.openAll(ctx, s, l)
	}
	return c.open(ctx, s, l)
}

func (c *Client) fetchNamed(ctx context.Context, s Source, hash plumbing.Hash) (*Snapshot, error) {
	limits := c.Limits.orDefaults()
	ctx, cancel := context.WithTimeout(ctx, limits.FetchTimeout)
	defer cancel()
	session, err := c.openAll(ctx, s, limits)
	if err != nil {
		return nil, err
	}
	defer session.close()
	return c.clone(ctx, session, hash)
}
