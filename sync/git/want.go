package git

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
)

// want is what to ask a server for to get one commit.
type want struct {
	objects []plumbing.Hash
	// whole is whether all of the history is asked for, since the server gives no commit by its name alone.
	whole bool
}

// wanted is how to get an object: by itself if a ref names it or the server gives what none names, by the tag that
// leads to it, or else among all that branches and tags lead to.
func (c *session) wanted(object plumbing.Hash) want {
	for _, named := range c.refs.References {
		if named == object {
			return want{objects: []plumbing.Hash{object}}
		}
	}
	for _, ref := range slices.Sorted(maps.Keys(c.refs.Peeled)) {
		if c.refs.Peeled[ref] == object {
			return want{objects: []plumbing.Hash{c.refs.References[ref]}}
		}
	}
	if c.refs.Capabilities.Supports(capability.AllowReachableSHA1InWant) {
		return want{objects: []plumbing.Hash{object}}
	}
	all := map[string]plumbing.Hash{}
	for ref, named := range c.refs.References {
		if strings.HasPrefix(ref, "refs/heads/") || strings.HasPrefix(ref, "refs/tags/") {
			all[named.String()] = named
		}
	}
	out := want{whole: true}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out.objects = append(out.objects, all[name])
	}
	return out
}

// notGiven is a server that does not have a commit, or does not give it.
func (s Source) notGiven(object plumbing.Hash) *Error {
	return s.errorf(RefNotFound, "no branch and no tag leads to the commit %s, or the server does not give it: push it, or correct its name", object)
}

// explain says why all of the history was asked for when that was too much.
func (w want) explain(err error) error {
	if e, own := errors.AsType[*Error](err); own && w.whole && e.Reason == LimitExceeded {
		e.Message += "; all of its history was fetched, since the server gives no commit by its name: follow a branch or a tag " +
			"of this commit, or set uploadpack.allowAnySHA1InWant on the server"
	}
	return err
}
