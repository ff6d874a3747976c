package git

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// home is the directory of one source. The credentials are no part of its name: Fetch proves them each time.
func (c *Client) home(s Source) string {
	sum := sha256.Sum256([]byte(s.URL + "\x00" + s.Ref + s.Commit + "\x00" + s.Semver))
	return filepath.Join(c.Dir, hex.EncodeToString(sum[:])[:32])
}

// Home is the directory of a source. Two processes must not fetch into one at the same time.
func (c *Client) Home(s Source) string { return c.home(s) }

// kept opens a clone of an earlier fetch and marks it as used now, so that it is not the one to be removed next.
func (c *Client) kept(s Source, commit plumbing.Hash) (*Snapshot, error) {
	dir := filepath.Join(c.home(s), commit.String())
	snapshot, err := openSnapshot(dir, s, c.Limits.orDefaults(), notedTip(dir, commit))
	if err != nil {
		return nil, err
	}
	if snapshot.Commit.Hash != commit.String() {
		return nil, snapshot.corrupt("the clone is of the commit %s and not of %s", snapshot.Commit.Hash, commit)
	}
	now := time.Now()
	if err := os.Chtimes(dir, now, now); err != nil {
		return nil, s.cacheFailed("mark the clone as used", err)
	}
	return snapshot, nil
}

// place renames a finished clone to its final name, opens it there, and removes all others but the one used last. A
// good clone that another fetch has put there meanwhile stays: it may be in use.
func (c *Client) place(s Source, dir string, tip, commit plumbing.Hash) (*Snapshot, error) {
	c.swap.Lock()
	defer c.swap.Unlock()
	if kept, err := c.kept(s, commit); err == nil && kept.serves(s, tip) {
		return kept, nil
	}
	final := filepath.Join(c.home(s), commit.String())
	if err := os.RemoveAll(final); err != nil {
		return nil, s.cacheFailed("remove the old clone", err)
	}
	if err := os.Rename(dir, final); err != nil {
		return nil, s.cacheFailed("put the clone in place", err)
	}
	if err := c.removeOlder(c.home(s), commit.String()); err != nil {
		return nil, s.cacheFailed("remove old clones", err)
	}
	return c.kept(s, commit)
}

// removeOlder keeps the current clone and, of the others, the one that was used last.
func (c *Client) removeOlder(home, current string) error {
	entries, err := os.ReadDir(home)
	if err != nil {
		return fmt.Errorf("list clones: %w", err)
	}
	type clone struct {
		name string
		used time.Time
	}
	var others []clone
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || entry.Name() == current || strings.HasPrefix(entry.Name(), newPrefix) {
			continue
		}
		others = append(others, clone{entry.Name(), info.ModTime()})
	}
	slices.SortFunc(others, func(a, b clone) int { return b.used.Compare(a.used) })
	for _, old := range others[min(len(others), 1):] {
		if err := os.RemoveAll(filepath.Join(home, old.name)); err != nil {
			return fmt.Errorf("remove old clone: %w", err)
		}
	}
	return nil
}

// Prune removes the clones of every source but these, so that repositories that nobody follows any more leave
// the disk.
func (c *Client) Prune(followed []Source) error {
	c.polls.forget(followed)
	c.swap.Lock()
	defer c.swap.Unlock()
	var keep []string
	for _, s := range followed {
		keep = append(keep, filepath.Base(c.home(s)))
	}
	entries, err := os.ReadDir(c.Dir)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list the cache: %w", err)
	}
	for _, entry := range entries {
		if slices.Contains(keep, entry.Name()) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(c.Dir, entry.Name())); err != nil {
			return fmt.Errorf("remove clones: %w", err)
		}
	}
	return nil
}
