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

	// swap is held while a clone is put in place and old ones are removed.
	swap sync.Mutex
}

// Resolve asks the server for the commit that the ref names; of an annotated tag it is the commit that the tag
// names. It transfers the list of refs and nothing else. The error is an *Error.
func (c *Client) Resolve(ctx context.Context, s Source) (commit string, err error) {
	limits := c.Limits.orDefaults()
	ctx, cancel := context.WithTimeout(ctx, limits.ResolveTimeout)
	defer cancel()
	session, err := open(ctx, s, limits)
	if err != nil {
		return "", err
	}
	defer session.close()
	_, peeled, err := session.find()
	if err != nil {
		return "", err
	}
	return peeled.String(), nil
}

// Fetch returns the commit that the ref names now, which Snapshot.Commit tells: the ref may have moved since
// Resolve. A commit that was fetched before is not fetched again, but the server is asked first, so that the
// credentials are proven each time. When the server cannot be reached, the commit that the caller names is
// taken from an earlier fetch, if there was one; an empty commit names none. A source that is to be verified gives
// no commit that is not: the error is UnverifiedCommit then, and says of which. The error is an *Error.
func (c *Client) Fetch(ctx context.Context, s Source, commit string) (*Snapshot, error) {
	snapshot, err := c.fetch(ctx, s, commit)
	if err != nil {
		return nil, err
	}
	if err := snapshot.verify(s.Verify, s.Ref, time.Now()); err != nil {
		return nil, err
	}
	return snapshot, nil
}

// fetch is Fetch of a commit that may have been signed by anybody.
func (c *Client) fetch(ctx context.Context, s Source, commit string) (*Snapshot, error) {
	limits := c.Limits.orDefaults()
	ctx, cancel := context.WithTimeout(ctx, limits.FetchTimeout)
	defer cancel()
	session, err := open(ctx, s, limits)
	if errors.Is(err, Unreachable) && plumbing.IsHash(commit) {
		if kept, openErr := c.kept(s, plumbing.NewHash(commit)); openErr == nil {
			return kept, nil
		}
	}
	if err != nil {
		return nil, err
	}
	defer session.close()
	tip, peeled, err := session.find()
	if err != nil {
		return nil, err
	}
	if kept, err := c.kept(s, peeled); err == nil && kept.serves(s, tip) {
		return kept, nil
	}
	return c.clone(ctx, session, tip)
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
	limits := c.Limits.orDefaults()
	ctx, cancel := context.WithTimeout(ctx, limits.FetchTimeout)
	defer cancel()
	session, err := open(ctx, s, limits)
	if err != nil {
		return nil, err
	}
	defer session.close()
	return c.clone(ctx, session, hash)
}
