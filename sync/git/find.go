package git

import (
	"context"
	"maps"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// Find returns the source with the ref, or the commit, that a person means by a short name: a branch or a tag, the full
// name of a ref or of a commit, or nothing for the server's default branch. The error is an *Error.
func (c *Client) Find(ctx context.Context, s Source, name string) (Source, error) {
	if plumbing.IsHash(name) {
		s.Ref, s.Commit = "", name
		return s, nil
	}
	asked := s
	asked.Ref, asked.Commit = "refs/heads/"+name, ""
	if name == "" {
		asked.Ref = "refs/heads/main" // only the list of refs is asked for
	}
	limits := c.Limits.orDefaults()
	ctx, cancel := context.WithTimeout(ctx, limits.ResolveTimeout)
	defer cancel()
	session, err := c.openAll(ctx, asked, limits)
	if err != nil {
		return s, err
	}
	defer session.close()
	for _, full := range session.called(name) {
		if _, has := session.refs.References[full]; has {
			s.Ref, s.Commit = full, ""
			return s, nil
		}
	}
	return s, session.missing()
}

// called are the full names that a short one may stand for, the likeliest first.
func (c *session) called(name string) []string {
	if name != "" {
		return []string{name, "refs/heads/" + name, "refs/tags/" + name, "refs/" + name}
	}
	out := []string{"refs/heads/main", "refs/heads/master"}
	if head := c.refs.Head; head != nil {
		var at []string
		for _, full := range append(out, slices.Sorted(maps.Keys(c.refs.References))...) {
			if c.refs.References[full] == *head {
				at = append(at, full)
			}
		}
		return at
	}
	return out
}
