package render

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/sync/render/sops"
)

// tree reads the files of one build under its limits. What it has read is kept, so a file that a build
// reaches twice is paid for once. Every error that it returns is an *Error.
type tree struct {
	files  fs.FS
	limits Limits
	// selection is nil for every file.
	selection *selection
	keys      sops.Keys
	// selectors are what the kustomizations of the build write into selectors.
	selectors []selectorLabels

	seen  int
	bytes int64
	read  map[string][]byte
}

func newTree(files fs.FS, l Limits) *tree {
	return &tree{files: files, limits: l, read: map[string][]byte{}}
}

// list returns the entries of a directory in the order of their names.
func (t *tree) list(dir string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(t.files, dir)
	if err != nil {
		return nil, unreadable(dir, err)
	}
	t.seen += len(entries)
	if t.seen > t.limits.Files {
		return nil, exceeded(dir, "Files", t.limits.Files, t.seen)
	}
	return entries, nil
}

// content returns the bytes of a file.
func (t *tree) content(name string) ([]byte, error) {
	if b, ok := t.read[name]; ok {
		return b, nil
	}
	if t.selection.omits(name, false) {
		return nil, t.selection.refusal(name, false)
	}
	f, err := t.files.Open(name)
	if err != nil {
		return nil, unreadable(name, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, t.limits.FileBytes+1))
	if err != nil {
		return nil, unreadable(name, err)
	}
	if int64(len(b)) > t.limits.FileBytes {
		return nil, exceeded(name, "FileBytes", t.limits.FileBytes, int64(len(b)))
	}
	t.bytes += int64(len(b))
	if t.bytes > t.limits.TotalBytes {
		return nil, exceeded(name, "TotalBytes", t.limits.TotalBytes, t.bytes)
	}
	t.read[name] = b
	return b, nil
}

// fileType returns the type bits of a name; ok is false when the tree does not have it.
func (t *tree) fileType(name string) (mode fs.FileMode, ok bool, err error) {
	info, err := fs.Stat(t.files, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, false, nil
	case err != nil:
		return 0, false, unreadable(name, err)
	case t.selection.omits(name, info.IsDir()) && slices.Contains(kustomizationNames(), path.Base(name)):
		return 0, false, nil // it is looked for, and nothing names it
	case t.selection.omits(name, info.IsDir()):
		return 0, false, t.selection.refusal(name, info.IsDir())
	default:
		return info.Mode().Type(), true, nil
	}
}

// directory checks that the tree has the directory and says what lies beside it when it does not.
func (t *tree) directory(dir string) error {
	mode, ok, err := t.fileType(dir)
	if err != nil {
		return err
	}
	switch {
	case ok && mode.IsDir():
		return nil
	case ok && !mode.IsRegular():
		return t.irregular(dir, mode)
	case ok:
		return &Error{Reason: PathNotFound, File: dir, Message: fmt.Sprintf(
			"path %q is a file: name the directory that holds it, %q", dir, path.Dir(dir))}
	}
	beside, err := t.directories(t.ancestor(dir))
	if err != nil {
		return err
	}
	return &Error{Reason: PathNotFound, Message: fmt.Sprintf(
		"path %q does not exist in this commit; %s", dir, beside)}
}

// ancestor is the nearest directory above a name that the tree has.
func (t *tree) ancestor(name string) string {
	for parent := path.Dir(name); parent != "."; parent = path.Dir(parent) {
		if mode, ok, err := t.fileType(parent); err == nil && ok && mode.IsDir() {
			return parent
		}
	}
	return "."
}

// irregular reads what is neither file nor directory for the error that the tree has about it. It is never
// skipped: a link may stand for a directory of manifests.
func (t *tree) irregular(name string, mode fs.FileMode) error {
	if _, err := t.content(name); err != nil {
		return err
	}
	return &Error{Reason: BuildFailed, File: name, Message: fmt.Sprintf(
		"this is no regular file (%s): replace it by a copy, or move it out of the path", mode)}
}

// shownNames is how many names of a directory a message spells out.
const shownNames = 10

func (t *tree) directories(parent string) (string, error) {
	entries, err := t.list(parent)
	if err != nil {
		return "", err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && !hidden(e.Name()) {
			names = append(names, path.Join(parent, e.Name()))
		}
	}
	where := fmt.Sprintf("%q", parent)
	if parent == "." {
		where = "the repository"
	}
	switch {
	case len(names) == 0:
		return where + " has no directories", nil
	case len(names) > shownNames:
		return fmt.Sprintf("%s has %s and %d more directories",
			where, strings.Join(names[:shownNames], ", "), len(names)-shownNames), nil
	default:
		return where + " has " + strings.Join(names, ", "), nil
	}
}

func hidden(name string) bool {
	return strings.HasPrefix(name, ".")
}

func unreadable(name string, err error) *Error {
	return &Error{Reason: BuildFailed, File: name, Message: fmt.Sprintf("read file: %v", err), Err: err}
}

func exceeded[N int | int64](name, limit string, allowed, value N) *Error {
	return &Error{Reason: LimitExceeded, File: name, Message: fmt.Sprintf(
		"%s is limited to %d and this build has %d or more: make it smaller, split the path, or raise %s", inWords(limit), allowed, value, flagOf(limit))}
}

// flagOf is the flag of the controller that sets a field of Limits.
func flagOf(limit string) string {
	return "the controller's " + cmp.Or(map[string]string{
		"Files":          "--max-files",
		"Depth":          "--max-depth",
		"FileBytes":      "--max-file-bytes",
		"TotalBytes":     "--max-total-bytes",
		"Nodes":          "--max-yaml-nodes",
		"Aliases":        "--max-yaml-aliases",
		"Nesting":        "--max-yaml-nesting",
		"Documents":      "--max-documents",
		"Objects":        "--max-objects",
		"Kustomizations": "--max-kustomizations",
	}[limit], "limits")
}

// inWords is a field of Limits as whoever reads an error knows it.
func inWords(limit string) string {
	return cmp.Or(map[string]string{
		"Files":          "the number of files and directories",
		"Depth":          "the depth of directories",
		"FileBytes":      "the size of a file in bytes",
		"TotalBytes":     "the size of all files in bytes",
		"Nodes":          "the number of YAML nodes in a file",
		"Aliases":        "the number of YAML aliases in a file",
		"Nesting":        "the nesting of YAML values",
		"Documents":      "the number of YAML documents in a file",
		"Objects":        "the number of objects",
		"Kustomizations": "the number of kustomizations",
	}[limit], limit)
}
