package git

import (
	"bufio"
	"context"
	"errors"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// judge reads the headers of a pack and refuses it when unpacking would exceed the limits. go-git's indexer
// holds each object in memory, so this has to come first: it needs the memory of one header. Of a delta the
// size of its result counts, which its first bytes tell.
func (s Source) judge(ctx context.Context, pack io.ReadSeeker, l Limits) (err error) {
	defer s.recovered("read the pack", &err)
	if _, err := pack.Seek(0, io.SeekStart); err != nil {
		return s.cacheFailed("read the pack", err)
	}
	// Without Seek the scanner reads each object once, from start to end.
	scanner := packfile.NewScanner(bufio.NewReader(pack))
	_, count, err := scanner.Header()
	if err != nil {
		return s.malformed(err)
	}
	if int64(count) > l.Objects {
		return s.exceeded("Objects", l.Objects, int64(count), "objects in one commit")
	}
	var total int64
	for range count {
		if ctx.Err() != nil {
			return s.errorf(Unreachable, "the fetch took too long: raise the timeout, or make the repository smaller").because(ctx.Err())
		}
		size, err := s.judgeObject(scanner, l)
		if err != nil {
			return err
		}
		if total += size; total > l.InflatedBytes {
			return s.exceeded("InflatedBytes", l.InflatedBytes, total, "bytes of all objects")
		}
	}
	return nil
}

// judgeObject returns the size that the next object unpacks to.
func (s Source) judgeObject(scanner *packfile.Scanner, l Limits) (int64, error) {
	header, err := scanner.NextObjectHeader()
	if err != nil {
		return 0, s.malformed(err)
	}
	if header.Length > l.ObjectBytes {
		return 0, s.exceeded("ObjectBytes", l.ObjectBytes, header.Length, "bytes an object")
	}
	start := &firstBytes{}
	if _, _, err := scanner.NextObject(start); err != nil {
		return 0, s.malformed(err)
	}
	if header.Type != plumbing.OFSDeltaObject && header.Type != plumbing.REFDeltaObject {
		return header.Length, nil
	}
	size, err := start.resultSize()
	if err != nil {
		return 0, s.malformed(err)
	}
	if size > l.ObjectBytes {
		return 0, s.exceeded("ObjectBytes", l.ObjectBytes, size, "bytes an object")
	}
	return header.Length + size, nil
}

func (s Source) malformed(err error) *Error {
	return s.errorf(CorruptRepository, "the pack of the server is malformed (%s): it will be fetched again", s.scrub(err.Error()))
}

// firstBytes keeps the start of what is written to it: enough for the two sizes of a delta.
type firstBytes struct {
	kept []byte
}

func (f *firstBytes) Write(p []byte) (int, error) {
	const sizes = 2 * 10
	if room := sizes - len(f.kept); room > 0 {
		f.kept = append(f.kept, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

// resultSize reads the size of the result, which follows the size of the base.
func (f *firstBytes) resultSize() (int64, error) {
	_, rest, err := deltaSize(f.kept)
	if err != nil {
		return 0, err
	}
	size, _, err := deltaSize(rest)
	return size, err
}

// deltaSize reads seven bits a byte, lowest first, while the highest bit is set.
func deltaSize(b []byte) (size int64, rest []byte, err error) {
	for i, c := range b {
		if i == 8 {
			break
		}
		size |= int64(c&0x7f) << (7 * i)
		if c&0x80 == 0 {
			return size, b[i+1:], nil
		}
	}
	return 0, nil, errors.New("a delta without its sizes")
}
