package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// tree is where manifests are read from: a directory of a working tree, or of a commit.
type tree struct {
	// name is what errors call it.
	name  string
	files fs.FS
	// path is the directory in it that is planned.
	path string
	// commit is empty for a working tree.
	commit git.Commit
	// inputs are what it is rendered with beside what is in it, and which files of it.
	inputs render.Options
}

// build renders the directory with all of the tree within reach, since overlays refer to bases beside them.
func (t tree) build(namespace string) (*render.Declared, error) {
	o := t.inputs
	o.Path, o.Namespace = filepath.ToSlash(filepath.Clean(t.path)), namespace
	declared, err := render.Build(t.files, o)
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", t.name, err)
	}
	return declared, nil
}

// of is what a GitSync reads of the tree, with no inputs yet.
func (t tree) of(source v1alpha1.GitSource) tree {
	t.path, t.inputs = source.Path, render.Options{}
	return t.with(source)
}

// with is the same directory, of which only those files are read that a GitSync reads.
func (t tree) with(source v1alpha1.GitSource) tree {
	t.inputs.Include, t.inputs.Ignore = source.Include, source.Ignore
	return t
}

// hasInputs is whether it is rendered with more than all that is in it.
func (t tree) hasInputs() bool {
	o := t.inputs
	return o.Substitute || len(o.AgeKeys)+len(o.Include)+len(o.Ignore) > 0
}

// isURL is whether an argument names a repository and no directory.
func isURL(arg string) bool {
	return strings.Contains(arg, "://")
}

// open finds what is to be rendered. The function that it returns removes what was fetched.
func (f *treeFlags) open(ctx context.Context, arg, path string) (tree, func(), error) {
	if isURL(arg) {
		return f.fetch(ctx, arg, path, f.ref)
	}
	t, err := workingTreeOf(arg)
	if err == nil {
		t.inputs, err = f.inputs()
	}
	return t, func() {}, err
}

// openAgainst finds what it is compared with: another commit of the same repository.
func (f *planFlags) openAgainst(ctx context.Context, arg string, t tree) (tree, func(), error) {
	if isURL(arg) {
		return f.fetch(ctx, arg, t.path, f.against)
	}
	other, err := committed(ctx, arg, f.against, t.path)
	other.inputs = t.inputs
	return other, func() {}, err
}

// workingTreeOf is the directory in the working tree that it lies in.
func workingTreeOf(dir string) (tree, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return tree{}, fmt.Errorf("find directory %s: %w", dir, err)
	}
	root := workingTree(abs)
	path, err := filepath.Rel(root, abs)
	if err != nil {
		return tree{}, fmt.Errorf("find directory %s in %s: %w", dir, root, err)
	}
	return tree{name: dir, files: os.DirFS(root), path: filepath.ToSlash(path)}, nil
}

// committed is a commit of the clone that a directory lies in. It is git that knows what a revision means.
func committed(ctx context.Context, dir, revision, path string) (tree, error) {
	said, err := ask(ctx, dir, "rev-parse", "--path-format=absolute", "--git-common-dir", "--verify", "--end-of-options", revision+"^{commit}")
	if err != nil {
		return tree{}, fmt.Errorf("find commit %q: %w", revision, err)
	}
	words := strings.Fields(said)
	if len(words) < 2 {
		return tree{}, fmt.Errorf("find commit %q: git says %q", revision, clean(said))
	}
	snapshot, err := git.Local(strings.Join(words[:len(words)-1], " "), words[len(words)-1])
	if err != nil {
		return tree{}, fmt.Errorf("read commit %q: %w", revision, err)
	}
	return tree{name: revision, files: snapshot, path: path, commit: snapshot.Commit}, nil
}

// ask runs git in a directory.
func ask(ctx context.Context, dir string, args ...string) (string, error) {
	c := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
	var out, complaints bytes.Buffer
	c.Stdout, c.Stderr = &out, &complaints
	err := c.Run()
	if errors.Is(err, exec.ErrNotFound) {
		return "", errors.New("git is not installed here, and it is asked what the name means")
	}
	if err != nil {
		return "", fmt.Errorf("git: %s: fetch it, with enough of its history, or correct the name", cmp.Or(clean(complaints.String()), err.Error()))
	}
	return out.String(), nil
}

// fetch reads a commit of a repository, as the controller does.
func (f *treeFlags) fetch(ctx context.Context, url, path, name string) (tree, func(), error) {
	inputs, err := f.inputs()
	if err != nil {
		return tree{}, nil, err
	}
	source, err := sourceOf(url, f.insecureHTTP)
	if err != nil {
		return tree{}, nil, err
	}
	dir, err := os.MkdirTemp("", "rollcall-plan-")
	if err != nil {
		return tree{}, nil, fmt.Errorf("make directory for the clone: %w", err)
	}
	remove := func() { _ = os.RemoveAll(dir) }
	client := &git.Client{Dir: dir}
	source, err = client.Find(ctx, source, name)
	var snapshot *git.Snapshot
	if err == nil {
		snapshot, err = client.Fetch(ctx, source, "")
	}
	if err != nil {
		remove()
		return tree{}, nil, err
	}
	return tree{name: url, files: snapshot, path: cmp.Or(path, "."), commit: snapshot.Commit, inputs: inputs}, remove, nil
}
