package git_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/rollcall-dev/rollcall/sync/git"
)

func unpacked(t *testing.T, s *server, client *git.Client) string {
	t.Helper()
	dir := clones(t, client.Dir)[0]
	s.git(dir, "init", "-q", "--bare", ".")
	packs, err := filepath.Glob(filepath.Join(dir, "objects", "pack", "*"))
	if err != nil || len(packs) != 2 {
		t.Fatalf("packs %v, %v", packs, err)
	}
	elsewhere := t.TempDir()
	for _, pack := range packs {
		if err := os.Rename(pack, filepath.Join(elsewhere, filepath.Base(pack))); err != nil {
			t.Fatal(err)
		}
	}
	packs, _ = filepath.Glob(filepath.Join(elsewhere, "*.pack"))
	s.git(dir, "--git-dir="+dir, "-c", "alias.unpack=!git unpack-objects -q <"+packs[0], "unpack")
	return dir
}

func TestACorruptCacheIsAnErrorAndThenFetchedAgain(t *testing.T) {
	s := newServer(t)
	commit := s.push("one", manyFiles(40))
	loose := func(dir, object string) string { return filepath.Join(dir, "objects", object[:2], object[2:]) }
	for sentence, damage := range map[string]func(t *testing.T, dir string) (object string){
		"a missing directory": func(t *testing.T, dir string) string {
			object := s.git(s.work, "rev-parse", "HEAD:d3")
			if err := os.Remove(loose(dir, object)); err != nil {
				t.Fatal(err)
			}
			return object
		},
		"a missing file": func(t *testing.T, dir string) string {
			object := s.git(s.work, "rev-parse", "HEAD:d3/f13.yaml")
			if err := os.Remove(loose(dir, object)); err != nil {
				t.Fatal(err)
			}
			return object
		},
		"a file with the content of another": func(t *testing.T, dir string) string {
			object := s.git(s.work, "rev-parse", "HEAD:d3/f13.yaml")
			content, err := os.ReadFile(loose(dir, s.git(s.work, "rev-parse", "HEAD:d4/f14.yaml")))
			if err == nil {
				err = errors.Join(os.Remove(loose(dir, object)), os.WriteFile(loose(dir, object), content, 0o600))
			}
			if err != nil {
				t.Fatal(err)
			}
			return object
		},
		"a file cut short": func(t *testing.T, dir string) string {
			object := s.git(s.work, "rev-parse", "HEAD:d3/f13.yaml")
			if err := errors.Join(os.Chmod(loose(dir, object), 0o600), os.Truncate(loose(dir, object), 5)); err != nil {
				t.Fatal(err)
			}
			return object
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			client := &git.Client{Dir: t.TempDir()}
			fetch(t, client, s.source(), commit)
			object := damage(t, unpacked(t, s, client))
			snapshot := fetch(t, client, s.source(), commit)
			files := 0
			err := fs.WalkDir(snapshot, ".", func(name string, e fs.DirEntry, err error) error {
				if err == nil && !e.IsDir() {
					_, err = snapshot.ReadFile(name)
					files++
				}
				return err
			})
			wantError(t, err, git.CorruptRepository, object, "d3", "the clone is dropped")
			if n := count(t, fetch(t, client, s.source(), commit)); n != 40 {
				t.Errorf("after the next fetch there are %d files", n)
			}
		})
	}
}

func TestAPackThatWasChangedOnDisk(t *testing.T) {
	s := newServer(t)
	commit := s.push("one", manyFiles(40))
	client := &git.Client{Dir: t.TempDir()}
	fetch(t, client, s.source(), commit)
	packs, _ := filepath.Glob(filepath.Join(clones(t, client.Dir)[0], "objects", "pack", "*.pack"))
	content, err := os.ReadFile(packs[0])
	if err != nil {
		t.Fatal(err)
	}
	damaged := 0
	for offset := 12; offset < len(content)-20; offset += 97 {
		broken := bytes.Clone(content)
		broken[offset] ^= 0x10
		if err := os.Chmod(packs[0], 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(packs[0], broken, 0o600); err != nil {
			t.Fatal(err)
		}
		files, err := readAll(t, client, s.source(), commit)
		switch {
		case err == nil && files != 40:
			t.Fatalf("offset %d: %d of 40 files and no error", offset, files)
		case err != nil:
			wantError(t, err, git.CorruptRepository)
			damaged++
			fetch(t, client, s.source(), commit)
			packs, _ = filepath.Glob(filepath.Join(clones(t, client.Dir)[0], "objects", "pack", "*.pack"))
		}
	}
	if damaged == 0 {
		t.Error("no damage was noticed")
	}
}

func readAll(t *testing.T, client *git.Client, s git.Source, commit string) (files int, err error) {
	t.Helper()
	snapshot := fetch(t, client, s, commit)
	err = fs.WalkDir(snapshot, ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			_, err = snapshot.ReadFile(name)
			files++
		}
		return err
	})
	return files, err
}
