package git

import (
	"os"

	"github.com/go-git/go-git/v5/plumbing"
)

// Local reads a commit of a clone on this machine: of the directory that git rev-parse --git-common-dir names. It is as
// strict as with a clone of its own, and writes nothing. The error is an *Error.
func Local(dir, commit string) (_ *Snapshot, err error) {
	s := Source{URL: dir, Commit: commit}
	defer s.recovered("read the clone", &err)
	if _, err := os.Stat(dir); err != nil {
		return nil, s.errorf(InvalidSource, "open the clone: %s", innermost(err))
	}
	return readSnapshot(&Snapshot{source: s, limits: Limits{}.orDefaults(), storage: storage(dir)}, plumbing.NewHash(commit))
}
