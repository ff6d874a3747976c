package git

import (
	"context"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// Tip is where a source led when the server was asked.
type Tip struct {
	// Commit is the full hex name of the commit.
	Commit string
	// Ref is the full name of the ref that led there: of a range of versions the tag that was chosen. It is empty when
	// a commit was asked for by its name.
	Ref string
	// Object is what the ref itself names: of an annotated tag the tag object, else the commit.
	Object string
	// Note is what else there is to say, in one sentence without its end; it may be empty.
	Note string
	// Asked is when the question went out.
	Asked time.Time
}

// Ask asks the server where the source leads: to what its ref names, or to the tag with the highest version of its
// range, or to its commit. An annotated tag leads to the commit that it names. It transfers the list of refs and
// nothing else. The error is an *Error.
func (c *Client) Ask(ctx context.Context, s Source) (Tip, error) {
	tip, err := c.ask(ctx, s)
	c.sent(s, "ls-remote", err)
	return tip, err
}

func (c *Client) ask(ctx context.Context, s Source) (Tip, error) {
	limits := c.Limits.orDefaults()
	ctx, cancel := context.WithTimeout(ctx, limits.ResolveTimeout)
	defer cancel()
	asked := time.Now()
	session, err := c.open(ctx, s, limits)
	if err != nil {
		return Tip{}, err
	}
	defer session.close()
	tip, err := session.find()
	tip.Asked = asked
	return tip, err
}

// find returns where the source leads by the list of refs.
func (c *session) find() (Tip, error) {
	switch {
	case c.source.Commit != "":
		return Tip{Commit: c.source.Commit, Object: c.source.Commit}, nil
	case c.source.Semver != "":
		return c.highest()
	}
	if _, ok := c.refs.References[c.source.Ref]; !ok {
		return Tip{}, c.missing()
	}
	return c.at(c.source.Ref), nil
}

// at is where a ref leads that there is.
func (c *session) at(ref string) Tip {
	object := c.refs.References[ref]
	commit, annotated := c.refs.Peeled[ref]
	if !annotated {
		commit = object
	}
	return Tip{Commit: commit.String(), Ref: ref, Object: object.String()}
}

// hash is the name of the object to fetch.
func (t Tip) hash() plumbing.Hash {
	return plumbing.NewHash(t.Object)
}
