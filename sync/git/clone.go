package git

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

const (
	// objectCache is the memory for delta bases of one open clone; go-git's default is 96 MiB.
	objectCache = 16 << 20
	// newPrefix starts the names of directories in the making.
	newPrefix = ".new-"
)

// clone fetches one commit into a new directory, reads it, and puts the directory in place.
func (c *Client) clone(ctx context.Context, conversation *session, tip plumbing.Hash) (*Snapshot, error) {
	s, limits := conversation.source, c.Limits.orDefaults()
	home := c.home(s)
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, s.cacheFailed("create directory", err)
	}
	c.sweep(home, limits.FetchTimeout)
	dir, err := os.MkdirTemp(home, newPrefix)
	if err != nil {
		return nil, s.cacheFailed("create directory", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // what stays is swept by the next fetch

	want := conversation.wanted(tip)
	if err := c.download(ctx, conversation, want, dir); err != nil {
		return nil, want.explain(err)
	}
	// HasEncodedObject does not look into packs when the access is exclusive.
	if _, err := storage(dir).EncodedObjectSize(tip); want.whole && err != nil {
		return nil, s.notGiven(tip)
	}
	snapshot, err := openSnapshot(dir, s, limits, tip)
	if err != nil {
		return nil, err
	}
	if err := noteTip(dir, tip); err != nil {
		return nil, s.cacheFailed("note what the ref names", err)
	}
	return c.place(s, dir, tip, plumbing.NewHash(snapshot.Commit.Hash))
}

// download writes the pack to a file, judges it there, and only then lets go-git index it.
func (c *Client) download(ctx context.Context, conversation *session, w want, dir string) error {
	s, limits := conversation.source, c.Limits.orDefaults()
	stream, err := conversation.pack(ctx, w, limits)
	if err != nil {
		return err
	}
	defer stream.Close()
	file, err := os.CreateTemp(dir, "pack-")
	if err != nil {
		return s.cacheFailed("create file", err)
	}
	defer func() {
		_ = file.Close()
		_ = os.Remove(file.Name())
	}()
	if _, err := io.Copy(file, stream); err != nil {
		if isPathError(err) {
			return s.cacheFailed("write the pack", err)
		}
		return s.classify(ctx, conversation.wire, err)
	}
	if over := conversation.wire.overrun(); over != nil {
		return over // what was stopped ends over ssh as if it were whole
	}
	if err := s.judge(ctx, file, limits); err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return s.cacheFailed("read the pack", err)
	}
	return s.index(ctx, file, dir)
}

// index makes a bare repository of a pack.
func (s Source) index(ctx context.Context, pack io.Reader, dir string) (err error) {
	defer s.recovered("index the pack", &err)
	writer, err := storage(dir).PackfileWriter()
	if err != nil {
		return s.cacheFailed("create the index", err)
	}
	_, err = io.Copy(writer, contextReader{ctx, pack})
	if err = errors.Join(err, writer.Close()); err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return s.errorf(Unreachable, "the fetch took too long: raise the timeout, or make the repository smaller").because(ctx.Err())
	}
	if isPathError(err) {
		return s.cacheFailed("write the index", err)
	}
	return s.errorf(CorruptRepository, "the pack of the server cannot be read (%s): it will be fetched again", s.scrub(err.Error()))
}

func storage(dir string) *filesystem.Storage {
	return filesystem.NewStorageWithOptions(osfs.New(dir, osfs.WithBoundOS()), cache.NewObjectLRU(objectCache), filesystem.Options{
		ExclusiveAccess: true,
	})
}

// recovered turns a panic of go-git, which hostile objects have caused before, into an error.
func (s Source) recovered(doing string, err *error) {
	if p := recover(); p != nil {
		*err = s.errorf(CorruptRepository, "%s: the repository has an object that cannot be read: run git fsck on the server", doing)
	}
}

func (s Source) cacheFailed(doing string, err error) *Error {
	return s.errorf(CacheFailed, "%s: %s: look at the space and the permissions of the cache directory", doing, innermost(err))
}

func isPathError(err error) bool {
	_, path := errors.AsType[*os.PathError](err)
	_, link := errors.AsType[*os.LinkError](err)
	return path || link
}

// contextReader stops a copy when the context ends.
type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// sweep removes what crashed fetches left. One that runs now is younger than its own timeout.
func (c *Client) sweep(home string, timeout time.Duration) {
	left, _ := filepath.Glob(filepath.Join(home, newPrefix+"*"))
	for _, dir := range left {
		if info, err := os.Stat(dir); err == nil && time.Since(info.ModTime()) > 2*timeout {
			_ = os.RemoveAll(dir)
		}
	}
}
