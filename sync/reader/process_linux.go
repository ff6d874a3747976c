package reader

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"syscall"
)

// self is this very program, also when another one lies at its path by now.
func self() string { return "/proc/self/exe" }

// attributes put a child into a group of its own, which is killed whole, and have the kernel kill it with its parent.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// keepFiles has every file of this process stay here. Those that Go opens do so by themselves; others were handed over by
// whoever started this process, and would go on to its children.
func keepFiles() {
	const closeRange, onExec, first, last = 436, 4, 3, math.MaxUint32 // close_range(2), CLOSE_RANGE_CLOEXEC
	_, _, _ = syscall.Syscall(closeRange, first, last, onExec)        // Linux has it since 5.11
}

func killGroup(p *os.Process) error {
	if p == nil {
		return os.ErrProcessDone
	}
	if err := syscall.Kill(-p.Pid, syscall.SIGKILL); err != nil {
		return os.ErrProcessDone
	}
	return nil
}

// killedByOthers is whether somebody sent a signal that nobody can catch; who was late was asked before.
func killedByOthers(s *os.ProcessState) bool {
	status, ok := s.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// confine bounds this process, for good. RLIMIT_DATA counts what is mapped for writing, which is what Go's heap and
// stacks are made of; RLIMIT_AS would count the addresses too that Go reserves and never uses. What is mapped already,
// the program's own data, is allowed on top. From three quarters on the collector works harder, so that the limit is
// met by what is alive and not by garbage.
//
// The kernel is told to take this process before any other one of the container when memory ends, and to run others
// before it.
func confine(l Limits) error {
	mapped, err := mappedForWriting()
	if err != nil {
		return err
	}
	most := uint64(mapped + l.Memory) //nolint:gosec // both are positive
	if err := syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: most, Max: most}); err != nil {
		return fmt.Errorf("limit memory: %w", err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return fmt.Errorf("leave no core: %w", err)
	}
	debug.SetMemoryLimit(l.Memory * 3 / 4)
	const longestStack = 64 << 20
	debug.SetMaxStack(longestStack)
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0) // only a hint, and not everywhere allowed
	_ = syscall.Setpriority(syscall.PRIO_PGRP, 0, niceness)         // as above
	return nil
}

// niceness is how far a child stands back when processors are busy.
const niceness = 5

// mappedForWriting is what RLIMIT_DATA counts, in bytes.
func mappedForWriting() (int64, error) {
	return statusOf("VmData:")
}

// mostResident is the most memory that this process had, in bytes; 0 where that is not known. What wait(2) says is no
// less than what the parent had when it started the child.
func mostResident() int64 {
	bytes, err := statusOf("VmHWM:")
	if err != nil {
		return 0
	}
	return bytes
}

// statusOf reads a size of /proc/self/status, in bytes.
func statusOf(name string) (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("read memory of this process: %w", err)
	}
	_, rest, _ := bytes.Cut(status, []byte("\n"+name))
	number, _, _ := bytes.Cut(rest, []byte("kB"))
	kilobytes, err := strconv.ParseInt(string(bytes.TrimSpace(number)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read memory of this process: %w", err)
	}
	return kilobytes << 10, nil
}
