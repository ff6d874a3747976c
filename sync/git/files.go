package git

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

var (
	_ fs.ReadDirFS  = (*Snapshot)(nil)
	_ fs.ReadFileFS = (*Snapshot)(nil)
	_ fs.StatFS     = (*Snapshot)(nil)
)

// Tree returns the id of the tree of a directory: what lies below it is the same if and only if the id is.
// The error is an *Error.
func (s *Snapshot) Tree(name string) (treeID string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	entry, err := s.lookup("open", name)
	if err == nil && !entry.mode.IsDir() {
		err = s.unsupported(entry, name)
		if err == nil {
			return "", s.source.errorf(PathNotFound, "this is a file: name a directory").at(name)
		}
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return "", s.source.errorf(PathNotFound, "the commit %.12s has no such directory: correct the path", s.Commit.Hash).at(name).because(fs.ErrNotExist)
	}
	if err != nil {
		return "", err
	}
	return entry.hash.String(), nil
}

// Open returns a file or directory for reading. A file is read whole.
func (s *Snapshot) Open(name string) (fs.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	entry, err := s.lookup("open", name)
	if err != nil {
		return nil, err
	}
	if entry.mode.IsDir() {
		entries, err := s.list(entry, name)
		if err != nil {
			return nil, err
		}
		return &openDir{info: s.info(entry, name, 0), entries: entries}, nil
	}
	content, err := s.content(entry, name)
	if err != nil {
		return nil, err
	}
	return &openFile{Reader: bytes.NewReader(content), info: s.info(entry, name, int64(len(content)))}, nil
}

// ReadFile returns the content of a file.
func (s *Snapshot) ReadFile(name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	entry, err := s.lookup("open", name)
	if err != nil {
		return nil, err
	}
	if entry.mode.IsDir() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("is a directory")}
	}
	return s.content(entry, name)
}

// ReadDir returns the entries of a directory, sorted by name.
func (s *Snapshot) ReadDir(name string) ([]fs.DirEntry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	entry, err := s.lookup("open", name)
	if err != nil {
		return nil, err
	}
	if err := s.unsupported(entry, name); err != nil {
		return nil, err
	}
	if !entry.mode.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("not a directory")}
	}
	return s.list(entry, name)
}

// Stat describes a name without reading it. Symbolic links and submodules are described as what they are.
func (s *Snapshot) Stat(name string) (fs.FileInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	entry, err := s.lookup("stat", name)
	if err != nil {
		return nil, err
	}
	return s.sized(entry, name)
}

func (s *Snapshot) list(dir treeEntry, name string) ([]fs.DirEntry, error) {
	entries, err := s.tree(dir.hash)
	if err != nil {
		return nil, located(err, name)
	}
	listed := make([]fs.DirEntry, 0, len(entries))
	for _, e := range entries {
		listed = append(listed, dirEntry{snapshot: s, entry: e, path: path.Join(name, e.name)})
	}
	return listed, nil
}

// content reads a file and refuses the pointer that Git LFS leaves in place of one.
func (s *Snapshot) content(entry treeEntry, name string) ([]byte, error) {
	if err := s.unsupported(entry, name); err != nil {
		return nil, err
	}
	raw, err := s.object(entry.hash, "FileBytes", s.limits.FileBytes)
	if err != nil {
		return nil, located(err, name)
	}
	if raw.Type() != plumbing.BlobObject {
		return nil, s.corrupt("the object %s is a %s where a file belongs", entry.hash, raw.Type()).at(name)
	}
	if s.bytes += raw.Size(); s.bytes > s.limits.ReadBytes {
		return nil, s.source.exceeded("ReadBytes", s.limits.ReadBytes, s.bytes, "bytes of all files read").at(name)
	}
	const longestPointer = 1024
	if len(raw.content) < longestPointer && bytes.HasPrefix(raw.content, []byte("version https://git-lfs.github.com/spec/")) {
		return nil, s.source.errorf(LFSUnsupported, "Git LFS keeps the content of this file elsewhere: commit the file itself (git lfs untrack)").at(name)
	}
	return raw.content, nil
}

// sized describes an entry with its size, which only the clone knows. The caller holds the lock.
func (s *Snapshot) sized(entry treeEntry, name string) (info fs.FileInfo, err error) {
	defer s.source.recovered("read object", &err)
	if !entry.mode.IsRegular() {
		return s.info(entry, name, 0), nil
	}
	size, err := s.storage.EncodedObjectSize(entry.hash)
	if err != nil {
		return nil, s.corrupt("the object %s is missing", entry.hash).at(name)
	}
	return s.info(entry, name, size), nil
}

func (s *Snapshot) info(entry treeEntry, name string, size int64) fileInfo {
	return fileInfo{name: path.Base(name), size: size, mode: entry.mode, time: s.Commit.Time}
}

type fileInfo struct {
	name string
	size int64
	mode fs.FileMode
	time time.Time
}

func (i fileInfo) Name() string       { return i.name }
func (i fileInfo) Size() int64        { return i.size }
func (i fileInfo) Mode() fs.FileMode  { return i.mode }
func (i fileInfo) ModTime() time.Time { return i.time }
func (i fileInfo) IsDir() bool        { return i.mode.IsDir() }
func (i fileInfo) Sys() any           { return nil }

type dirEntry struct {
	snapshot *Snapshot
	entry    treeEntry
	path     string
}

func (e dirEntry) Name() string      { return e.entry.name }
func (e dirEntry) IsDir() bool       { return e.entry.mode.IsDir() }
func (e dirEntry) Type() fs.FileMode { return e.entry.mode.Type() }

// Info describes the entry with its size.
func (e dirEntry) Info() (fs.FileInfo, error) {
	e.snapshot.mu.Lock()
	defer e.snapshot.mu.Unlock()
	return e.snapshot.sized(e.entry, e.path)
}

type openFile struct {
	*bytes.Reader
	info fileInfo
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFile) Close() error               { return nil }

type openDir struct {
	info    fileInfo
	entries []fs.DirEntry
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *openDir) Close() error               { return nil }

func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.info.name, Err: errors.New("is a directory")}
}

// ReadDir returns the next n entries, or all that are left when n is not positive.
func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 || n > len(d.entries) {
		if n > 0 && len(d.entries) == 0 {
			return nil, io.EOF
		}
		n = len(d.entries)
	}
	next := d.entries[:n]
	d.entries = d.entries[n:]
	return next, nil
}
