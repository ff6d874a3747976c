package reader

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/rollcall-dev/rollcall/sync/git"
)

// fetched is what a child says of a commit as soon as it has it.
type fetched struct {
	Commit git.Commit
	Spent  time.Duration
}

func (h heard) commit() *git.Commit {
	if h.fetched == nil {
		return nil
	}
	return &h.fetched.Commit
}

// broken is what there is of an answer that did not come.
func (h heard) broken() Answer {
	if h.fetched == nil {
		return Answer{}
	}
	return Answer{Commit: &h.fetched.Commit, Spent: Spent{Fetch: h.fetched.Spent}}
}

func (h heard) doing() Doing {
	if h.fetched == nil {
		return Fetching
	}
	return Rendering
}

// end says why a child that is gone gave no answer. Of what it printed nothing is repeated but the name of the function
// in which it panicked.
//
//	was late, and so killed by us ............ DeadlineExceeded
//	Go says that it got no memory ............ MemoryExceeded: our limit
//	wrote what is no answer .................. ReaderGarbled, or AnswerExceeded
//	was killed by somebody else .............. MemoryExceeded: the kernel, for the container's limit
//	anything else ............................ ReaderCrashed
func (c *child) end(h heard, err error, l Limits, late bool) error {
	doing := h.doing()
	own, isOwn := errors.AsType[*Error](err)
	switch {
	case isOwn:
		return own
	case late:
		return errorf(DeadlineExceeded, doing, "%s took longer than %s (--reader-timeout) and was stopped; nothing of the commit is applied: "+
			"make the repository or the path smaller, or raise it", doing, l.Timeout)
	case c.outOfMemory():
		return errorf(MemoryExceeded, doing, "%s needed more than %d MiB of memory (--reader-memory) and was stopped; nothing of the commit is applied: "+
			"make the repository or the path smaller, or raise it", doing, l.Memory>>20)
	case !ended(err):
		return garbled(doing, err)
	case killedByOthers(c.ProcessState):
		return errorf(MemoryExceeded, doing, "%s was killed by the kernel, most likely because the container has too little memory for --reader-memory (%d MiB); "+
			"nothing of the commit is applied: raise the memory limit of the container, or lower --reader-memory", doing, l.Memory>>20)
	default:
		return errorf(Crashed, doing, "the process that was %s ended without an answer (%s%s); nothing of the commit is applied: "+
			"look at what the last commit changed, and report it as a bug of rollcall", doing, c.ProcessState, c.where())
	}
}

func garbled(doing Doing, err error) *Error {
	return errorf(Garbled, doing, "the process that was %s answered what cannot be read (%v); nothing of the commit is applied: "+
		"look at what the last commit changed, and report it as a bug of rollcall", doing, err)
}

// outOfMemory is whether Go, or its race detector, ended the process because it got no memory, or a stack grew without end.
func (c *child) outOfMemory() bool {
	for _, said := range []string{"out of memory", "cannot allocate memory", "errno=12", "failed to allocate", "stack exceeds"} {
		if bytes.Contains(c.stderr.kept, []byte(said)) {
			return true
		}
	}
	return false
}

// where is the function in which the process panicked, if it did.
func (c *child) where() string {
	_, trace, panicked := bytes.Cut(c.stderr.kept, []byte("\ngoroutine "))
	if !panicked {
		return ""
	}
	for _, found := range regexp.MustCompile(`(?m)^([\w./*()-]+)\(`).FindAllSubmatch(trace, -1) {
		if name := found[1]; !bytes.HasPrefix(name, []byte("panic")) && !bytes.HasPrefix(name, []byte("runtime.")) {
			const longest = 120
			return fmt.Sprintf(", in %s", name[:min(len(name), longest)])
		}
	}
	return ""
}
