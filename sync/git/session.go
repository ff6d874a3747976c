package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
)

// session is one conversation with a server, after it has listed its refs.
type session struct {
	source Source
	wire   *wire
	upload transport.UploadPackSession
	refs   *packp.AdvRefs
}

// open dials the server and reads of its list of refs what the source asks for, or the whole list with everything.
func open(ctx context.Context, s Source, l Limits, everything bool) (*session, error) {
	u, err := s.check()
	if err != nil {
		return nil, err
	}
	if err := s.checkVerify(); err != nil {
		return nil, err
	}
	w, err := s.newWire(u, l)
	if err != nil {
		return nil, err
	}
	w.everything = everything
	upload, err := w.connect(ctx)
	if err != nil {
		return nil, s.classify(ctx, w, err)
	}
	refs, err := upload.AdvertisedReferencesContext(ctx)
	if err != nil {
		_ = upload.Close()
		w.close()
		return nil, s.classify(ctx, w, err)
	}
	return &session{source: s, wire: w, upload: upload, refs: refs}, nil
}

func (c *session) close() {
	_ = c.upload.Close() // the answer is read, or not wanted
	c.wire.close()
}

// missing tells a missing ref from an empty repository and names the refs that there are of its kind.
func (c *session) missing() *Error {
	all, below, names, prefix := c.listed()
	if all == 0 {
		return c.source.errorf(EmptyRepository, "the repository has no commits yet: push one")
	}
	have := "none"
	if len(names) > 0 {
		have = strings.Join(names, ", ")
	}
	if below > len(names) {
		have += fmt.Sprintf(" and %d more", below-len(names))
	}
	return c.source.errorf(RefNotFound, "the repository has no such ref; below %s it has %s%s: push it, or correct the ref", prefix, have, c.defaultBranch())
}

// listed is what the server's list had: how many refs in all and below a prefix, and the first names there.
func (c *session) listed() (all, below int, names []string, prefix string) {
	if kept := c.wire.sieve; kept != nil {
		return kept.all, kept.below, kept.some, kept.beside
	}
	counted := newSieve(io.NopCloser(strings.NewReader("")), c.source)
	for _, name := range slices.Sorted(maps.Keys(c.refs.References)) {
		if counted.all++; strings.HasPrefix(name, counted.beside) {
			counted.note([]byte(name))
		}
	}
	return counted.all, counted.below, counted.some, counted.beside
}

// defaultBranch says which branch is the default one: one that was renamed is often missed by its old name.
func (c *session) defaultBranch() string {
	for _, link := range c.refs.Capabilities.Get(capability.SymRef) {
		if ref, ok := strings.CutPrefix(link, "HEAD:refs/heads/"); ok {
			return fmt.Sprintf(", and %s is its default branch", line(ref))
		}
	}
	return ""
}

// pack asks for objects and what belongs to them, to a depth of one commit unless the whole history is wanted, and
// returns the pack as it comes.
func (c *session) pack(ctx context.Context, w want, l Limits) (io.ReadCloser, error) {
	request := packp.NewUploadPackRequestFromCapabilities(c.refs.Capabilities)
	request.Wants = w.objects
	if !w.whole {
		if err := request.Capabilities.Set(capability.Shallow); err != nil {
			return nil, c.source.errorf(InvalidAnswer, "ask for one commit: %s", c.source.scrub(err.Error()))
		}
		request.Depth = packp.DepthCommits(1)
	}
	if err := c.acknowledge(request.Capabilities); err != nil {
		return nil, c.source.errorf(InvalidAnswer, "ask for one commit: %s", c.source.scrub(err.Error()))
	}
	if c.refs.Capabilities.Supports(capability.NoProgress) {
		if err := request.Capabilities.Set(capability.NoProgress); err != nil {
			return nil, c.source.errorf(InvalidAnswer, "ask for no progress: %s", c.source.scrub(err.Error()))
		}
	}
	c.wire.allow("WireBytes", l.WireBytes)
	response, err := c.upload.UploadPack(ctx, request)
	if errors.Is(err, transport.ErrEmptyUploadPackRequest) {
		return nil, c.source.errorf(InvalidAnswer, "the server ended its answer before the pack: it will be asked again")
	}
	if err != nil && strings.Contains(err.Error(), "not our ref") { // the error has no type
		return nil, c.source.notGiven(w.objects[0])
	}
	if err != nil {
		return nil, c.source.classify(ctx, c.wire, err)
	}
	return struct {
		io.Reader
		io.Closer
	}{demultiplexed(request.Capabilities, response), response}, nil
}

// demultiplexed takes the pack out of the bands in which the server sends it.
func demultiplexed(agreed *capability.List, r io.Reader) io.Reader {
	switch {
	case agreed.Supports(capability.Sideband64k):
		return sideband.NewDemuxer(sideband.Sideband64k, r)
	case agreed.Supports(capability.Sideband):
		return sideband.NewDemuxer(sideband.Sideband, r)
	default:
		return r
	}
}
