package git

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"sync"
)

// Reads are the names that were looked up in a commit, each with what was there: the id of a file, the names in a
// directory that was listed, or nothing. Another commit of which the same is true gives whoever reads by these
// names, and by these alone, the same again.
type Reads map[string]string

// Lookups of a name and listings of a directory are told apart: whether a directory is there says nothing of what
// is in it.
const (
	looked = "look "
	listed = "list "
)

// What a lookup found, where that is not the mode and the id of a file.
const (
	absent    = "absent"
	invalid   = "invalid"
	directory = "directory"
	unknown   = "unknown"
)

var (
	_ fs.ReadDirFS  = (*Recorder)(nil)
	_ fs.ReadFileFS = (*Recorder)(nil)
	_ fs.StatFS     = (*Recorder)(nil)
)

// Recorder is a Snapshot that remembers what was read of it. It is safe for concurrent use.
type Recorder struct {
	snapshot *Snapshot

	mu    sync.Mutex
	reads Reads
}

// Record begins to remember what is read, by way of what it returns.
func (s *Snapshot) Record() *Recorder {
	return &Recorder{snapshot: s, reads: Reads{}}
}

// Reads are what was looked up so far.
func (r *Recorder) Reads() Reads {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.reads)
}

// Open is that of the Snapshot. Of a directory the names are taken for read.
func (r *Recorder) Open(name string) (fs.File, error) {
	r.note(looked, name)
	r.note(listed, name)
	return r.snapshot.Open(name)
}

// ReadFile is that of the Snapshot.
func (r *Recorder) ReadFile(name string) ([]byte, error) {
	r.note(looked, name)
	return r.snapshot.ReadFile(name)
}

// ReadDir is that of the Snapshot.
func (r *Recorder) ReadDir(name string) ([]fs.DirEntry, error) {
	r.note(listed, name)
	return r.snapshot.ReadDir(name)
}

// Stat is that of the Snapshot.
func (r *Recorder) Stat(name string) (fs.FileInfo, error) {
	r.note(looked, name)
	return r.snapshot.Stat(name)
}

func (r *Recorder) note(how, name string) {
	found := r.snapshot.found(how, name)
	r.mu.Lock()
	defer r.mu.Unlock()
	if how == listed && found == unknown {
		return // a file is not listed
	}
	r.reads[how+name] = found
}

// Gives is whether the commit gives the same to whoever reads these names. Nothing but trees is read for it. What
// cannot be told is not the same.
func (s *Snapshot) Gives(reads Reads) bool {
	if len(reads) == 0 {
		return false
	}
	for key, before := range reads {
		how, name := looked, strings.TrimPrefix(key, looked)
		if rest, isList := strings.CutPrefix(key, listed); isList {
			how, name = listed, rest
		}
		if now := s.found(how, name); now != before || now == unknown {
			return false
		}
	}
	return true
}

// found says in one word what a lookup or a listing gives.
func (s *Snapshot) found(how, name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	entry, err := s.lookup("open", name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return absent
	case errors.Is(err, fs.ErrInvalid):
		return invalid
	case err != nil:
		return unknown
	case how == listed:
		return s.names(entry)
	case entry.mode.IsDir():
		return directory
	default:
		return fmt.Sprintf("%o %s", uint32(entry.mode), entry.hash)
	}
}

// names is a digest of the names in a directory and of what they are. The caller holds the lock.
func (s *Snapshot) names(dir treeEntry) string {
	if !dir.mode.IsDir() {
		return unknown
	}
	entries, err := s.tree(dir.hash)
	if err != nil {
		return unknown
	}
	sum := sha256.New()
	for _, e := range entries {
		fmt.Fprintf(sum, "%o %s\x00", uint32(e.mode.Type()), e.name)
	}
	return hex.EncodeToString(sum.Sum(nil))
}
