package git

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-git/go-git/v5/plumbing"
)

// treeEntry is one entry of a directory.
type treeEntry struct {
	name string
	// mode holds the type bits, and for files the permission to execute.
	mode fs.FileMode
	hash plumbing.Hash
}

// tree returns the entries of a directory, sorted by name. The caller holds the lock.
func (s *Snapshot) tree(hash plumbing.Hash) ([]treeEntry, error) {
	if entries, ok := s.trees[hash]; ok {
		return entries, nil
	}
	raw, err := s.object(hash, "ObjectBytes", s.limits.ObjectBytes)
	if err != nil {
		return nil, err
	}
	if raw.Type() != plumbing.TreeObject {
		return nil, s.corrupt("the object %s is a %s where a tree belongs", hash, raw.Type())
	}
	entries, err := s.parseTree(raw.content)
	if err != nil {
		if own, ok := errors.AsType[*Error](err); ok {
			return nil, own
		}
		return nil, s.corrupt("the tree %s is malformed: %v", hash, err)
	}
	slices.SortFunc(entries, func(a, b treeEntry) int { return cmp.Compare(a.name, b.name) })
	for i := 1; i < len(entries); i++ {
		if entries[i].name == entries[i-1].name {
			return nil, s.corrupt("the tree %s has two entries %q", hash, entries[i].name)
		}
	}
	s.trees[hash] = entries
	return entries, nil
}

// parseTree reads "MODE NAME\0HASH" until the end.
func (s *Snapshot) parseTree(content []byte) ([]treeEntry, error) {
	var entries []treeEntry
	for len(content) > 0 {
		if s.entries++; s.entries > s.limits.Entries {
			return nil, s.source.exceeded("Entries", s.limits.Entries, s.entries, "directory entries")
		}
		mode, rest, ok := bytes.Cut(content, []byte(" "))
		name, rest, terminated := bytes.Cut(rest, []byte{0})
		if !ok || !terminated || len(rest) < len(plumbing.ZeroHash) {
			return nil, errors.New("it ends within an entry")
		}
		fileMode, err := parseMode(string(mode))
		if err != nil {
			return nil, err
		}
		if err := checkName(string(name)); err != nil {
			return nil, err
		}
		entry := treeEntry{name: string(name), mode: fileMode}
		copy(entry.hash[:], rest)
		entries = append(entries, entry)
		content = rest[len(plumbing.ZeroHash):]
	}
	return entries, nil
}

func parseMode(mode string) (fs.FileMode, error) {
	switch mode {
	case "100644", "100664":
		return 0o444, nil
	case "100755":
		return 0o555, nil
	case "40000", "040000":
		return fs.ModeDir | 0o555, nil
	case "120000":
		return fs.ModeSymlink | 0o444, nil
	case "160000":
		return fs.ModeIrregular | 0o444, nil
	default:
		return 0, errors.New("it has an entry of an unknown mode")
	}
}

// checkName refuses the names that git refuses, and those that mean something else elsewhere.
func checkName(name string) error {
	switch {
	case name == "" || name == "." || name == ".." || strings.EqualFold(name, ".git"):
		return errors.New("it has an entry whose name is reserved")
	case strings.ContainsAny(name, "/\\") || !utf8.ValidString(name):
		return errors.New("it has an entry whose name is not a file name in UTF-8")
	default:
		return nil
	}
}

// lookup walks from the root to a name. The caller holds the lock. What does not exist is an *fs.PathError.
func (s *Snapshot) lookup(op, name string) (treeEntry, error) {
	if !fs.ValidPath(name) {
		return treeEntry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	at := treeEntry{name: ".", mode: fs.ModeDir | 0o555, hash: s.root}
	if name == "." {
		return at, nil
	}
	elements := strings.Split(name, "/")
	if depth := int64(len(elements)); depth > s.limits.Depth {
		return treeEntry{}, s.source.exceeded("Depth", s.limits.Depth, depth, "elements of a path").at(name)
	}
	for i, element := range elements {
		parent := path.Join(elements[:i]...)
		if err := s.unsupported(at, parent); err != nil {
			return treeEntry{}, err
		}
		if !at.mode.IsDir() {
			return treeEntry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
		entries, err := s.tree(at.hash)
		if err != nil {
			return treeEntry{}, located(err, cmp.Or(parent, "."))
		}
		found, ok := slices.BinarySearchFunc(entries, element, func(e treeEntry, name string) int { return cmp.Compare(e.name, name) })
		if !ok {
			return treeEntry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
		at = entries[found]
	}
	return at, nil
}

// unsupported is the error for reading what is neither a file nor a directory.
func (s *Snapshot) unsupported(e treeEntry, name string) error {
	switch {
	case e.mode&fs.ModeSymlink != 0:
		return s.source.errorf(SymlinkUnsupported, "symbolic links are not followed: commit a copy, or move it out of the path, or leave it out with spec.source.ignore").at(name)
	case e.mode&fs.ModeIrregular != 0:
		return s.source.errorf(SubmoduleUnsupported, "submodules are not fetched: commit the files, or move it out of the path, or leave it out with spec.source.ignore").at(name)
	default:
		return nil
	}
}

// located adds the path to an error of ours.
func located(err error, name string) error {
	if own, ok := errors.AsType[*Error](err); ok && own.Path == "" {
		return own.at(name)
	}
	return err
}
