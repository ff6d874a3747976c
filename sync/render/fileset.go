package render

import (
	"bytes"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// fileSet is a read-only file system with absolute names for one kustomize build. What is not in it does not
// exist. kustomize's own file system in memory ends the process on states that it thinks impossible.
type fileSet map[string][]byte

var _ filesys.FileSystem = fileSet{}

func (s fileSet) file(name string) ([]byte, bool) {
	data, ok := s[path.Join("/", name)]
	return data, ok
}

// Exists reports whether the name is a file or a directory.
func (s fileSet) Exists(name string) bool {
	_, ok := s.file(name)
	return ok || s.IsDir(name)
}

// IsDir reports whether some file lies below the name.
func (s fileSet) IsDir(name string) bool {
	prefix := strings.TrimSuffix(path.Join("/", name), "/") + "/"
	for file := range s {
		if strings.HasPrefix(file, prefix) {
			return true
		}
	}
	return false
}

// CleanedAbs splits a name into the directory and the file; the file is empty for a directory.
func (s fileSet) CleanedAbs(name string) (filesys.ConfirmedDir, string, error) {
	name = path.Join("/", name)
	if s.IsDir(name) {
		return filesys.ConfirmedDir(name), "", nil
	}
	if _, ok := s.file(name); ok {
		return filesys.ConfirmedDir(path.Dir(name)), path.Base(name), nil
	}
	return "", "", notExist("open", name)
}

// ReadFile returns a copy of the content.
func (s fileSet) ReadFile(name string) ([]byte, error) {
	data, ok := s.file(name)
	if !ok {
		return nil, notExist("open", name)
	}
	return bytes.Clone(data), nil
}

// Open returns the file for reading.
func (s fileSet) Open(name string) (filesys.File, error) {
	data, err := s.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return &openFile{Reader: bytes.NewReader(data), name: path.Base(name)}, nil
}

// ReadDir returns the names of the files and directories of a directory, sorted.
func (s fileSet) ReadDir(name string) ([]string, error) {
	prefix := strings.TrimSuffix(path.Join("/", name), "/") + "/"
	var names []string
	for _, file := range slices.Sorted(maps.Keys(s)) {
		if rest, below := strings.CutPrefix(file, prefix); below {
			first, _, _ := strings.Cut(rest, "/")
			names = append(names, first)
		}
	}
	if names == nil {
		return nil, notExist("readdir", name)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Glob returns the files whose whole name matches, sorted.
func (s fileSet) Glob(pattern string) ([]string, error) {
	var found []string
	for _, file := range slices.Sorted(maps.Keys(s)) {
		ok, err := path.Match(pattern, file)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, file)
		}
	}
	return found, nil
}

// Walk is refused: no build needs it.
func (s fileSet) Walk(name string, _ filepath.WalkFunc) error { return readOnly("walk", name) }

// Create is refused, as is every other change.
func (s fileSet) Create(name string) (filesys.File, error) { return nil, readOnly("create", name) }

// Mkdir is refused.
func (s fileSet) Mkdir(name string) error { return readOnly("mkdir", name) }

// MkdirAll is refused.
func (s fileSet) MkdirAll(name string) error { return readOnly("mkdir", name) }

// RemoveAll is refused.
func (s fileSet) RemoveAll(name string) error { return readOnly("remove", name) }

// WriteFile is refused.
func (s fileSet) WriteFile(name string, _ []byte) error { return readOnly("write", name) }

func notExist(op, name string) error {
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

func readOnly(op, name string) error {
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrPermission}
}

// openFile is a file of a fileSet while it is read.
type openFile struct {
	*bytes.Reader
	name string
}

func (f *openFile) Write([]byte) (int, error)  { return 0, readOnly("write", f.name) }
func (f *openFile) Close() error               { return nil }
func (f *openFile) Stat() (fs.FileInfo, error) { return fileInfo{f}, nil }

type fileInfo struct{ *openFile }

func (i fileInfo) Name() string       { return i.name }
func (i fileInfo) Size() int64        { return i.Reader.Size() }
func (i fileInfo) Mode() fs.FileMode  { return 0o444 }
func (i fileInfo) ModTime() time.Time { return time.Time{} }
func (i fileInfo) IsDir() bool        { return false }
func (i fileInfo) Sys() any           { return nil }
