package git

import (
	"errors"
	"io"
	"os"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// Snapshot is one commit and its tree. It implements fs.FS, fs.ReadDirFS, fs.ReadFileFS and fs.StatFS: names are
// those of io/fs, the root is ".". It is strict: whatever the clone does not have, or has with another hash,
// is an error, never a shorter list. Symbolic links and submodules are listed as what they are, and reading
// them is an error. Files are read when they are asked for. The limits hold for all reads together. It is
// safe for concurrent use, and stays readable until two other commits of its ref have been fetched.
type Snapshot struct {
	// Commit is the commit that this really is.
	Commit Commit

	source Source
	// ref is what led to the commit; empty when it was asked for by its name.
	ref    string
	limits Limits
	dir    string

	// tip is what the ref named: a tag, or the commit itself. chain are the objects from there to the commit.
	tip   plumbing.Hash
	chain []verified

	mu      sync.Mutex
	storage *filesystem.Storage
	root    plumbing.Hash
	trees   map[plumbing.Hash][]treeEntry
	entries int64
	bytes   int64
}

// openSnapshot reads the commit that tip leads to from a clone.
func openSnapshot(dir string, s Source, l Limits, tip plumbing.Hash) (*Snapshot, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, s.cacheFailed("open the clone", err)
	}
	s.Auth = Auth{}
	return readSnapshot(&Snapshot{source: s, ref: s.Ref, limits: l, dir: dir, storage: storage(dir)}, tip)
}

// readSnapshot reads the commit and the root of its tree.
func readSnapshot(s *Snapshot, tip plumbing.Hash) (*Snapshot, error) {
	s.trees, s.tip = map[plumbing.Hash][]treeEntry{}, tip
	commit, err := s.peel(tip)
	if err != nil {
		return nil, err
	}
	s.Commit, s.root = newCommit(commit), commit.TreeHash
	if _, err := s.tree(s.root); err != nil {
		return nil, err
	}
	return s, nil
}

// peel follows annotated tags to a commit.
func (s *Snapshot) peel(hash plumbing.Hash) (*object.Commit, error) {
	const longest = 8
	for range longest {
		raw, err := s.object(hash, "ObjectBytes", s.limits.ObjectBytes)
		if err != nil {
			return nil, err
		}
		s.chain = append(s.chain, raw)
		switch raw.Type() {
		case plumbing.CommitObject:
			commit := &object.Commit{}
			if err := commit.Decode(raw); err != nil {
				return nil, s.corrupt("the commit %s cannot be read", hash)
			}
			return commit, nil
		case plumbing.TagObject:
			tag := &object.Tag{}
			if err := tag.Decode(raw); err != nil {
				return nil, s.corrupt("the tag %s cannot be read", hash)
			}
			hash = tag.Target
		default:
			return nil, s.source.errorf(RefNotFound, "the ref names a %s, not a commit: name a branch or a tag of a commit", raw.Type())
		}
	}
	return nil, s.source.errorf(RefNotFound, "the ref is a tag of a tag, more than %d deep: name a branch or a tag of a commit", longest)
}

// verified is one object whose content has the hash that it was asked for by.
type verified struct {
	*plumbing.MemoryObject
	content []byte
}

// object reads one object and verifies its hash. The caller holds the lock.
func (s *Snapshot) object(hash plumbing.Hash, limit string, most int64) (_ verified, err error) {
	defer s.source.recovered("read object", &err)
	size, err := s.storage.EncodedObjectSize(hash)
	if err != nil {
		return verified{}, s.corrupt("the object %s is missing", hash)
	}
	if size > most {
		return verified{}, s.source.exceeded(limit, most, size, "bytes")
	}
	found, err := s.storage.EncodedObject(plumbing.AnyObject, hash)
	if err != nil {
		return verified{}, s.corrupt("the object %s cannot be read", hash)
	}
	reader, err := found.Reader()
	if err != nil {
		return verified{}, s.corrupt("the object %s cannot be read", hash)
	}
	content, err := io.ReadAll(io.LimitReader(reader, most+1))
	if err = errors.Join(err, reader.Close()); err != nil {
		return verified{}, s.corrupt("the object %s cannot be read", hash)
	}
	if plumbing.ComputeHash(found.Type(), content) != hash {
		return verified{}, s.corrupt("the object %s has other content than its name says", hash)
	}
	memory := &plumbing.MemoryObject{}
	memory.SetType(found.Type())
	if _, err := memory.Write(content); err != nil {
		return verified{}, s.corrupt("the object %s cannot be read", hash)
	}
	return verified{memory, content}, nil
}

// corrupt reports a clone that must not be used, and drops it, so that the next fetch makes a new one.
func (s *Snapshot) corrupt(format string, args ...any) *Error {
	e := s.source.errorf(CorruptRepository, format, args...)
	if s.dir == "" { // somebody's own clone
		e.Message += ": if the clone is a shallow one, fetch more of it; else run git fsck"
		return e
	}
	_ = os.RemoveAll(s.dir)
	e.Message += ": the clone is dropped and fetched again; if that does not help, run git fsck on the server"
	return e
}
